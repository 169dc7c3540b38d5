// Tables: columns {name, of(row), text, digits}; a click on a name sorts, numbers by size.
page.table = (host, columns, rows, options = {}) => {
  const { element, button, absent, compare, number, short } = page;
  const state = { column: columns.findIndex((c) => c.name === options.sort), down: false };
  const head = element("thead"), body = element("tbody");
  host.append(head, body);
  const heads = columns.map((c, i) => {
    if (c.plain) return element("th", { scope: "col", class: "plain" }, element("span", { class: "sr" }, c.name));
    const sort = button(c.name, () => {
      state.down = state.column === i ? !state.down : Boolean(c.best);
      state.column = i;
      draw();
    });
    return element("th", { scope: "col", class: c.text ? "text" : null }, sort);
  });
  const row = element("tr");
  head.append(row);
  const content = (c, r) => (c.cell ? c.cell(r) : c.digits !== undefined && number(c.of(r)) !== null ? c.of(r).toFixed(c.digits) : short(c.of(r)));

  function draw() {
    const shows = columns.map((c) => options.visible?.(c) ?? true);
    const wanted = heads.filter((_, i) => shows[i]);
    // The heads stay where they are, so that the keyboard's place is kept.
    if (wanted.length !== row.children.length || wanted.some((h, i) => row.children[i] !== h)) row.replaceChildren(...wanted);
    let shown = options.filter ? rows.filter(options.filter) : rows.slice();
    if (state.column >= 0) {
      const of = columns[state.column].of;
      shown.sort((a, b) => {
        const [x, y] = [of(a), of(b)];
        return absent(x) || absent(y) || !state.down ? compare(x, y) : -compare(x, y);
      });
    }
    heads.forEach((h, i) => (i === state.column ? h.setAttribute("aria-sort", state.down ? "descending" : "ascending") : h.removeAttribute("aria-sort")));
    const total = shown.length;
    if (options.limit?.() < total) shown = shown.slice(0, options.limit());
    body.replaceChildren(...shown.map((r) => {
      const cells = columns.filter((_, i) => shows[i]).map((c) => element("td", { class: c.text ? "text" : null }, content(c, r)));
      return element("tr", { class: options.on?.(r) ? "on" : null }, ...cells);
    }));
    options.drawn?.(shown.length, total);
    cue();
  }

  // A table wider than its place says how many of its columns stand further right, and goes there.
  const region = host.parentElement;
  const hint = button("", () => region.scrollBy({ left: region.clientWidth * 0.8, behavior: "smooth" }), { class: "further", hidden: true });
  region.after(hint);
  function cue() {
    const edge = region.getBoundingClientRect().right;
    const further = [...row.children].filter((h) => (h.getBoundingClientRect().left + h.getBoundingClientRect().right) / 2 > edge).length;
    hint.hidden = further === 0;
    hint.textContent = `${further} more column${further === 1 ? "" : "s"} →`;
    region.classList.toggle("cut", further > 0);
  }
  region.addEventListener("scroll", cue, { passive: true });
  new ResizeObserver(cue).observe(region);
  draw();
  return draw;
};
