// Small plots, drawn as SVG. Each has its figures in words beside it, and never colour alone.

const BINS = 20;

// Bars of counts over 0 to 100 %; the share the model is not sure of is hatched.
function histogram(sure, unsure, label) {
  const width = 160,
    height = 44,
    step = width / BINS;
  const top = Math.max(1, ...sure.map((n, i) => n + unsure[i]));
  // square root: a few memes in one bin stay visible beside thousands in another
  const tall = (n) => (n ? Math.max(1.5, Math.sqrt(n / top) * height) : 0);
  const bars = sure.map((n, i) => {
    const all = tall(n + unsure[i]);
    const solid = n + unsure[i] ? (all * n) / (n + unsure[i]) : 0;
    return [
      solid && s("rect", { class: "bar", x: i * step + 0.5, y: height - solid, width: step - 1, height: solid }),
      all > solid &&
        s("rect", { class: "bar unsure", x: i * step + 0.5, y: height - all, width: step - 1, height: all - solid }),
    ];
  });
  return s(
    "svg",
    {
      class: "histogram",
      viewBox: `0 0 ${width} ${height + 1}`,
      role: "img",
      "aria-label": label,
      preserveAspectRatio: "none",
    },
    s("line", { class: "axis", x1: 0, x2: width, y1: height + 0.5, y2: height + 0.5 }),
    bars.flat(),
  );
}

// One bar cut into parts: [{name, n, kind}].
function stacked(parts, label) {
  const total = parts.reduce((sum, part) => sum + part.n, 0) || 1;
  let x = 0;
  const cuts = parts
    .filter((part) => part.n)
    .map((part) => {
      const width = Math.max(0.6, (part.n / total) * 100);
      const cut = s(
        "rect",
        { class: `part ${part.kind}`, x, y: 0, width: Math.max(0.3, width - 0.3), height: 10 },
        s("title", {}, `${part.name}: ${number(part.n)}`),
      );
      x += width;
      return cut;
    });
  return s(
    "svg",
    {
      class: "stacked",
      viewBox: `0 0 ${Math.max(100, x)} 10`,
      preserveAspectRatio: "none",
      role: "img",
      "aria-label": label,
    },
    cuts,
  );
}

// A bar for one probability; hatched where the model is not sure.
function probabilityBar(p, kind) {
  return s(
    "svg",
    { class: `probability ${kind}`, viewBox: "0 0 100 4", preserveAspectRatio: "none", "aria-hidden": "true" },
    s("rect", { class: "track", x: 0, y: 0, width: 100, height: 4 }),
    s("rect", { class: "fill", x: 0, y: 0, width: Math.max(p > 0 ? 0.8 : 0, p * 100), height: 4 }),
  );
}

// A hatching pattern that all plots of the page use by its id.
function hatching() {
  return s(
    "svg",
    { class: "defs", "aria-hidden": "true", width: 0, height: 0 },
    s(
      "defs",
      {},
      s(
        "pattern",
        { id: "hatch", width: 4, height: 4, patternUnits: "userSpaceOnUse", patternTransform: "rotate(45)" },
        s("rect", { class: "hatch-ground", width: 4, height: 4 }),
        s("rect", { class: "hatch-line", width: 1.6, height: 4 }),
      ),
    ),
  );
}

// Names with bars of counts; each is a button that filters. items: [{name, n, unsure, pressed, onclick, note}]
function countBars(items) {
  const top = Math.max(1, ...items.map((item) => item.n));
  return h(
    "ul",
    { class: "counts" },
    items.map((item) =>
      h(
        "li",
        {},
        h(
          "button",
          {
            type: "button",
            class: "count",
            "aria-pressed": item.pressed === undefined ? null : String(item.pressed),
            onclick: item.onclick,
            title: item.note,
          },
          h("span", { class: "count-name" }, item.name),
          h("span", { class: "count-n" }, number(item.n)),
          s(
            "svg",
            { class: "count-bar", viewBox: "0 0 100 3", preserveAspectRatio: "none", "aria-hidden": "true" },
            s("rect", { class: "bar", x: 0, y: 0, width: ((item.n - (item.unsure || 0)) / top) * 100, height: 3 }),
            item.unsure
              ? s("rect", {
                  class: "bar unsure",
                  x: ((item.n - item.unsure) / top) * 100,
                  y: 0,
                  width: (item.unsure / top) * 100,
                  height: 3,
                })
              : null,
          ),
        ),
      ),
    ),
  );
}
