// Reliability diagrams: how often answers of a given confidence are right, beside what chance alone gives.
(() => {
  const { report, at, css, percent, narrow } = page;
  page.charts.set("calibration", () => {
    const host = at("reliability"), full = host.clientWidth;
    const count = report.calibration.length, side = narrow(full);
    const bins = report.calibration.flatMap((c) => c.bins.map((b) => ({ ...b, split: c.split, far: b.accuracy < b.by_chance[0] || b.accuracy > b.by_chance[1] })));
    const width = Math.min(full, side ? 420 : 440 * count), one = side ? width : width / count;
    const facet = side ? "fy" : "fx";
    const [accent, wrong, weak] = ["--accent", "--wrong", "--weak"].map(css);
    page.plot(host, "Accuracy by confidence", page.base(width, {
      height: (side ? count : 1) * Math.min(one * 0.85, 360) + 40, marginLeft: 44, marginBottom: 40, marginTop: 26, marginRight: side ? 36 : 16, grid: true,
      x: { domain: [0, 1], label: "confidence", labelAnchor: "center", labelOffset: 34, ticks: 5 }, y: { domain: [0, 1], label: null, ticks: 5 },
      r: { range: [2.5, 11] }, [facet]: { label: null, domain: report.calibration.map((c) => c.split), padding: 0.12 },
      marks: [
        Plot.frame({ stroke: css("--line") }),
        Plot.line([[0, 0], [1, 1]], { stroke: weak, strokeDasharray: "4 4" }),
        Plot.ruleX(bins, { x: "confidence", y1: (b) => b.by_chance[0], y2: (b) => b.by_chance[1], [facet]: "split", stroke: weak, strokeOpacity: 0.45, strokeWidth: 9, strokeLinecap: "round" }),
        Plot.lineY(bins, { x: "confidence", y: "accuracy", [facet]: "split", stroke: accent, strokeOpacity: 0.6 }),
        Plot.dot(bins, { x: "confidence", y: "accuracy", r: "n", [facet]: "split", fill: (b) => (b.far ? wrong : accent), fillOpacity: 0.8 }),
        Plot.tip(bins, Plot.pointer({ x: "confidence", y: "accuracy", [facet]: "split", title: (b) => `${b.split}: ${b.n} answers\nconfidence ${percent(b.confidence)}\naccuracy ${percent(b.accuracy)}\nby chance ${percent(b.by_chance[0])} to ${percent(b.by_chance[1])}` })),
      ],
    }), [{ label: "within chance", color: accent, dot: true }, { label: "beyond chance", color: wrong, dot: true }, { label: "range of 19 in 20 draws of a perfectly calibrated head", color: weak, width: 7 }]);
  });
})();
