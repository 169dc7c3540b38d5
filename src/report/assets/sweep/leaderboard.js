// The leaderboard: all trials, sorted, filtered, with the columns that are asked for.
(() => {
  const { report, at, element, button, number, short, sweep } = page;
  const { setting, curves, chosen, value, passes } = sweep;
  const FIRST = 20;
  let all = false;

  function matches(trial, words) {
    const text = [trial.status, ...Object.values(trial.settings).map(short)].join(" ").toLowerCase();
    return words.every((word) => {
      const condition = /^([^<>=]+)(<=|>=|<|>|=)(.+)$/.exec(word);
      if (!condition) return text.includes(word.toLowerCase());
      const [, name, sign, wanted] = condition;
      const found = value(trial, name);
      if (page.absent(found)) return false;
      const [a, b] = [Number(found), Number(wanted)];
      if (sign === "=") return short(found).toLowerCase() === wanted.toLowerCase() || (wanted !== "" && a === b);
      return sign === "<" ? a < b : sign === ">" ? a > b : sign === "<=" ? a <= b : a >= b;
    });
  }

  const plotted = {
    name: "plot", plain: true, of: () => null,
    cell: (t) => {
      const box = element("input", { type: "checkbox", "aria-label": `Curves of trial ${t.trial}` });
      box.checked = chosen.has(t.trial);
      box.disabled = !curves.has(t.trial);
      box.addEventListener("change", () => {
        box.checked ? chosen.add(t.trial) : chosen.delete(t.trial);
        box.closest("tr").classList.toggle("on", box.checked);
        page.draw("curves");
      });
      return box;
    },
  };
  const isText = (key) => report.trials.some((t) => typeof setting(t, key) === "string");
  const metricColumn = (m) => ({ name: m, of: (t) => number(t.metrics[m]), digits: 4, best: !/loss|ece/.test(m) });
  const settingColumn = (key) => ({ name: key, of: (t) => setting(t, key), text: isText(key) });
  const columns = [
    ...(report.curves.length ? [plotted] : []),
    { name: "#", of: (t) => t.rank },
    metricColumn(report.metric),
    ...report.keys.map(settingColumn),
    ...report.metrics.filter((m) => m !== report.metric).map(metricColumn),
    { name: "trial", of: (t) => t.trial },
    { name: "epochs trained", of: (t) => t.epochs },
    { name: "seconds", of: (t) => t.seconds, digits: 2 },
    { name: "status", of: (t) => t.status, text: true },
    ...report.fixed.map((f) => settingColumn(f.name)),
  ];

  // Columns that say the same of every trial are folded away, and on a small screen what is not needed to choose a trial.
  const constant = (c) => report.trials.length > 1 && new Set(report.trials.map((t) => short(c.of(t)))).size < 2;
  const first = new Set(["#", report.metric, "val.loss", ...report.keys]);
  const small = window.innerWidth < 560;
  const hidden = new Set(columns.filter((c) => !c.plain && !["#", report.metric].includes(c.name) && (constant(c) || (small && !first.has(c.name)))));

  const redraw = page.table(at("trials"), columns, report.trials, {
    filter: passes,
    visible: (c) => !hidden.has(c),
    limit: () => (all ? Infinity : FIRST),
    on: (t) => chosen.has(t.trial) && report.curves.length > 0,
    drawn: (shown, total) => {
      at("shown").textContent = total === report.trials.length ? `${total} trials` : `${total} of ${report.trials.length} trials`;
      at("more").hidden = all || shown === total;
    },
  });
  sweep.onFilter(redraw);

  const choosable = columns.filter((c) => !c.plain);
  const count = () => (at("columns-shown").textContent = `${choosable.filter((c) => !hidden.has(c)).length} of ${choosable.length}`);
  at("columns").append(...choosable.map((c) => {
    const box = element("input", { type: "checkbox" });
    box.checked = !hidden.has(c);
    box.addEventListener("change", () => {
      box.checked ? hidden.delete(c) : hidden.add(c);
      count();
      redraw();
    });
    const same = constant(c) ? element("small", {}, ` ${short(c.of(report.trials[0]))} in all`) : "";
    return element("label", {}, box, " ", c.name, same);
  }));
  count();
  const menu = at("columns").parentElement;
  document.addEventListener("click", (e) => { if (!menu.contains(e.target)) menu.open = false; });
  menu.addEventListener("keydown", (e) => {
    if (e.key !== "Escape") return;
    menu.open = false;
    menu.querySelector("summary").focus();
  });

  at("filter").addEventListener("input", (e) => {
    const words = e.target.value.split(/\s+/).filter(Boolean);
    sweep.filter("words", words.length ? (t) => matches(t, words) : null);
  });
  at("more").addEventListener("click", () => {
    all = true;
    redraw();
  });

  // Ranges that were brushed on the axes of the parallel coordinates, each with a button that takes it away.
  sweep.showRanges = (ranges) => {
    const chip = ({ name, text, clear }) => button(`${name} ${text} ×`, clear, { class: "chip", "aria-label": `Remove the range ${text} of ${name}` });
    document.querySelectorAll(".ranges").forEach((host) => host.replaceChildren(...ranges.map(chip)));
  };
})();
