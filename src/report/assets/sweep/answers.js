// Photos of the best head's answers, by class, answer, split and how sure it was.
(() => {
  const { report, at, element, percent } = page;
  if (!report.answers.length) return;
  const STEP = 24;
  let limit = STEP;
  const by = { kind: at("answers-kind"), split: at("answers-split"), class: at("answers-class"), predicted: at("answers-predicted"), order: at("answers-order") };
  const distinct = (key) => [...new Set(report.answers.map((a) => a[key]))].sort(page.compare);
  for (const key of ["split", "class", "predicted"]) by[key].append(element("option", { value: "" }, "any"), ...distinct(key).map((v) => element("option", { value: v }, v)));
  if (report.wrong[0] === 0) by.kind.value = "right";

  function card(a) {
    const photo = a.photo
      ? element("img", { src: a.photo, width: 128, height: 128, alt: a.right ? `${a.class}, classified correctly` : `${a.class} classified as ${a.predicted}`, title: a.path })
      : element("span", { class: "missing", title: a.path }, a.path);
    const own = a.probability_of_class === null ? "" : ` ${percent(a.probability_of_class)}`;
    const said = element("span", {}, element("b", { class: a.right ? "good" : "wrong" }, a.predicted), ` ${percent(a.probability)}`);
    return element("li", {}, photo, said, element("span", {}, a.right ? "right " : `is ${a.class}${own} `, element("small", {}, a.split)));
  }

  function draw() {
    const fits = (key) => (a) => by[key].value === "" || a[key] === by[key].value;
    const wanted = { wrong: (a) => !a.right, right: (a) => a.right, all: () => true }[by.kind.value];
    const found = report.answers.filter((a) => wanted(a) && ["split", "class", "predicted"].every((key) => fits(key)(a)));
    const sign = by.order.value === "sure" ? -1 : 1;
    found.sort((a, b) => sign * (a.probability - b.probability));
    at("answers").replaceChildren(...found.slice(0, limit).map(card));
    const one = found.length === 1 ? "answer" : "answers";
    at("answers-count").textContent = found.length > limit ? `${limit} of ${found.length} answers` : `${found.length} ${one}`;
    at("answers-more").hidden = found.length <= limit;
    at("answers-reset").hidden = Object.values(by).every((s) => s.selectedIndex === 0);
  }
  const change = () => {
    limit = STEP;
    draw();
  };
  Object.values(by).forEach((s) => s.addEventListener("change", change));
  at("answers-more").addEventListener("click", () => {
    limit += STEP;
    draw();
  });
  at("answers-reset").addEventListener("click", () => {
    Object.values(by).forEach((s) => (s.selectedIndex = 0));
    change();
  });

  // What a cell of the confusion matrix opens.
  page.openAnswers = (split, is, called) => {
    Object.assign(by.kind, { value: is === called ? "right" : "wrong" });
    for (const [key, value] of Object.entries({ split, class: is, predicted: called })) {
      by[key].value = value;
      if (by[key].selectedIndex < 0) by[key].value = "";
    }
    change();
    at("photos").scrollIntoView();
    at("photos-title").focus({ preventScroll: true });
  };
  draw();
})();
