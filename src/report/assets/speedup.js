(() => {
  const { report, at, css, short, narrow, base, plot } = page;
  const ways = ["base in the loop", "on cached features"];
  const color = () => ({ domain: ways, range: [css("--wrong"), css("--accent")] });
  const legend = () => ways.map((label, i) => ({ label, color: color().range[i] }));
  const words = (s) => (s < 1 ? `${Math.round(s * 1000)} ms` : s < 90 ? `${short(Number(s.toPrecision(3)))} s` : s < 5400 ? `${short(Number((s / 60).toPrecision(3)))} min` : `${short(Number((s / 3600).toPrecision(3)))} h`);
  // Powers of ten are no round times: a log axis takes what people count in, from a second to a month.
  const round = [1, 2, 5, 10, 30, 60, 120, 300, 600, 1800, 3600, 7200, 18000, 36000, 86400, 259200, 864000, 2592000];
  const between = (values, most) => {
    const inside = round.filter((t) => t >= Math.min(...values) && t <= Math.max(...values));
    return inside.filter((_, i) => i % Math.ceil(inside.length / most) === 0);
  };
  const seconds = { label: null, grid: true, tickFormat: words };
  const epochAxis = (label) => ({ label, labelAnchor: "center", labelOffset: 34, tickFormat: (v) => (Number.isInteger(v) ? String(v) : "") });

  const charts = {
    epochs() {
      const host = at("epochs-chart"), width = host.clientWidth;
      const of = (way, points) => points.map(([y, measured], i) => ({ way, epoch: i + 1, y, measured }));
      const data = [...of(ways[0], report.curves.in_loop), ...of(ways[1], report.curves.cached)];
      // A dashed line starts where the measured one ends.
      const measured = data.filter((p) => p.measured);
      const rest = data.filter((p) => !p.measured || data.some((q) => q.way === p.way && q.epoch === p.epoch + 1 && !q.measured));
      plot(host, "Seconds until the end of each epoch", base(width, {
        height: narrow(width) ? 260 : 340, marginLeft: 64, marginBottom: 40, inset: 4, color: color(),
        x: epochAxis("epoch"), y: { ...seconds, zero: true },
        marks: [
          report.break_even === null || report.break_even > report.epochs ? null : Plot.ruleX([report.break_even], { stroke: css("--weak"), strokeDasharray: "2 3" }),
          report.break_even === null || report.break_even > report.epochs ? null : Plot.text([report.break_even], { x: (d) => d, frameAnchor: "top", text: () => "break-even", textAnchor: "start", dx: 5, fill: css("--soft") }),
          Plot.lineY(rest, { x: "epoch", y: "y", stroke: "way", strokeDasharray: "5 4", strokeWidth: 1.8 }),
          Plot.lineY(measured, { x: "epoch", y: "y", stroke: "way", strokeWidth: 2.2 }),
          Plot.dot(measured, { x: "epoch", y: "y", fill: "way", r: 2.5 }),
          Plot.tip(data, Plot.pointer({ x: "epoch", y: "y", title: (p) => `${p.way}\nepoch ${p.epoch}: ${words(p.y)}${p.measured ? "" : " (scaled)"}` })),
        ],
      }), legend());
    },

    trials() {
      const host = at("trials-chart"), width = host.clientWidth;
      const data = report.trials.flatMap((t) => [{ way: ways[0], n: t.trials, y: t.in_loop }, { way: ways[1], n: t.trials, y: t.cached }]);
      const times = between(data.map((p) => p.y), narrow(width) ? 5 : 9);
      plot(host, `Time for so many trials${report.scaled ? " (base in the loop: scaled)" : ""}`, base(width, {
        height: narrow(width) ? 260 : 340, marginLeft: 64, marginBottom: 40, inset: 6, color: color(),
        x: { type: "log", label: "trials", labelAnchor: "center", labelOffset: 34, ticks: report.trials.map((t) => t.trials), tickFormat: String },
        y: { type: "log", axis: null },
        marks: [
          Plot.gridY(times),
          // A `tickFormat` would be left out at all but powers of ten.
          Plot.axisY(times, { text: words, label: null }),
          Plot.lineY(data.filter((p) => p.way === ways[0]), { x: "n", y: "y", stroke: "way", strokeWidth: 2.2, strokeDasharray: report.scaled ? "5 4" : null }),
          Plot.lineY(data.filter((p) => p.way === ways[1]), { x: "n", y: "y", stroke: "way", strokeWidth: 2.2 }),
          Plot.dot(data, { x: "n", y: "y", fill: "way", r: 3 }),
          Plot.tip(data, Plot.pointer({ x: "n", y: "y", title: (p) => `${p.way}\n${p.n} trials: ${words(p.y)}` })),
        ],
      }), legend());
    },

    phases() {
      const host = at("phases-chart"), width = Math.min(host.clientWidth, 700);
      const names = { read: "read", decode: "decode", infer: "infer", write: "write", wall: "wall clock" };
      const runs = ["an epoch in the loop", "extraction"];
      const data = report.phases.flatMap((phases, i) => Object.entries(names).map(([key, phase]) => ({ way: runs[i], phase, seconds: phases[key] })));
      plot(host, "Seconds by phase", base(width, {
        height: 300, marginLeft: 76, marginRight: 60,
        x: { label: "seconds", grid: true }, y: { label: null, domain: Object.values(names) }, fy: { axis: null, domain: runs },
        marks: [
          Plot.barX(data, { x: "seconds", y: "phase", fy: "way", fill: (d) => (d.phase === "wall clock" ? css("--weak") : css("--accent")), insetTop: 2, insetBottom: 2 }),
          Plot.text(data, { x: "seconds", y: "phase", fy: "way", text: (d) => words(d.seconds), textAnchor: "start", dx: 5 }),
          // Reading takes no time beside the rest: its line has room for the run's name.
          Plot.text(runs, { fy: (d) => d, text: (d) => d, frameAnchor: "top-right", dy: 2, dx: 50, fontWeight: 600 }),
        ],
      }));
    },
  };

  Object.entries(charts).forEach(([section, draw]) => page.charts.set(section, draw));
})();
