// The confusion matrix: a row a class, a column an answer; a cell opens its photos.
(() => {
  const { report, at, css, svg, element, button, percent, ended } = page;
  if (!report.confusion) return;
  const { classes, counts } = report.confusion;
  const FEW = 25;
  const sums = counts.map((row) => d3.sum(row));
  const recall = (i) => (sums[i] ? counts[i][i] / sums[i] : -1);
  const mistakes = counts.map((row, i) => sums[i] - row[i] + d3.sum(counts, (r) => r[i]) - counts[i][i]);
  const controls = { few: at("matrix-few"), order: at("matrix-order") };
  at("matrix-few-label").hidden = classes.length <= FEW;
  controls.few.append(element("option", { value: "few" }, `${FEW} with the most mistakes`), element("option", { value: "all" }, `all ${classes.length}`));
  if (classes.length <= FEW) controls.few.value = "all";
  if (classes.length > FEW) controls.order.value = "recall";
  Object.values(controls).forEach((c) => c.addEventListener("change", draw));

  const opens = (is, called) => page.openAnswers?.(report.judged_on, classes[is], classes[called]);

  function draw() {
    const host = at("matrix");
    let shown = d3.range(classes.length);
    if (controls.few.value === "few") shown = shown.sort((a, b) => mistakes[b] - mistakes[a]).slice(0, FEW).sort((a, b) => a - b);
    if (controls.order.value === "recall") shown = shown.sort((a, b) => recall(a) - recall(b) || a - b);
    if (controls.order.value === "name") shown = shown.sort((a, b) => page.compare(classes[a], classes[b]));
    const letters = Math.min(d3.max(shown, (i) => classes[i].length), host.clientWidth < 520 ? 13 : 22);
    const left = letters * 6.6 + 14;
    const size = Math.min(Math.max((host.clientWidth - left - 28) / shown.length, shown.length > 40 ? 14 : 17), 64);
    // Names are upright where they do not fit side by side.
    const turned = letters * 6.6 + 6 > size;
    const top = turned ? letters * 5.4 + 16 : 24;
    const width = left + size * shown.length + 28, height = top + size * shown.length + 8;
    const [accent, wrong, card, ink] = ["--accent", "--wrong", "--card", "--ink"].map(css);
    // Whichever of the two is easier to read on a cell.
    const light = (c) => d3.sum([c.r, c.g, c.b], (v, i) => [0.2126, 0.7152, 0.0722][i] * (v / 255 <= 0.04045 ? v / 255 / 12.92 : ((v / 255 + 0.055) / 1.055) ** 2.4));
    const contrast = (a, b) => { const [x, y] = [a, b].map((c) => light(d3.rgb(c)) + 0.05); return Math.max(x, y) / Math.min(x, y); };
    const ground = (cell) => d3.interpolateRgb(card, cell.i === cell.j ? accent : wrong)(0.1 + 0.9 * cell.share);
    const readable = (cell) => (contrast(card, ground(cell)) > contrast(ink, ground(cell)) ? card : ink);
    const cells = shown.flatMap((i, r) => shown.map((j, c) => ({ i, j, r, c, n: counts[i][j], share: counts[i][j] / Math.max(1, sums[i]) }))).filter((c) => c.n > 0);
    const said = (c) => `${c.n} × ${classes[c.i]} ${c.i === c.j ? "classified correctly" : `classified as ${classes[c.j]}`}, ${percent(c.share)} of the row`;
    const nodes = cells.map((cell) => {
      const [x, y] = [left + cell.c * size, top + cell.r * size];
      const g = svg("g", { role: "button", tabindex: -1, class: "cell", "aria-label": `${said(cell)}: show photos` },
        svg("title", {}, said(cell)),
        svg("rect", { x: x + 0.5, y: y + 0.5, width: size - 1, height: size - 1, rx: 2, fill: ground(cell) }));
      if (size >= 22) g.append(svg("text", { x: x + size / 2, y: y + size / 2 + 4, "text-anchor": "middle", "font-size": 12, fill: readable(cell) }, String(cell.n)));
      else if (cell.n > 1) g.append(svg("text", { x: x + size / 2, y: y + size / 2 + 3, "text-anchor": "middle", "font-size": 8.5, fill: readable(cell) }, String(cell.n)));
      g.addEventListener("click", () => opens(cell.i, cell.j));
      return g;
    });
    if (nodes.length) nodes[0].setAttribute("tabindex", 0);
    const label = (i, k) => {
      const text = ended(classes[i], letters), middle = k * size + size / 2;
      const row = svg("text", { x: left - 7, y: top + middle + 4, "text-anchor": "end", fill: ink }, text);
      const at = left + middle;
      const column = turned
        ? svg("text", { transform: `translate(${at + 4},${top - 6}) rotate(-55)`, fill: ink }, text)
        : svg("text", { x: at, y: top - 8, "text-anchor": "middle", fill: ink }, text);
      [row, column].forEach((e) => e.append(svg("title", {}, classes[i])));
      return [row, column];
    };
    const tail = turned ? letters * 4 : 0;
    const chart = svg("svg", { width: width + tail, height, viewBox: `0 0 ${width + tail} ${height}`, role: "group", "aria-label": "Rows are classes, columns are answers", "font-size": 11.5, style: "max-width: none" },
      svg("rect", { x: left, y: top, width: size * shown.length, height: size * shown.length, fill: "none", stroke: css("--line") }),
      // Where the right answers are, also where there are none.
      ...shown.map((_, k) => svg("rect", { x: left + k * size + 0.5, y: top + k * size + 0.5, width: size - 1, height: size - 1, rx: 2, fill: css("--line"), "fill-opacity": 0.6 })),
      ...shown.flatMap(label), ...nodes);
    // One stop of the tab key; the arrows go from cell to cell.
    chart.addEventListener("keydown", (e) => {
      const at = nodes.indexOf(document.activeElement), step = { ArrowRight: [0, 1], ArrowLeft: [0, -1], ArrowDown: [1, 0], ArrowUp: [-1, 0] }[e.key];
      if (at < 0) return;
      if (e.key === "Enter" || e.key === " ") {
        e.preventDefault();
        return opens(cells[at].i, cells[at].j);
      }
      if (!step) return;
      e.preventDefault();
      const from = cells[at];
      const ahead = cells.map((c, i) => ({ i, along: (c.r - from.r) * step[0] + (c.c - from.c) * step[1], aside: Math.abs((c.r - from.r) * step[1]) + Math.abs((c.c - from.c) * step[0]) })).filter((c) => c.along > 0);
      const next = ahead.sort((a, b) => a.aside - b.aside || a.along - b.along)[0];
      if (!next) return;
      nodes[at].setAttribute("tabindex", -1);
      nodes[next.i].setAttribute("tabindex", 0);
      nodes[next.i].focus();
    });
    page.show(host, "Classes against answers", chart);
  }
  page.charts.set("confusion", draw);

  const pairs = counts.flatMap((row, i) => row.map((n, j) => ({ i, j, n, share: n / Math.max(1, sums[i]) }))).filter((p) => p.n > 0 && p.i !== p.j).sort((a, b) => b.n - a.n);
  page.table(at("pairs"), [
    { name: "class", of: (p) => classes[p.i], text: true },
    { name: "classified as", of: (p) => classes[p.j], text: true, cell: (p) => button(classes[p.j], () => opens(p.i, p.j), { class: "link", "aria-label": `Photos of ${classes[p.i]} classified as ${classes[p.j]}` }) },
    { name: "rows", of: (p) => p.n, best: true }, { name: "share", of: (p) => p.share, digits: 3, best: true },
  ], pairs.slice(0, 12));
})();
