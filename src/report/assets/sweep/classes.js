// Classes by their recall: the weakest first.
(() => {
  const { report, at, css, element, short, ended, compare } = page;
  if (!report.per_class) return;
  const { header, rows } = report.per_class;
  const cell = (i) => (row) => (row[i] === "" || Number.isNaN(Number(row[i])) ? row[i] || null : Number(row[i]));
  const columns = header.map((name, i) => ({ name, of: i === 0 ? (row) => row[0] : cell(i), text: i === 0, digits: ["recall", "precision", "f1"].includes(name) ? 3 : undefined }));
  const sorted = header.includes("recall") ? "recall" : header[header.length - 1];
  page.table(at("per-class"), columns, rows, { sort: sorted });

  const figure = at("recall");
  const recall = header.indexOf("recall"), number = header.indexOf("rows");
  const data = rows.map((row) => ({ name: row[0], recall: recall < 0 ? null : page.number(cell(recall)(row)), n: number < 0 ? null : cell(number)(row) })).filter((d) => d.recall !== null);
  if (!data.length) return figure.parentElement.remove();
  data.sort((a, b) => a.recall - b.recall || compare(a.name, b.name));
  const FEW = 20;
  const select = at("recall-few");
  at("recall-few-label").hidden = data.length <= FEW;
  select.append(element("option", { value: "low" }, `${FEW} lowest`), element("option", { value: "high" }, `${FEW} highest`), element("option", { value: "all" }, `all ${data.length}`));
  if (data.length <= FEW) select.value = "all";
  select.addEventListener("change", draw);

  function draw() {
    const width = figure.clientWidth;
    const shown = { low: data.slice(0, FEW), high: data.slice(-FEW), all: data }[select.value];
    const letters = Math.min(d3.max(shown, (d) => d.name.length), width < 520 ? 16 : 28);
    const mean = d3.mean(data, (d) => d.recall);
    page.plot(figure, "Recall by class, lowest first", page.base(width, {
      height: 50 + shown.length * 19, marginLeft: letters * 7.3 + 10, marginRight: 92, marginTop: 20, marginBottom: 26,
      x: { domain: [0, 1], label: null, ticks: 5, grid: true, tickFormat: short }, y: { domain: shown.map((d) => d.name), label: null, tickSize: 0, tickFormat: (n) => ended(n, letters) },
      marks: [
        Plot.barX(shown, { x: "recall", y: "name", fill: css("--accent"), fillOpacity: 0.75, insetTop: 3, insetBottom: 3 }),
        Plot.ruleX([mean], { stroke: css("--wrong"), strokeDasharray: "3 3" }),
        Plot.text([mean], { x: (d) => d, frameAnchor: "top", dy: -14, text: (d) => `mean ${d.toFixed(2)}`, fill: css("--wrong") }),
        Plot.text(shown, { x: 1, y: "name", textAnchor: "start", dx: 8, text: (d) => `${d.recall.toFixed(2)}${d.n === null ? "" : `, n = ${d.n}`}`, fill: css("--soft") }),
      ],
    }));
  }
  page.charts.set("classes", draw);
})();
