// What an answer rests on: regions over the picture, marked words in the text, and both by weight.

function pictureSection(row, detail) {
  const regions = opened.lens ? detail.v[opened.lens].g : [];
  const frame = h("div", { class: "frame" }, pictureButton(row, "0", true));
  const top = Math.max(...regions.map((region) => Math.abs(region[4])), 1e-9);
  const heat = h(
    "div",
    { class: "heat", "aria-hidden": "true" },
    regions.map(([x, y, width, height, weight]) =>
      h("span", {
        class: weight >= 0 ? "region towards" : "region against",
        style: {
          left: `${x * 100}%`,
          top: `${y * 100}%`,
          width: `${width * 100}%`,
          height: `${height * 100}%`,
          "--strength": Math.abs(weight) / top,
        },
      }),
    ),
  );
  if (frame.querySelector("img")) frame.append(heat);
  return h(
    "section",
    { "aria-label": "Picture" },
    frame,
    frame.querySelector("img")
      ? h("p", { class: "hint" }, "Click or tap the picture, or press Enter on it, to show or hide it.")
      : null,
  );
}

// The text with the words of the chosen evidence marked. Positions count characters as Python does (code points).
function textSection(row, detail) {
  const spans = opened.lens ? detail.v[opened.lens].s : [];
  const blocks = [];
  if (row.read !== null && row.read === row.text) blocks.push(["Text read from the picture", row.text]);
  else {
    if (row.text || row.read === null) blocks.push([row.read === null ? "Text" : "Given text", row.text]);
    if (row.read !== null) blocks.push(["Text read from the picture", row.read]);
  }
  let marked = false;
  return blocks.map(([title, text]) => {
    const fits = !marked && spans.length && text && spansFit(text, spans);
    marked ||= fits;
    return h(
      "section",
      {},
      h("h3", {}, title),
      text
        ? h("p", textOf(row, { class: "meme-text" }), fits ? markedText(text, spans) : text)
        : h("p", { class: "hint" }, "none"),
    );
  });
}

function spansFit(text, spans) {
  const points = Array.from(text);
  return spans.every(([word, start, end]) => points.slice(start, end).join("") === word);
}

function markedText(text, spans) {
  const points = Array.from(text);
  const top = Math.max(...spans.map((span) => Math.abs(span[3])), 1e-9);
  const parts = [];
  let at = 0;
  for (const [word, start, end, weight] of [...spans].sort((a, b) => a[1] - b[1])) {
    if (start < at) continue;
    parts.push(points.slice(at, start).join(""));
    parts.push(
      h(
        "mark",
        {
          class: weight >= 0 ? "towards" : "against",
          style: { "--strength": Math.abs(weight) / top },
          title: signed(weight),
        },
        word,
      ),
    );
    at = end;
  }
  parts.push(points.slice(at).join(""));
  return parts;
}

// Where in the picture a region is, in words.
function placeOf([x, y, width, height]) {
  if (width > 0.9 && height > 0.9) return "whole picture";
  const third = (at, names) => names[Math.min(2, Math.floor(at * 3))];
  const down = third(y + height / 2, ["top", "middle", "bottom"]),
    across = third(x + width / 2, ["left", "centre", "right"]);
  return `picture, ${width > 0.9 ? down : height > 0.9 ? across : `${down} ${across}`}`;
}

const signed = (weight) => `${weight >= 0 ? "+" : "−"}${Math.abs(weight).toFixed(2)}`;

function lensSection(row, detail) {
  const explained = Object.keys(detail.v ?? {});
  if (!explained.length) return null;
  const { s: spans, g: regions, w: says } = detail.v[opened.lens];
  const weights = [
    ...spans.map(([word, , , weight]) => ({ name: h("bdi", textOf(row, {}), word.slice(0, 60)), weight })),
    ...regions.map((region) => ({ name: h("i", {}, placeOf(region)), weight: region[4] })),
  ];
  const strongest = weights.sort((a, b) => Math.abs(b.weight) - Math.abs(a.weight)).slice(0, 10);
  return h(
    "section",
    { class: "lens" },
    h("h3", {}, "What the answer rests on"),
    explained.length > 1
      ? h(
          "div",
          { class: "lens-choice", role: "group", "aria-label": "Evidence for" },
          explained.map((name) =>
            h(
              "button",
              {
                type: "button",
                class: "button small",
                "aria-pressed": String(name === opened.lens),
                "data-lens": name,
                onclick: () => {
                  opened.lens = name;
                  drawDetail();
                  $("detail")
                    .querySelector(`[data-lens="${CSS.escape(name)}"]`)
                    .focus();
                },
              },
              words(name),
            ),
          ),
        )
      : h("p", { class: "hint" }, `For “${words(opened.lens)}”`),
    says ? h("p", { dir: "auto", class: "says" }, says) : null,
    strongest.length
      ? h(
          "ul",
          { class: "weights", "aria-label": "Words and regions by weight" },
          strongest.map(({ name, weight }) =>
            h("li", { class: weight >= 0 ? "towards" : "against" }, name, h("span", {}, signed(weight))),
          ),
        )
      : null,
    h(
      "p",
      { class: "hint" },
      "Change in log-odds of the answer when the word or region is taken away. ",
      h("span", { class: "key towards" }, "Towards"),
      " the answer, or ",
      h("span", { class: "key against" }, "against"),
      " it. ",
      regions.length
        ? `${plural(regions.length, "region is", "regions are")} drawn over the picture.`
        : "No region of the picture is named.",
    ),
  );
}
