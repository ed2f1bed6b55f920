// The page of one meme: picture, text, all answers, what they rest on, and the same meme elsewhere.

let opened = null; // {row, among (the list it was opened from), at, lens (task whose evidence is drawn)}

function openMeme(row, among) {
  const { detail } = drawn(row);
  const explained = Object.keys(detail.v ?? {});
  opened = { row, among, at: among.indexOf(row), lens: explained[0] ?? null };
  drawDetail();
  if (!$("detail").open) $("detail").showModal();
  $("detail").scrollTop = 0;
  $("detail-title").focus({ preventScroll: true });
}

function step(by) {
  const at = opened.at + by;
  if (at < 0 || at >= opened.among.length) return;
  openMeme(opened.among[at], opened.among);
}

function closeDetail() {
  $("detail").close();
}

function drawDetail() {
  const { row, among, at } = opened;
  const { detail } = drawn(row);
  replace($("detail"),
    h("header", { class: "detail-head" },
      h("h2", { id: "detail-title", tabindex: "-1" }, h("span", { class: `badge ${row.action}` }, ACTION_NAMES[row.action]),
        row.error !== null ? h("span", { class: "badge error" }, "error") : null,
        h("bdi", { class: "path" }, plainName(row.path || row.id))),
      h("div", { class: "detail-nav" },
        h("span", { class: "muted" }, among.length > 1 ? `${number(at + 1)} of ${number(among.length)}` : ""),
        h("button", { type: "button", class: "button", disabled: at <= 0, onclick: () => step(-1), "aria-label": "Previous meme" }, "‹"),
        h("button", { type: "button", class: "button", disabled: at >= among.length - 1, onclick: () => step(1), "aria-label": "Next meme" }, "›"),
        h("button", { type: "button", class: "button", onclick: closeDetail }, "Close"))),
    h("div", { class: "detail-body" },
      h("div", { class: "detail-left" }, pictureSection(row, detail), textSection(row, detail), lensSection(row, detail)),
      h("div", { class: "detail-right" }, reasonSection(row), answerSection(row, detail), rationaleSection(row, detail), duplicateSection(row), factsSection(row, detail))));
}

function pictureSection(row, detail) {
  const regions = opened.lens ? detail.v[opened.lens].g : [];
  const frame = h("div", { class: "frame" }, pictureButton(row, "0", true));
  const top = Math.max(...regions.map((region) => Math.abs(region[4])), 1e-9);
  const heat = h("div", { class: "heat", "aria-hidden": "true" }, regions.map(([x, y, width, height, weight]) =>
    h("span", { class: weight >= 0 ? "region towards" : "region against", style: {
      left: `${x * 100}%`, top: `${y * 100}%`, width: `${width * 100}%`, height: `${height * 100}%`, "--strength": Math.abs(weight) / top } })));
  if (frame.querySelector("img")) frame.append(heat);
  return h("section", { "aria-label": "Picture" }, frame,
    frame.querySelector("img") ? h("p", { class: "hint" }, "Click the picture, or press Enter on it, to show or hide it.") : null);
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
    return h("section", {}, h("h3", {}, title),
      text ? h("p", textOf(row, { class: "meme-text" }), fits ? markedText(text, spans) : text) : h("p", { class: "hint" }, "none"));
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
    parts.push(h("mark", { class: weight >= 0 ? "towards" : "against", style: { "--strength": Math.abs(weight) / top }, title: signed(weight) }, word));
    at = end;
  }
  parts.push(points.slice(at).join(""));
  return parts;
}

// Where in the picture a region is, in words.
function placeOf([x, y, width, height]) {
  if (width > 0.9 && height > 0.9) return "whole picture";
  const third = (at, names) => names[Math.min(2, Math.floor(at * 3))];
  const down = third(y + height / 2, ["top", "middle", "bottom"]), across = third(x + width / 2, ["left", "centre", "right"]);
  return `picture, ${width > 0.9 ? down : height > 0.9 ? across : `${down} ${across}`}`;
}

const signed = (weight) => `${weight >= 0 ? "+" : "−"}${Math.abs(weight).toFixed(2)}`;

function lensSection(row, detail) {
  const explained = Object.keys(detail.v ?? {});
  if (!explained.length) return null;
  const { s: spans, g: regions, w: says } = detail.v[opened.lens];
  const weights = [...spans.map(([word, , , weight]) => ({ name: h("bdi", textOf(row, {}), word.slice(0, 60)), weight })),
    ...regions.map((region) => ({ name: h("i", {}, placeOf(region)), weight: region[4] }))];
  const strongest = weights.sort((a, b) => Math.abs(b.weight) - Math.abs(a.weight)).slice(0, 10);
  return h("section", { class: "lens" }, h("h3", {}, "What the answer rests on"),
    explained.length > 1 ? h("div", { class: "lens-choice", role: "group", "aria-label": "Evidence for" }, explained.map((name) =>
      h("button", { type: "button", class: "button small", "aria-pressed": String(name === opened.lens), "data-lens": name,
        onclick: () => { opened.lens = name; drawDetail(); $("detail").querySelector(`[data-lens="${CSS.escape(name)}"]`).focus(); } }, words(name))))
      : h("p", { class: "hint" }, `For “${words(opened.lens)}”`),
    says ? h("p", { dir: "auto", class: "says" }, says) : null,
    strongest.length ? h("ul", { class: "weights", "aria-label": "Words and regions by weight" }, strongest.map(({ name, weight }) =>
      h("li", { class: weight >= 0 ? "towards" : "against" }, name, h("span", {}, signed(weight))))) : null,
    h("p", { class: "hint" }, "Change in log-odds of the answer when the word or region is taken away. ",
      h("span", { class: "key towards" }, "Towards"), " the answer, or ", h("span", { class: "key against" }, "against"), " it. ",
      regions.length ? `${plural(regions.length, "region is", "regions are")} drawn over the picture.` : "No region of the picture was measured."));
}

function reasonSection(row) {
  if (row.error === null && !row.because.length) return null;
  return h("section", { class: "reason" },
    row.error !== null ? [h("h3", {}, "Error"), h("p", { dir: "auto", class: "error-text" }, plainName(row.error))] : null,
    row.because.length ? [h("h3", {}, row.action === "pass" ? "Policy" : `Why: ${ACTION_NAMES[row.action].toLowerCase()}`),
      h("ul", { class: "rules" }, row.because.map((reason) => h("li", { dir: "auto" }, reason)))] : null);
}

function answerSection(row, detail) {
  const entries = tasks.filter((task) => row.answers[task.name]);
  if (!entries.length) return h("section", {}, h("h3", {}, "Answers"), h("p", { class: "hint" }, "none"));
  // what was explained first, in the order of the scan (most decisive first), then the order of the taxonomy
  const explained = Object.keys(detail.v ?? {});
  const place = (task) => (explained.includes(task.name) ? explained.indexOf(task.name) : explained.length);
  return h("section", {}, h("h3", {}, "Answers"),
    h("ul", { class: "cards" }, [...entries].sort((a, b) => place(a) - place(b)).map((task) => answerCard(task, row.answers[task.name]))));
}

function answerCard(task, answer) {
  const { info } = about;
  const order = task.labels.map((_, i) => i).filter((i) => answer.p[i] !== null && answer.p[i] !== undefined);
  // many labels: the likeliest first, the rest folded
  if (order.length > 6) order.sort((a, b) => answer.p[b] - answer.p[a]);
  const line = (i) => h("li", { class: `label ${answer.labels.includes(i) ? "chosen" : ""} ${answer.unsure ? "unsure" : ""}` },
    h("span", { class: "label-name" }, words(task.labels[i]), answer.labels.includes(i) ? h("span", { class: "hidden" }, " (answer)") : null),
    probabilityBar(answer.p[i], answer.labels.includes(i) ? "chosen" : ""), h("span", { class: "label-p" }, percent(answer.p[i])));
  const visible = Math.max(6, answer.several ? answer.labels.length : 0);
  const title = answer.several && !answer.labels.length ? "none of them" : null;
  return h("li", { class: "card" },
    h("h4", { title: task.definition }, words(task.name), answer.unsure ? h("span", { class: "badge unsure" }, "not sure") : title ? h("span", { class: "muted" }, title) : null),
    h("ul", { class: "labels" }, order.slice(0, visible).map(line)),
    order.length > visible ? h("details", { class: "rest" }, h("summary", {}, `${order.length - visible} less likely`), h("ul", { class: "labels" }, order.slice(visible).map(line))) : null,
    answer.unsure ? h("p", { class: "hint" }, info.abstains[task.name] || "Not sure enough to be believed: treat it as unanswered.") : null,
    info.trained_on[task.name] ? h("p", { class: "hint trained" }, "Trained on: ", info.trained_on[task.name]) : null);
}

function rationaleSection(row, detail) {
  return detail.n ? h("section", {}, h("h3", {}, "Rationale written by the model"), h("p", { dir: "auto", class: "meme-text" }, detail.n)) : null;
}

function duplicateSection(row) {
  if (row.cluster === null && row.copyOf === null) return null;
  const others = (row.cluster ?? []).filter((other) => other !== row);
  const list = h("ul", { class: "twins" });
  const show = (some) => list.append(...some.map((other) => h("li", {}, h("button", { type: "button", class: "link", onclick: () => openMeme(other, row.cluster) },
    h("bdi", {}, plainName(other.path || other.id))), h("span", { class: `badge ${other.action}` }, ACTION_NAMES[other.action]),
    other === row.cluster[0] ? h("span", { class: "muted" }, " first of them") : null)));
  show(others.slice(0, 12));
  const more = others.length > 12 ? h("button", { type: "button", class: "button small", onclick: () => { show(others.slice(12)); more.remove(); } }, `Show ${number(others.length - 12)} more`) : null;
  return h("section", {}, h("h3", {}, `The same meme again (${number(others.length || 1)})`),
    others.length ? [list, more] : h("p", {}, "A copy of ", h("bdi", {}, plainName(row.copyOf)), ", which is not in this report."));
}

function factsSection(row, detail) {
  const facts = [["File", plainName(row.path)], ["Id", plainName(row.id)], ["Language", nameOfLanguage(row.lang)], ["Model", detail.m ?? ""], ["Taxonomy", detail.x ?? ""]];
  return h("section", {}, h("h3", {}, "File"), h("dl", { class: "facts" }, facts.filter(([, value]) => value).map(([name, value]) =>
    [h("dt", {}, name), h("dd", {}, h("bdi", {}, value))])));
}
