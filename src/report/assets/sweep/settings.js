// One setting against the metric, and which settings matter.
(() => {
  const { report, at, css, element, short, narrow, compare, scale, ended, sweep } = page;
  const { setting, score } = sweep;
  if (!report.keys.length) return;

  const spread = (key) => new Set(report.trials.map((t) => short(setting(t, key)))).size;
  const first = report.importance?.settings[0].name ?? report.keys.slice().sort((a, b) => spread(b) - spread(a))[0];
  const select = at("setting");
  select.append(...report.keys.map((key) => element("option", { value: key, selected: key === first }, key)));
  select.addEventListener("change", scatter);
  sweep.onFilter(scatter);

  function scatter() {
    const key = select.value;
    const rows = report.trials.map((t) => ({ t, x: setting(t, key), y: score(t) })).filter((r) => r.x !== null && r.y !== null);
    const numeric = rows.every((r) => typeof r.x === "number");
    const ordinal = !numeric || new Set(rows.map((r) => r.x)).size <= 6;
    const host = at("scatter"), width = host.clientWidth;
    const x = ordinal
      ? { type: "point", label: key, domain: [...new Set(rows.map((r) => r.x))].sort(compare).map(short), padding: 0.7, tickFormat: (v) => ended(v, 18) }
      : { type: scale(rows.map((r) => r.x)), label: key, ticks: narrow(width) ? 4 : 6, tickFormat: (v) => short(v) };
    // Names that would run into each other are turned.
    const longest = ordinal ? d3.max(x.domain, (v) => Math.min(v.length, 18)) * 7 : 0;
    const turned = ordinal && longest > (width - 64) / (x.domain.length + 0.4);
    const bottom = turned ? longest * 0.64 + 24 : 40;
    const place = ordinal ? (r) => short(r.x) : "x";
    page.plot(host, `${key} and ${report.metric}`, page.base(width, {
      height: 260 + bottom, marginLeft: turned ? Math.max(48, longest * 0.5) : 48, marginBottom: bottom, inset: 8, y: { label: null, grid: true },
      x: turned ? { ...x, label: null, tickRotate: -40 } : { ...x, labelAnchor: "center", labelOffset: 34 },
      marks: [
        Plot.dot(rows, { x: place, y: "y", r: 4.5, fill: css("--accent"), fillOpacity: 0.45, stroke: css("--accent"), opacity: (r) => (sweep.passes(r.t) ? 1 : 0.12) }),
        Plot.tip(rows, Plot.pointer({ x: place, y: "y", title: (r) => sweep.describe(r.t) })),
      ],
    }));
  }

  // In which direction a setting acts, or which of its few values is the best in the mean.
  function direction(s) {
    if (s.share < 0.01) return "";
    if (s.correlation !== null) {
      const better = (s.correlation > 0) === report.more;
      return Math.abs(s.correlation) < 0.2 ? "no one direction" : `${better ? "higher" : "lower"} is better`;
    }
    const trials = report.trials.filter((t) => score(t) !== null && t.status !== "diverged");
    const means = d3.rollups(trials, (of) => d3.mean(of, score), (t) => short(setting(t, s.name)));
    return `best: ${means.sort((a, b) => (report.more ? b[1] - a[1] : a[1] - b[1]))[0][0]}`;
  }

  function importance() {
    const host = at("importance"), width = host.clientWidth;
    const rows = report.importance.settings.map((s) => ({ ...s, text: [`${Math.round(100 * s.share)}%`, direction(s)].filter(Boolean).join(" · ") }));
    const longest = (texts, letter, most) => Math.min(d3.max(texts, (t) => t.length) * letter + 14, most);
    const left = longest(rows.map((r) => r.name), 7, width * 0.34);
    // The words stand behind the bars, at the end of the longest one at the latest.
    const right = longest(rows.map((r) => r.text), 6.6, width * 0.5);
    page.plot(host, `Importance for ${report.metric}`, page.base(width, {
      height: 12 + rows.length * 30, marginLeft: left, marginRight: right, marginTop: 6, marginBottom: 6,
      x: { axis: null, domain: [0, d3.max(rows, (r) => r.share)] },
      y: { label: null, domain: rows.map((r) => r.name), tickSize: 0, tickFormat: (n) => ended(n, Math.floor(left / 7)) },
      marks: [
        Plot.barX(rows, { x: "share", y: "name", fill: css("--accent"), insetTop: 5, insetBottom: 5 }),
        Plot.text(rows, { x: "share", y: "name", text: "text", textAnchor: "start", dx: 6, fill: css("--ink"), stroke: css("--card"), strokeWidth: 4 }),
      ],
    }));
    host.querySelectorAll("g[aria-label=bar] rect").forEach((bar, i) => {
      bar.style.cursor = "pointer";
      bar.addEventListener("click", () => {
        select.value = rows[i].name;
        scatter();
      });
    });
  }

  page.charts.set("settings", () => {
    scatter();
    if (report.importance) importance();
    page.parallel();
  });
})();
