// Where the time of making the features went.
(() => {
  const { report, at, css, short } = page;
  page.charts.set("extraction", () => {
    const host = at("phases"), width = Math.min(host.clientWidth, 700);
    const data = report.phases.flatMap((p) => [...p.seconds, ["wall clock", p.wall]].map(([phase, seconds]) => ({ cache: p.cache, phase, seconds })));
    const facets = report.phases.length > 1;
    const fy = facets ? "cache" : undefined;
    page.plot(host, "Seconds by phase", page.base(width, {
      height: 40 + report.phases.length * 130, marginLeft: 76, marginRight: facets ? 140 : 60,
      x: { label: "seconds", grid: true }, y: { label: null, domain: [...new Set(data.map((d) => d.phase))] },
      ...(facets ? { fy: { label: null, tickFormat: (c) => c.split("@")[0] } } : {}),
      marks: [
        Plot.barX(data, { x: "seconds", y: "phase", fy, fill: (d) => (d.phase === "wall clock" ? css("--weak") : css("--accent")), insetTop: 2, insetBottom: 2 }),
        Plot.text(data, { x: "seconds", y: "phase", fy, text: (d) => `${short(d.seconds)} s`, textAnchor: "start", dx: 5 }),
      ],
    }));
  });
})();
