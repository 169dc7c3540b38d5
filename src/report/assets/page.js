"use strict";
// What the pages share: helpers, tables, charts that are drawn anew when width or colours change.
const page = (() => {
  const report = JSON.parse(document.getElementById("data").textContent);
  const at = (id) => document.getElementById(id);
  const css = (name) => getComputedStyle(document.documentElement).getPropertyValue(name).trim();
  const number = (v) => (typeof v === "number" && Number.isFinite(v) ? v : null);
  const short = (v) => {
    if (v === null || v === undefined) return "–";
    if (typeof v !== "number") return Array.isArray(v) ? v.join(" × ") : String(v);
    if (Number.isInteger(v)) return String(v);
    return Math.abs(v) < 0.001 || Math.abs(v) >= 1e5 ? v.toExponential(2) : String(Number(v.toPrecision(4)));
  };
  const element = (tag, attributes = {}, ...children) => {
    const e = document.createElement(tag);
    for (const [k, v] of Object.entries(attributes)) v === null || v === false || e.setAttribute(k, v === true ? "" : v);
    e.append(...children);
    return e;
  };

  // Tables: columns {name, of(row), text, digits}; a click on a name sorts, numbers by size.
  const compare = (a, b) => {
    if (a === null || a === undefined) return 1;
    if (b === null || b === undefined) return -1;
    return typeof a === "number" && typeof b === "number" ? a - b : String(a).localeCompare(String(b), undefined, { numeric: true });
  };
  function table(host, columns, rows, options = {}) {
    const state = { column: null, down: false };
    const head = element("thead"), body = element("tbody");
    host.append(head, body);
    const heads = columns.map((c, i) => {
      if (c.plain) return element("th", { scope: "col", class: "plain" }, element("span", { class: "sr" }, c.name));
      const button = element("button", { type: "button" }, c.name);
      button.addEventListener("click", () => {
        state.down = state.column === i ? !state.down : Boolean(c.best);
        state.column = i;
        draw();
      });
      return element("th", { scope: "col", class: c.text ? "text" : null }, button);
    });
    head.append(element("tr", {}, ...heads));
    function draw() {
      let shown = options.filter ? rows.filter(options.filter) : rows.slice();
      if (state.column !== null) {
        const of = columns[state.column].of;
        shown.sort((a, b) => {
          const [x, y] = [of(a), of(b)];
          const absent = (v) => v === null || v === undefined;
          return absent(x) || absent(y) || !state.down ? compare(x, y) : -compare(x, y);
        });
      }
      heads.forEach((h, i) => (i === state.column ? h.setAttribute("aria-sort", state.down ? "descending" : "ascending") : h.removeAttribute("aria-sort")));
      const total = shown.length;
      if (options.limit?.() < total) shown = shown.slice(0, options.limit());
      body.replaceChildren(...shown.map((row) => {
        const cells = columns.map((c) => {
          const content = c.cell ? c.cell(row) : (c.digits !== undefined && number(c.of(row)) !== null ? c.of(row).toFixed(c.digits) : short(c.of(row)));
          return element("td", { class: c.text ? "text" : null }, content);
        });
        return element("tr", { class: options.on?.(row) ? "on" : null }, ...cells);
      }));
      options.drawn?.(shown.length, total);
    }
    draw();
    return draw;
  }

  // Charts. Each draws itself for a width; all are drawn anew when the width or the colours change.
  const narrow = (width) => width < 520;
  const base = (width, more) => ({ width, style: { background: "transparent", color: "currentColor", fontSize: "12px", fontFamily: "inherit" }, ...more });
  const plot = (host, title, options) => {
    const svg = Plot.plot({ ...options, ariaLabel: title });
    host.replaceChildren(element("h3", {}, title), svg);
  };
  // Linear, unless the values span orders of magnitude.
  const scale = (values) => {
    const [low, high] = d3.extent(values.filter((v) => v !== null));
    return low > 0 && high / low > 30 ? "log" : "linear";
  };

  // Draws the charts that the page has a figure for, now and whenever width or colours change; gives back what draws one of them.
  function drawing(charts) {
    const present = Object.keys(charts).filter((name) => document.querySelector(`section#${name} figure`));
    const draw = (name) => present.includes(name) && charts[name]();
    const drawAll = () => present.forEach(draw);
    // Colours: as the system has them, or the other way round; the choice holds for this file as long as the browser remembers it.
    const themes = ["auto", "dark", "light"];
    const memory = { get: () => { try { return localStorage.getItem("headstart-theme"); } catch { return null; } }, set: (v) => { try { localStorage.setItem("headstart-theme", v); } catch { /* a file opened without storage */ } } };
    function theme(name) {
      name === "auto" ? document.documentElement.removeAttribute("data-theme") : document.documentElement.setAttribute("data-theme", name);
      at("theme").textContent = { auto: "Auto", dark: "Dark", light: "Light" }[name];
      at("theme").setAttribute("aria-label", name === "auto" ? "Colours: as the system has them" : `Colours: ${name}`);
      at("theme").value = name;
    }
    theme(themes.includes(memory.get()) ? memory.get() : "auto");
    at("theme").addEventListener("click", () => {
      const next = themes[(themes.indexOf(at("theme").value) + 1) % themes.length];
      theme(next);
      memory.set(next);
      drawAll();
    });
    matchMedia("(prefers-color-scheme: dark)").addEventListener("change", drawAll);

    let width = 0;
    let waiting = 0;
    new ResizeObserver(() => {
      if (document.body.clientWidth === width) return;
      width = document.body.clientWidth;
      cancelAnimationFrame(waiting);
      waiting = requestAnimationFrame(drawAll);
    }).observe(document.body);
    return draw;
  }

  return { report, at, css, number, short, element, compare, table, narrow, base, plot, scale, drawing };
})();
