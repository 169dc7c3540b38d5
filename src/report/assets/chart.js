// Charts: how they are put on the page, with a legend and two buttons that save them as SVG and PNG.
(() => {
  const { at, css, element, button } = page;
  const FONT = 'system-ui, -apple-system, "Segoe UI", Roboto, sans-serif';
  const EDGE = 16;
  const svg = (tag, attributes = {}, ...children) => {
    const e = document.createElementNS("http://www.w3.org/2000/svg", tag);
    for (const [k, v] of Object.entries(attributes)) v === null || v === undefined || e.setAttribute(k, v);
    e.append(...children);
    return e;
  };

  page.svg = svg;
  page.narrow = (width) => width < 520;
  page.base = (width, more) => ({ width, style: { background: "transparent", color: "currentColor", fontSize: "12px", fontFamily: "inherit" }, ...more });
  page.plot = (host, title, options, legend = []) => page.show(host, title, Plot.plot({ ...options, ariaLabel: title }), legend);

  // Puts a chart into its figure. Legend: [{label, color, dash}].
  page.show = (host, title, chart, legend = [], { end } = {}) => {
    host.setAttribute("aria-label", title);
    if (!chart.hasAttribute("role")) chart.setAttribute("role", "img");
    const save = (kind) => button(kind, () => saved(title, chart, legend, kind), { "aria-label": `Save “${title}” as ${kind}`, title: `Save this chart as ${kind}` });
    const head = element("div", { class: "chart-head" }, element("h3", {}, title), element("span", { class: "save" }, save("SVG"), save("PNG")));
    const swatch = (l) => svg("svg", { width: 22, height: 10, "aria-hidden": "true" }, line(l, 0, 5));
    const list = element("ul", { class: "legend" }, ...legend.map((l) => element("li", {}, swatch(l), l.label)));
    const canvas = element("div", { class: "canvas" }, chart);
    host.replaceChildren(head, ...(legend.length ? [list] : []), canvas);
    // What is wider than its place is scrolled, by keyboard too; shadows say where it goes on.
    if (canvas.scrollWidth > canvas.clientWidth + 1) {
      const shadows = () => {
        canvas.classList.toggle("cut", canvas.scrollLeft + canvas.clientWidth < canvas.scrollWidth - 4);
        canvas.classList.toggle("cut-left", canvas.scrollLeft > 4);
      };
      canvas.addEventListener("scroll", shadows, { passive: true });
      if (end) canvas.scrollLeft = canvas.scrollWidth;
      shadows();
      for (const [k, v] of Object.entries({ tabindex: 0, role: "region", "aria-label": `${title}, scrolls sideways` })) canvas.setAttribute(k, v);
    }
  };
  const line = (l, x, y) =>
    l.dot
      ? svg("circle", { cx: x + 11, cy: y, r: 4.5, fill: l.color })
      : svg("line", { x1: x, x2: x + 22, y1: y, y2: y, stroke: l.color, "stroke-width": l.width ?? 2.5, "stroke-dasharray": l.dash });

  // A chart that stands alone: title, legend and chart on the page's ground, with nothing left to the page's style.
  function alone(title, chart, legend) {
    const width = chart.clientWidth || Number(chart.getAttribute("width")), height = chart.clientHeight || Number(chart.getAttribute("height"));
    const ruler = document.createElement("canvas").getContext("2d");
    ruler.font = `12px ${FONT}`;
    const whole = svg("svg", { xmlns: "http://www.w3.org/2000/svg", "font-family": FONT, "font-size": 12, color: css("--ink"), fill: css("--ink") });
    // A chart may be narrower than one of its legend's lines.
    const wide = Math.max(width, ...legend.map((l) => 30 + ruler.measureText(l.label).width));
    whole.setAttribute("width", wide + 2 * EDGE);
    const ground = svg("rect", { width: "100%", height: "100%", fill: css("--card") });
    whole.append(ground, svg("text", { x: EDGE, y: EDGE + 12, "font-weight": 600, "font-size": 14 }, title));
    let [x, y] = [EDGE, EDGE + 34];
    for (const l of legend) {
      const room = 30 + ruler.measureText(l.label).width;
      if (x > EDGE && x + room > wide + EDGE) [x, y] = [EDGE, y + 20];
      whole.append(line(l, x, y - 4), svg("text", { x: x + 28, y }, l.label));
      x += room + 18;
    }
    const top = legend.length ? y + 12 : EDGE + 24;
    const inner = chart.cloneNode(true);
    inner.querySelectorAll("[aria-label=tip], [data-screen]").forEach((e) => e.remove());
    for (const [k, v] of Object.entries({ x: EDGE, y: top, width, height, overflow: "visible" })) inner.setAttribute(k, v);
    inner.setAttribute("style", `color: ${css("--ink")}; font-family: ${FONT}; font-size: 12px; --plot-background: ${css("--card")}; overflow: visible`);
    whole.append(inner);
    whole.setAttribute("height", top + height + EDGE);
    return whole;
  }

  async function saved(title, chart, legend, kind) {
    const whole = alone(title, chart, legend);
    const text = new XMLSerializer().serializeToString(whole);
    let file = new Blob([text], { type: "image/svg+xml" });
    if (kind === "PNG") {
      const image = new Image();
      image.src = `data:image/svg+xml;charset=utf-8,${encodeURIComponent(text)}`;
      await image.decode();
      const canvas = document.createElement("canvas");
      [canvas.width, canvas.height] = [2 * Number(whole.getAttribute("width")), 2 * Number(whole.getAttribute("height"))];
      canvas.getContext("2d").drawImage(image, 0, 0, canvas.width, canvas.height);
      file = await new Promise((done) => canvas.toBlob(done, "image/png"));
    }
    const address = URL.createObjectURL(file);
    const name = `${document.title.split(" – ")[0]} ${title}`.replace(/[^\p{L}\p{N}.]+/gu, "-").toLowerCase();
    const link = element("a", { href: address, download: `${name}.${kind.toLowerCase()}` });
    link.click();
    setTimeout(() => URL.revokeObjectURL(address), 10_000);
  }
})();
