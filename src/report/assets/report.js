(() => {
  const { report, at, css, number, short, element, compare, table, narrow, base, plot, scale, drawing } = page;
  // Names of one kind differ at their ends more often than at their beginnings.
  const ended = (text, room) => (text.length > room ? `…${text.slice(1 - Math.max(room, 2))}` : text);
  // Which trials' curves are drawn: the best few to begin with.
  const withCurves = new Map(report.curves.map((c) => [c.trial, c.series]));
  const chosen = new Set(report.trials.filter((t) => withCurves.has(t.trial)).slice(0, 4).map((t) => t.trial));
  const setting = (trial, key) => trial.settings[key] ?? null;
  const value = (trial, name) =>
    name in trial.metrics ? trial.metrics[name] : name in trial.settings ? trial.settings[name] : { trial: trial.trial, epochs: trial.epochs, status: trial.status, seconds: trial.seconds }[name];

  function matches(trial, words) {
    const text = [trial.status, ...Object.values(trial.settings).map(short)].join(" ").toLowerCase();
    return words.every((word) => {
      const condition = /^([^<>=]+)(<=|>=|<|>|=)(.+)$/.exec(word);
      if (!condition) return text.includes(word.toLowerCase());
      const [, name, sign, wanted] = condition;
      const found = value(trial, name);
      if (found === undefined || found === null) return false;
      const [a, b] = [Number(found), Number(wanted)];
      if (sign === "=") return short(found).toLowerCase() === wanted.toLowerCase() || (wanted !== "" && a === b);
      return sign === "<" ? a < b : sign === ">" ? a > b : sign === "<=" ? a <= b : a >= b;
    });
  }

  const FIRST = 20;
  let all = false;
  let words = [];
  const plotted = {
    name: "plot", plain: true, of: () => null,
    cell: (t) => {
      const box = element("input", { type: "checkbox", "aria-label": `Curves of trial ${t.trial}` });
      box.checked = chosen.has(t.trial);
      box.disabled = !withCurves.has(t.trial);
      box.addEventListener("change", () => {
        box.checked ? chosen.add(t.trial) : chosen.delete(t.trial);
        box.closest("tr").classList.toggle("on", box.checked);
        draw("curves");
      });
      return box;
    },
  };
  const isText = (key) => report.trials.some((t) => typeof setting(t, key) === "string");
  const metricColumn = (m) => ({ name: m, of: (t) => number(t.metrics[m]), digits: 4, best: !/loss|ece/.test(m) });
  const columns = [
    ...(report.curves.length ? [plotted] : []),
    { name: "#", of: (t) => t.rank },
    { name: "trial", of: (t) => t.trial },
    metricColumn(report.metric),
    ...report.keys.map((key) => ({ name: key, of: (t) => setting(t, key), text: isText(key) })),
    ...report.metrics.filter((m) => m !== report.metric).map(metricColumn),
    { name: "epochs", of: (t) => t.epochs },
    { name: "seconds", of: (t) => t.seconds, digits: 2 },
    { name: "status", of: (t) => t.status, text: true },
  ];
  const redraw = table(at("trials"), columns, report.trials, {
    filter: (t) => matches(t, words),
    limit: () => (all ? Infinity : FIRST),
    on: (t) => chosen.has(t.trial) && report.curves.length > 0,
    drawn: (shown, total) => {
      at("shown").textContent = total === report.trials.length ? `${total} trials` : `${total} of ${report.trials.length} trials`;
      at("more").hidden = all || shown === total;
    },
  });
  at("filter").addEventListener("input", (e) => {
    words = e.target.value.split(/\s+/).filter(Boolean);
    redraw();
  });
  at("more").addEventListener("click", () => {
    all = true;
    redraw();
  });

  if (report.per_class) {
    const { header, rows } = report.per_class;
    const cell = (i) => (row) => (row[i] === "" || Number.isNaN(Number(row[i])) ? row[i] || null : Number(row[i]));
    table(at("per-class"), header.map((name, i) => ({ name, of: cell(i), text: i === 0 })), rows);
  }

  const charts = {
    curves() {
      const picked = report.trials.filter((t) => chosen.has(t.trial));
      at("curves-of").textContent = picked.length ? `Trials ${picked.map((t) => t.trial).join(", ")}, solid on val, dashed in training.` : "Tick a trial in the leaderboard.";
      const points = (names) => picked.flatMap((t) => names.flatMap((name) => (withCurves.get(t.trial)[name] ?? []).map((y, i) => ({ trial: String(t.trial), name, epoch: i + 1, y }))));
      const draw = (host, title, names, log) => {
        const data = points(names).filter((p) => p.y !== null);
        const width = host.clientWidth;
        const line = (name, dash) => Plot.lineY(data.filter((p) => p.name === name), { x: "epoch", y: "y", stroke: "trial", z: "trial", strokeDasharray: dash, strokeWidth: 1.8 });
        plot(host, title, base(width, {
          height: narrow(width) ? 240 : 300,
          marginLeft: 48,
          color: { legend: picked.length > 0, type: "ordinal", domain: picked.map((t) => String(t.trial)), scheme: "observable10" },
          marginBottom: 40, inset: 3,
          x: { label: "epoch", labelAnchor: "center", labelOffset: 34, tickFormat: (v) => (Number.isInteger(v) ? String(v) : "") },
          y: { label: null, grid: true, type: log && data.length && d3.min(data, (p) => p.y) > 0 ? scale(data.map((p) => p.y)) : "linear", tickFormat: log ? (v) => short(v) : undefined },
          marks: [line(names[0], "4 3"), line(names[1], null), data.some((p) => p.epoch > 1) ? null : Plot.dot(data, { x: "epoch", y: "y", stroke: "trial" }),
            Plot.tip(data, Plot.pointer({ x: "epoch", y: "y", title: (p) => `trial ${p.trial}\n${p.name} ${short(p.y)}\nepoch ${p.epoch}` }))],
        }));
      };
      draw(at("curve-loss"), "Loss", ["train.loss", "val.loss"], true);
      const trained = report.curves.some((c) => "train.acc1" in c.series);
      draw(at("curve-acc"), trained ? "Accuracy" : "Accuracy on val", ["train.acc1", "val.acc1"], false);
    },

    settings() {
      const key = at("setting").value;
      const rows = report.trials.map((t) => ({ t, x: setting(t, key), y: number(t.metrics[report.metric]) })).filter((r) => r.x !== null && r.y !== null);
      const numeric = rows.every((r) => typeof r.x === "number");
      const distinct = new Set(rows.map((r) => r.x)).size;
      const host = at("scatter"), width = host.clientWidth;
      const title = (r) => `trial ${r.t.trial}\n${report.metric} ${short(r.y)}\n${report.keys.map((k) => `${k} ${short(setting(r.t, k))}`).join("\n")}`;
      const ordinal = !numeric || distinct <= 6;
      const x = ordinal
        ? { type: "point", label: key, domain: [...new Set(rows.map((r) => r.x))].sort(compare).map(short), padding: 0.7, tickFormat: (v) => ended(v, 18) }
        : { type: scale(rows.map((r) => r.x)), label: key, ticks: narrow(width) ? 4 : 6, tickFormat: (v) => short(v) };
      // Names that would run into each other are turned.
      const longest = ordinal ? d3.max(x.domain, (v) => Math.min(v.length, 18)) * 7 : 0;
      const turned = ordinal && longest > (width - 64) / (x.domain.length + 0.4);
      const bottom = turned ? longest * 0.64 + 24 : 40;
      plot(host, `${key} and ${report.metric}`, base(width, {
        height: 260 + bottom, marginLeft: turned ? Math.max(48, longest * 0.5) : 48, marginBottom: bottom, inset: 8, y: { label: null, grid: true },
        x: turned ? { ...x, label: null, tickRotate: -40 } : { ...x, labelAnchor: "center", labelOffset: 34 },
        marks: [
          Plot.dot(rows, { x: ordinal ? (r) => short(r.x) : "x", y: "y", r: 4.5, fill: css("--accent"), fillOpacity: 0.55, stroke: css("--accent") }),
          Plot.tip(rows, Plot.pointer({ x: ordinal ? (r) => short(r.x) : "x", y: "y", title })),
        ],
      }));
      parallel();
    },

    confusion() {
      const { classes, counts } = report.confusion;
      const cells = counts.flatMap((row, i) => row.map((n, j) => ({ is: classes[i], called: classes[j], n, share: n / Math.max(1, d3.sum(row)), right: i === j })));
      const host = at("matrix"), full = host.clientWidth;
      const labelled = classes.length <= 40;
      const longest = d3.max(classes, (c) => Math.min(c.length, 18)) * 6.5 + 14;
      const left = labelled ? Math.min(longest, full * 0.3) : 12;
      const width = Math.min(full, Math.max(left + 20 + classes.length * 70, 300));
      const bottom = labelled ? longest * 0.75 + 20 : 20;
      const trimmed = (c) => (c.length > 18 ? `${c.slice(0, 17)}…` : c);
      plot(host, "Rows are classes, columns are answers", base(width, {
        height: (width - left - 20) + bottom + 10, marginLeft: left, marginBottom: bottom, marginTop: 10, marginRight: 20,
        x: { domain: classes, label: null, tickRotate: -40, tickFormat: trimmed, axis: labelled ? "bottom" : null },
        y: { domain: classes, label: null, tickFormat: trimmed, axis: labelled ? "left" : null },
        marks: [
          Plot.cell(cells.filter((c) => c.n > 0), { x: "called", y: "is", fill: (c) => (c.right ? css("--accent") : css("--wrong")), fillOpacity: (c) => 0.08 + 0.8 * c.share, inset: labelled ? 0.5 : -0.5 }),
          classes.length <= 16 ? Plot.text(cells.filter((c) => c.n > 0), { x: "called", y: "is", text: (c) => String(c.n), fill: "currentColor" }) : null,
          Plot.frame({ stroke: css("--line") }),
          Plot.tip(cells.filter((c) => c.n > 0), Plot.pointer({ x: "called", y: "is", title: (c) => `${c.n} × ${c.is}\nsaid to be ${c.called}\n${(100 * c.share).toFixed(1)}% of the row` })),
        ],
      }));
    },

    calibration() {
      const host = at("reliability"), width = Math.min(host.clientWidth, 520);
      const bins = report.calibration.flatMap((c) => c.bins.map((b) => ({ ...b, split: c.split })));
      plot(host, "Share that is right against confidence", base(width, {
        height: Math.min(width, 420), marginLeft: 48, grid: true,
        marginBottom: 40,
        x: { domain: [0, 1], label: "confidence", labelAnchor: "center", labelOffset: 34 }, y: { domain: [0, 1], label: null },
        r: { range: [2, 14] },
        color: { legend: true, domain: report.calibration.map((c) => c.split), scheme: "observable10" },
        marks: [
          Plot.line([[0, 0], [1, 1]], { stroke: css("--weak"), strokeDasharray: "4 4" }),
          Plot.lineY(bins, { x: "confidence", y: "accuracy", stroke: "split" }),
          Plot.dot(bins, { x: "confidence", y: "accuracy", r: "n", fill: "split", fillOpacity: 0.6 }),
          Plot.tip(bins, Plot.pointer({ x: "confidence", y: "accuracy", title: (b) => `${b.split}: ${b.n} answers\nconfidence ${short(b.confidence)}\nright ${short(b.accuracy)}` })),
        ],
      }));
    },

    extraction() {
      const host = at("phases"), width = Math.min(host.clientWidth, 700);
      const data = report.phases.flatMap((p) => [...p.seconds, ["wall clock", p.wall]].map(([phase, seconds]) => ({ cache: p.cache, phase, seconds })));
      const facets = report.phases.length > 1;
      plot(host, "Seconds by phase", base(width, {
        height: 40 + report.phases.length * 130, marginLeft: 76, marginRight: facets ? 140 : 50,
        x: { label: "seconds", grid: true }, y: { label: null, domain: [...new Set(data.map((d) => d.phase))] },
        ...(facets ? { fy: { label: null, tickFormat: (c) => c.split("@")[0] } } : {}),
        marks: [
          Plot.barX(data, { x: "seconds", y: "phase", fy: facets ? "cache" : undefined, fill: (d) => (d.phase === "wall clock" ? css("--weak") : css("--accent")), insetTop: 2, insetBottom: 2 }),
          Plot.text(data, { x: "seconds", y: "phase", fy: facets ? "cache" : undefined, text: (d) => `${short(d.seconds)} s`, textAnchor: "start", dx: 5 }),
        ],
      }));
    },
  };

  // Parallel coordinates, an axis a line: from left to right each axis runs from its smallest value to its largest.
  function parallel() {
    const names = [...report.keys, report.metric];
    const host = at("parallel"), width = host.clientWidth;
    const of = (t, name) => (name === report.metric ? number(t.metrics[name]) : setting(t, name));
    const axes = new Map(names.map((name) => {
      const values = [...new Set(report.trials.map((t) => of(t, name)).filter((v) => v !== null))].sort(compare);
      if (values.every((v) => typeof v === "number") && values.length > 6) {
        const s = (scale(values) === "log" ? d3.scaleLog() : d3.scaleLinear()).domain(d3.extent(values)).range([0, 1]);
        return [name, { place: s, ticks: [values[0], values[values.length - 1]] }];
      }
      const s = d3.scalePoint().domain(values.map(short)).range([0, 1]).padding(values.length > 1 ? 0 : 0.5);
      return [name, { place: (v) => s(short(v)), ticks: values }];
    }));
    const data = report.trials.flatMap((t) => names.filter((n) => of(t, n) !== null).map((name) => ({ trial: t.trial, name, x: axes.get(name).place(of(t, name)), score: of(t, report.metric), t })));
    const left = Math.min(150, d3.max(names, (n) => n.length) * 7 + 42), right = 40;
    // As many letters as there is room for to the next value, and at the right end to the edge.
    const room = (count) => Math.floor(Math.min(count > 1 ? (width - left - right) / (count - 1) : width, 2 * right) / 6.6);
    const ticks = names.flatMap((name) => {
      const { place, ticks: all } = axes.get(name), fits = room(all.length);
      // Of numbers that stand too close the ends are enough; of names, the letters that tell them apart.
      const shown = all.every((v) => typeof v !== "number" || short(v).length <= fits) ? all : [all[0], all[all.length - 1]];
      return shown.map((v) => ({ name, x: place(v), text: typeof v === "number" ? short(v) : ended(short(v), fits) }));
    });
    const scores = data.map((d) => d.score).filter((s) => s !== null);
    // Half of the trials share the weaker half of the colours, whatever the spread of the metric.
    const color = d3.scaleQuantile().domain(scores).range(d3.quantize(d3.interpolateRgb(css("--weak"), css("--accent")), 8));
    const strong = (d) => (report.trials.length < 12 || d.t.rank <= Math.max(5, report.trials.length / 10) ? 0.95 : 0.3);
    plot(host, "All settings together", base(width, {
      height: 50 + names.length * 44, marginLeft: left, marginRight: right, marginTop: 24, marginBottom: 16,
      x: { axis: null, domain: [0, 1] }, y: { type: "point", domain: names, label: null, tickSize: 0, tickPadding: 30 },
      marks: [
        Plot.ruleY(names, { stroke: css("--line") }),
        Plot.line(data.slice().sort((a, b) => b.t.rank - a.t.rank), { x: "x", y: "name", z: "trial", stroke: (d) => (d.score === null ? css("--weak") : color(d.score)), strokeOpacity: strong, strokeWidth: 1.4, curve: "monotone-y" }),
        Plot.text(ticks, { x: "x", y: "name", text: "text", dy: -9, fill: css("--soft"), stroke: css("--card"), strokeWidth: 4, fontSize: 11 }),
      ],
    }));
  }

  function pairs() {
    const { classes, counts } = report.confusion;
    const rows = counts.flatMap((row, i) => row.map((n, j) => ({ is: classes[i], called: classes[j], n, of: d3.sum(row) })).filter((p) => p.n > 0 && p.is !== p.called));
    rows.sort((a, b) => b.n - a.n);
    table(at("pairs"), [
      { name: "class", of: (p) => p.is, text: true }, { name: "taken for", of: (p) => p.called, text: true },
      { name: "rows", of: (p) => p.n, best: true }, { name: "share", of: (p) => p.n / p.of, digits: 3, best: true },
    ], rows.slice(0, 12));
  }

  const draw = drawing(charts);

  if (report.keys.length) {
    const select = at("setting");
    const spread = (key) => new Set(report.trials.map((t) => short(setting(t, key)))).size;
    const first = report.keys.slice().sort((a, b) => spread(b) - spread(a))[0];
    select.append(...report.keys.map((key) => element("option", { value: key, selected: key === first }, key)));
    select.addEventListener("change", () => draw("settings"));
  }
  if (report.confusion) pairs();
})();
