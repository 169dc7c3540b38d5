"use strict";
// What the pages share: the data, helpers, colours, and the charts that are drawn anew when width or colours change.
const page = (() => {
  const report = JSON.parse(document.getElementById("data").textContent);
  const at = (id) => document.getElementById(id);
  const css = (name) => getComputedStyle(document.documentElement).getPropertyValue(name).trim();
  const number = (v) => (typeof v === "number" && Number.isFinite(v) ? v : null);
  const short = (v) => {
    if (v === null || v === undefined) return "–";
    if (typeof v !== "number") return Array.isArray(v) ? v.join(" × ") : String(v);
    if (Number.isInteger(v)) return String(v);
    return Math.abs(v) < 0.001 || Math.abs(v) >= 1e5 ? Number(v.toPrecision(3)).toExponential() : String(Number(v.toPrecision(4)));
  };
  const percent = (v) => `${(100 * v).toFixed(1)}%`;
  const element = (tag, attributes = {}, ...children) => {
    const e = document.createElement(tag);
    for (const [k, v] of Object.entries(attributes)) v === null || v === false || e.setAttribute(k, v === true ? "" : v);
    e.append(...children);
    return e;
  };
  const button = (text, click, attributes = {}) => {
    const e = element("button", { type: "button", ...attributes }, text);
    e.addEventListener("click", click);
    return e;
  };
  // Names of one kind differ at their ends more often than at their beginnings.
  const ended = (text, room) => (text.length > room ? `…${text.slice(1 - Math.max(room, 2))}` : text);
  const absent = (v) => v === null || v === undefined;
  const compare = (a, b) => {
    if (absent(a) || absent(b)) return absent(a) - absent(b);
    return typeof a === "number" && typeof b === "number" ? a - b : String(a).localeCompare(String(b), undefined, { numeric: true });
  };
  // Linear, unless the values span orders of magnitude.
  const scale = (values) => {
    const [low, high] = d3.extent(values.filter((v) => v !== null));
    return low > 0 && high / low > 30 ? "log" : "linear";
  };

  // Charts by the section that they stand in; a section without a figure has none.
  const charts = new Map();
  const draw = (name) => document.querySelector(`section#${name} figure`) && charts.get(name)?.();
  const drawAll = () => [...charts.keys()].forEach(draw);

  // Colours: as the system has them, or the other way round; the choice holds for this file as long as the browser remembers it.
  const themes = ["auto", "dark", "light"];
  const memory = {
    get: () => { try { return localStorage.getItem("headstart-theme"); } catch { return null; } },
    set: (v) => { try { localStorage.setItem("headstart-theme", v); } catch { /* a file opened without storage */ } },
  };
  function theme(name) {
    name === "auto" ? document.documentElement.removeAttribute("data-theme") : document.documentElement.setAttribute("data-theme", name);
    at("theme").textContent = { auto: "Auto", dark: "Dark", light: "Light" }[name];
    at("theme").setAttribute("aria-label", name === "auto" ? "Colours: as the system has them" : `Colours: ${name}`);
    at("theme").value = name;
  }

  // Draws everything, now and whenever width or colours change.
  function start() {
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
  }

  const copy = at("copy");
  copy?.addEventListener("click", async () => {
    try {
      await navigator.clipboard.writeText(at("command").textContent);
      copy.textContent = "Copied";
    } catch {
      // Browsers that give no clipboard to files: the text is selected, and the keyboard copies it.
      getSelection().selectAllChildren(at("command"));
      copy.textContent = "Selected";
    }
    setTimeout(() => (copy.textContent = "Copy"), 1500);
  });

  return { report, at, css, number, short, percent, element, button, ended, absent, compare, scale, charts, draw, start };
})();
