// What the sections of a sweep share: which trials are drawn, which are filtered, and how trials are named.
page.sweep = (() => {
  const { report, number, short } = page;
  const setting = (trial, key) => trial.settings[key] ?? null;
  const curves = new Map(report.curves.map((c) => [c.trial, c.series]));
  // Whose curves are drawn: the best few to begin with.
  const chosen = new Set(report.trials.filter((t) => curves.has(t.trial)).slice(0, 4).map((t) => t.trial));
  const fields = (t) => ({ trial: t.trial, epochs: t.epochs, status: t.status, seconds: t.seconds });
  const value = (trial, name) => (name in trial.metrics ? trial.metrics[name] : name in trial.settings ? trial.settings[name] : fields(trial)[name]);
  const score = (trial) => number(trial.metrics[report.metric]);

  // Filters by name, each of them a function of a trial; who is told when they change.
  const filters = new Map();
  const told = [];
  const filter = (name, passes) => {
    passes ? filters.set(name, passes) : filters.delete(name);
    told.forEach((tell) => tell());
  };
  const passes = (trial) => [...filters.values()].every((f) => f(trial));

  // A trial by the settings in which the trials differ: the value alone where it is a word, otherwise name and value.
  function names(trials) {
    const keys = report.keys.filter((k) => new Set(trials.map((t) => short(setting(t, k)))).size > 1);
    const part = (t, k) => (typeof setting(t, k) === "string" ? setting(t, k) : `${k} ${short(setting(t, k))}`);
    const texts = trials.map((t) => keys.filter((k) => setting(t, k) !== null).map((k) => part(t, k)).join(", "));
    return trials.map((t, i) => (texts[i] && texts.indexOf(texts[i]) === texts.lastIndexOf(texts[i]) ? texts[i] : `${texts[i] ? `${texts[i]}, ` : ""}trial ${t.trial}`));
  }
  const told_of = (t) => `trial ${t.trial}, place ${t.rank}\n${report.metric} ${short(score(t))}\n${report.keys.map((k) => `${k} ${short(setting(t, k))}`).join("\n")}`;

  return { setting, curves, chosen, value, score, filter, passes, onFilter: (tell) => told.push(tell), names, describe: told_of };
})();
