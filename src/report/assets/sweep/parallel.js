// Parallel coordinates: an upright axis a setting, the metric last, a line a trial. A range drawn on an axis filters the trials, here and in the leaderboard.
(() => {
  const { report, at, css, svg, short, scale, compare, ended, sweep } = page;
  const { setting, score } = sweep;
  const HEIGHT = 300, TOP = 34, BOTTOM = 22, SPACE = 92, MOST_VALUES = 12;
  // Next to the metric stands what matters most for it.
  const order = report.importance ? report.importance.settings.map((s) => s.name).reverse() : report.keys;
  const names = [...order, report.metric];
  const value = (t, name) => (name === report.metric ? score(t) : setting(t, name));
  // Ranges by axis, from 0 at the foot to 1 at the top.
  const ranges = new Map();

  // An axis: where a value stands on it, from 0 to 1, and its ticks. Values that are absent stand at the foot.
  function axis(name) {
    const values = [...new Set(report.trials.map((t) => value(t, name)))].sort(compare);
    const known = values.filter((v) => v !== null), lacks = known.length < values.length;
    const foot = lacks ? 0.12 : 0;
    if (known.length > (name === report.metric ? 1 : 6) && known.every((v) => typeof v === "number")) {
      const log = scale(known) === "log";
      const s = (log ? d3.scaleLog() : d3.scaleLinear()).domain(d3.extent(known)).range([foot, 1]);
      // Of an axis by powers of ten, as many round numbers as stand apart.
      const of = (digits) => s.ticks(5).filter((v) => !log || digits.includes(v.toExponential()[0]));
      const apart = (values) => d3.pairs(values).every(([a, b]) => s(b) - s(a) > 0.075);
      const round = ["1235", "13", "1"].map(of).find(apart) ?? d3.extent(known);
      const ticks = round.map((v) => ({ at: s(v), text: short(v) }));
      return { place: (v) => (v === null ? 0 : s(v)), ticks: lacks ? [{ at: 0, text: "–" }, ...ticks] : ticks, read: (p) => short(Number(s.invert(p).toPrecision(3))), foot };
    }
    const texts = [...(lacks ? [null] : []), ...known].map(short);
    const s = d3.scalePoint(texts, [0.05, 0.95]).padding(texts.length > 1 ? 0 : 0.5);
    const step = Math.ceil(texts.length / MOST_VALUES);
    return { place: (v) => s(short(v)), step: texts.length > 1 ? s.step() : 1, ticks: texts.filter((_, i) => i % step === 0).map((text) => ({ at: s(text), text })), within: (low, high) => texts.filter((t) => s(t) >= low && s(t) <= high) };
  }

  // Lines that share one of few values stand apart there, the better ones on top.
  function spread(name, { step }) {
    if (!step) return () => 0;
    const of = d3.groups(report.trials, (t) => short(value(t, name)));
    const offset = new Map(of.flatMap(([, trials]) => trials.map((t, i) => [t, trials.length > 1 ? 0.5 - i / (trials.length - 1) : 0])));
    return (t) => offset.get(t) * Math.min(0.3 * step, 0.09);
  }

  const axes = new Map();
  const shifts = new Map();
  const inside = (t) => [...ranges].every(([name, [low, high]]) => {
    const p = axes.get(name).place(value(t, name));
    return p >= low - 1e-9 && p <= high + 1e-9;
  });

  page.parallel = () => {
    if (axes.size === 0) names.forEach((n) => axes.set(n, axis(n)));
    if (shifts.size === 0) names.forEach((n) => shifts.set(n, n === report.metric ? () => 0 : spread(n, axes.get(n))));
    const host = at("parallel"), width = Math.max(host.clientWidth, names.length * SPACE + 24);
    const longest = (name) => d3.max(axes.get(name).ticks, (t) => t.text.length) * 6.4;
    const left = Math.min(Math.max(longest(names[0]) + 16, names[0].length * 3.6, 30), 120), right = Math.max(report.metric.length * 3.8, 24);
    const x = d3.scalePoint(names, [left, width - right]);
    const space = names.length > 1 ? x.step() : width;
    const y = d3.scaleLinear([0, 1], [HEIGHT - BOTTOM, TOP]);
    const scores = report.trials.map(score).filter((s) => s !== null);
    // Half of the trials share the weaker half of the colours, whatever the spread of the metric.
    const ramp = d3.quantize(d3.interpolateRgb(css("--far"), css("--accent")), 8);
    const color = scores.length ? d3.scaleQuantile().domain(scores).range(report.more ? ramp : ramp.slice().reverse()) : () => css("--far");
    const stroke = (t) => (score(t) === null ? css("--far") : color(score(t)));

    const lines = report.trials.slice().reverse().map((t) => {
      const points = names.filter((n) => n !== report.metric || score(t) !== null).map((n) => [x(n), y(axes.get(n).place(value(t, n)) + shifts.get(n)(t))]);
      return { t, points, path: svg("path", { d: d3.line()(points), fill: "none", stroke: stroke(t), "stroke-width": 1.4 }) };
    });
    const upright = names.map((name) => {
      const { ticks } = axes.get(name), metric = name === report.metric;
      const label = svg("text", { x: x(name), y: 14, "text-anchor": "middle", "font-weight": 600, fill: css(metric ? "--accent" : "--ink") }, ended(name, Math.floor(Math.min(space, 200) / 7)));
      label.append(svg("title", {}, name));
      const g = svg("g", {}, svg("line", { x1: x(name), x2: x(name), y1: y(0), y2: y(1), stroke: css("--weak"), "stroke-width": 1.2 }), label);
      for (const t of ticks) {
        const text = { x: x(name) - 7, y: y(t.at) + 4, "text-anchor": "end", "font-size": 11, fill: css("--ink"), stroke: css("--card"), "stroke-width": 4, "paint-order": "stroke", "stroke-linejoin": "round" };
        g.append(svg("line", { x1: x(name) - 4, x2: x(name), y1: y(t.at), y2: y(t.at), stroke: css("--weak") }), svg("text", text, ended(t.text, Math.floor((space - 16) / 6.4))));
      }
      return g;
    });
    const chart = svg("svg", { width, height: HEIGHT, viewBox: `0 0 ${width} ${HEIGHT}`, role: "img", "aria-label": `Settings and ${report.metric} of ${report.trials.length} trials as parallel coordinates`, "font-size": 12, style: "max-width: none" },
      svg("g", {}, ...lines.map((l) => l.path)), ...upright);

    // Lines that pass stand out; without a filter the best ones do.
    function shade() {
      const some = report.trials.some((t) => !sweep.passes(t));
      const best = (t) => report.trials.length < 12 || t.rank <= Math.max(5, report.trials.length / 10);
      for (const { t, path } of lines) {
        path.setAttribute("stroke-opacity", some ? (sweep.passes(t) ? 0.95 : 0.07) : best(t) ? 0.95 : 0.4);
        path.setAttribute("stroke-width", some ? 1.8 : best(t) ? 2 : 1.2);
      }
    }
    shading = shade;

    // A brush an axis.
    names.forEach((name) => {
      const g = d3.select(chart).append("g").attr("data-screen", "").attr("transform", `translate(${x(name)},0)`);
      const brush = d3.brushY().extent([[-16, TOP - 6], [16, HEIGHT - BOTTOM + 6]]).on("brush end", ({ selection, sourceEvent }) => {
        if (!sourceEvent) return;
        selection ? ranges.set(name, [y.invert(selection[1]), y.invert(selection[0])]) : ranges.delete(name);
        tell();
      });
      g.call(brush);
      if (ranges.has(name)) g.call(brush.move, [y(ranges.get(name)[1]), y(ranges.get(name)[0])]);
      g.selectAll(".selection").attr("fill", css("--accent")).attr("stroke", css("--accent"));
    });

    // The trial whose line is nearest to the pointer, told below.
    chart.addEventListener("pointermove", (e) => {
      const [px, py] = d3.pointer(e, chart);
      const distance = ({ points }) => {
        const i = Math.min(Math.max(d3.bisectLeft(points.map((p) => p[0]), px), 1), points.length - 1), [a, b] = [points[i - 1], points[i]];
        return Math.abs(a[1] + ((b[1] - a[1]) * (px - a[0])) / (b[0] - a[0]) - py);
      };
      const near = points_shown().filter((l) => l.points.length > 1).map((l) => [distance(l), l]).sort((a, b) => a[0] - b[0])[0];
      shade();
      if (!near || near[0] > 12) return (at("nearest").textContent = "");
      near[1].path.setAttribute("stroke-width", 4);
      near[1].path.setAttribute("stroke-opacity", 1);
      at("nearest").textContent = sweep.describe(near[1].t).replaceAll("\n", ", ");
    });
    chart.addEventListener("pointerleave", () => { shade(); at("nearest").textContent = ""; });
    const points_shown = () => lines.filter((l) => sweep.passes(l.t));
    shade();
    page.show(host, "All settings together", chart, [{ label: `worse ${report.metric}`, color: css("--far") }, { label: "better", color: css("--accent") }], { end: true });
  };

  let shading = () => {};
  sweep.onFilter(() => shading());

  function tell() {
    sweep.filter("ranges", ranges.size ? inside : null);
    sweep.showRanges([...ranges].map(([name, [low, high]]) => {
      const { read, within, foot } = axes.get(name);
      const text = within ? within(low, high).join(" or ") || "none" : `${high < foot ? "–" : `${read(Math.max(low, foot))} to ${read(Math.min(high, 1))}`}`;
      return { name, text, clear: () => { ranges.delete(name); tell(); page.parallel(); } };
    }));
  }
})();
