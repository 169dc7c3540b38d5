// Loss and accuracy by epoch of the trials that are ticked.
(() => {
  const { report, at, css, short, narrow, scale, sweep } = page;
  const { curves, chosen } = sweep;

  page.charts.set("curves", () => {
    const picked = report.trials.filter((t) => chosen.has(t.trial));
    const names = sweep.names(picked);
    const colours = d3.scaleOrdinal(picked.map((t) => t.trial), d3.schemeObservable10);
    const kinds = [{ label: "on val", color: css("--soft") }, { label: "in training", color: css("--soft"), dash: "4 3" }];
    const legend = [...picked.map((t, i) => ({ label: names[i], color: colours(t.trial) })), ...(picked.length ? kinds : [])];
    at("curves-of").textContent = picked.length ? `The best ${picked.length > 1 ? "trials" : "trial"} to begin with; tick others in the leaderboard.` : "Tick a trial in the leaderboard.";
    const points = (series) => picked.flatMap((t, i) => series.flatMap((name) => (curves.get(t.trial)[name] ?? []).map((y, e) => ({ trial: t.trial, label: names[i], name, epoch: e + 1, y }))));
    const draw = (host, title, series, log) => {
      const data = points(series).filter((p) => p.y !== null);
      const width = host.clientWidth;
      const stroke = (p) => colours(p.trial);
      const line = (name, dash) => Plot.lineY(data.filter((p) => p.name === name), { x: "epoch", y: "y", stroke, z: "trial", strokeDasharray: dash, strokeWidth: 1.8 });
      page.plot(host, title, page.base(width, {
        height: narrow(width) ? 240 : 300, marginLeft: 48, marginBottom: 40, inset: 3,
        x: { label: "epoch", labelAnchor: "center", labelOffset: 34, tickFormat: (v) => (Number.isInteger(v) ? String(v) : "") },
        y: { label: null, grid: true, type: log && data.length && d3.min(data, (p) => p.y) > 0 ? scale(data.map((p) => p.y)) : "linear", tickFormat: log ? (v) => short(v) : undefined },
        marks: [line(series[0], "4 3"), line(series[1], null), data.some((p) => p.epoch > 1) ? null : Plot.dot(data, { x: "epoch", y: "y", stroke }),
          Plot.tip(data, Plot.pointer({ x: "epoch", y: "y", title: (p) => `${p.label}\n${p.name} ${short(p.y)}\nepoch ${p.epoch}` }))],
      }), legend);
    };
    draw(at("curve-loss"), "Loss", ["train.loss", "val.loss"], true);
    const trained = report.curves.some((c) => "train.acc1" in c.series);
    draw(at("curve-acc"), trained ? "Accuracy" : "Accuracy on val", ["train.acc1", "val.acc1"], false);
  });
})();
