// The page of one meme: its parts and how one goes through them; answers, reasons and the same meme elsewhere.

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
  replace(
    $("detail"),
    h(
      "header",
      { class: "detail-head" },
      h(
        "h2",
        { id: "detail-title", tabindex: "-1" },
        h("span", { class: `badge ${row.action}` }, ACTION_NAMES[row.action]),
        row.error !== null ? h("span", { class: "badge error" }, "error") : null,
        h("bdi", { class: "path", dir: "ltr" }, plainName(row.path || row.id)),
      ),
      h(
        "div",
        { class: "detail-nav" },
        h("span", { class: "muted" }, among.length > 1 ? `${number(at + 1)} of ${number(among.length)}` : ""),
        h(
          "button",
          {
            type: "button",
            class: "button",
            disabled: at <= 0,
            onclick: () => step(-1),
            "aria-label": "Previous meme",
          },
          "‹",
        ),
        h(
          "button",
          {
            type: "button",
            class: "button",
            disabled: at >= among.length - 1,
            onclick: () => step(1),
            "aria-label": "Next meme",
          },
          "›",
        ),
        h("button", { type: "button", class: "button", onclick: closeDetail }, "Close"),
      ),
    ),
    h(
      "div",
      { class: "detail-body" },
      h(
        "div",
        { class: "detail-left" },
        pictureSection(row, detail),
        textSection(row, detail),
        lensSection(row, detail),
      ),
      h(
        "div",
        { class: "detail-right" },
        reasonSection(row),
        answerSection(row, detail),
        rationaleSection(row, detail),
        duplicateSection(row, detail),
        samePictureSection(detail),
        factsSection(row, detail),
      ),
    ),
  );
}

function reasonSection(row) {
  if (row.error === null && !row.because.length) return null;
  return h(
    "section",
    { class: "reason" },
    row.error !== null
      ? [h("h3", {}, "Error"), h("p", { dir: "auto", class: "error-text" }, plainName(row.error))]
      : null,
    row.because.length
      ? [
          h("h3", {}, row.action === "pass" ? "Policy" : `Why: ${ACTION_NAMES[row.action].toLowerCase()}`),
          h(
            "ul",
            { class: "rules" },
            row.because.map((reason) => h("li", { dir: "auto" }, reason)),
          ),
        ]
      : null,
  );
}

function answerSection(row, detail) {
  const entries = tasks.filter((task) => row.answers[task.name]);
  if (!entries.length) return h("section", {}, h("h3", {}, "Answers"), h("p", { class: "hint" }, "none"));
  // what was explained first, in the order of the scan (most decisive first), then the order of the taxonomy
  const explained = Object.keys(detail.v ?? {});
  const place = (task) => (explained.includes(task.name) ? explained.indexOf(task.name) : explained.length);
  return h(
    "section",
    {},
    h("h3", {}, "Answers"),
    h(
      "ul",
      { class: "cards" },
      [...entries].sort((a, b) => place(a) - place(b)).map((task) => answerCard(task, row.answers[task.name])),
    ),
  );
}

function answerCard(task, answer) {
  const { info } = about;
  const order = task.labels.map((_, i) => i).filter((i) => answer.p[i] !== null && answer.p[i] !== undefined);
  const chosen = (i) => answer.labels.includes(i);
  // many labels: the answer and the likeliest first, the rest folded
  if (order.length > 6) order.sort((a, b) => chosen(b) - chosen(a) || answer.p[b] - answer.p[a]);
  const line = (i) =>
    h(
      "li",
      { class: `label ${chosen(i) ? "chosen" : ""} ${answer.unsure ? "unsure" : ""}` },
      h(
        "span",
        { class: "label-name" },
        words(task.labels[i]),
        chosen(i) ? h("span", { class: "hidden" }, " (answer)") : null,
      ),
      probabilityBar(answer.p[i], chosen(i) ? "chosen" : ""),
      h("span", { class: "label-p" }, percent(answer.p[i])),
    );
  const visible = Math.max(6, answer.several ? answer.labels.length : 0);
  const passedOver = !answer.several && order.some((i) => answer.p[i] > answer.confidence);
  return h(
    "li",
    { class: "card" },
    h(
      "h4",
      { title: task.definition },
      words(task.name),
      answer.labels.length ? null : h("span", { class: "muted" }, "none of them"),
      answer.unsure ? h("span", { class: "badge unsure" }, "not sure") : null,
    ),
    h("ul", { class: "labels" }, order.slice(0, visible).map(line)),
    order.length > visible
      ? h(
          "details",
          { class: "rest" },
          h("summary", {}, `${order.length - visible} less likely`),
          h("ul", { class: "labels" }, order.slice(visible).map(line)),
        )
      : null,
    answer.unsure
      ? h("p", { class: "hint" }, info.abstains[task.name] || "Not sure enough to be believed: treat it as unanswered.")
      : null,
    passedOver ? h("p", { class: "hint" }, "Not the likeliest label: this model answers by a tuned threshold.") : null,
    info.trained_on[task.name] ? h("p", { class: "hint trained" }, "Trained on: ", info.trained_on[task.name]) : null,
  );
}

function rationaleSection(row, detail) {
  return detail.n
    ? h(
        "section",
        {},
        h("h3", {}, "Rationale written by the model"),
        h("p", { dir: "auto", class: "meme-text" }, detail.n),
      )
    : null;
}

// The same picture with another text: not a duplicate, but what a moderator wants to see beside it.
function samePictureSection(detail) {
  if (!detail.s) return null;
  const other = byId.get(detail.s);
  const name = h("bdi", { dir: "ltr" }, plainName(other ? other.path || other.id : detail.s));
  return h(
    "section",
    {},
    h("h3", {}, "The same picture with another text"),
    other ? h("button", { type: "button", class: "link", onclick: () => openMeme(other, [other]) }, name) : h("p", {}, name),
  );
}

function duplicateSection(row, detail) {
  if (row.cluster === null && row.copyOf === null) return null;
  const others = (row.cluster ?? []).filter((other) => other !== row);
  const list = h("ul", { class: "twins" });
  const show = (some) =>
    list.append(
      ...some.map((other) =>
        h(
          "li",
          {},
          h(
            "button",
            { type: "button", class: "link", onclick: () => openMeme(other, row.cluster) },
            h("bdi", { dir: "ltr" }, plainName(other.path || other.id)),
          ),
          h("span", { class: `badge ${other.action}` }, ACTION_NAMES[other.action]),
          other === row.cluster[0] ? h("span", { class: "muted" }, " first of them") : null,
        ),
      ),
    );
  show(others.slice(0, 12));
  const more =
    others.length > 12
      ? h(
          "button",
          {
            type: "button",
            class: "button small",
            onclick: () => {
              show(others.slice(12));
              more.remove();
            },
          },
          `Show ${number(others.length - 12)} more`,
        )
      : null;
  return h(
    "section",
    {},
    h("h3", {}, `The same meme again (${number(others.length || 1)})`),
    detail.k ? h("p", { class: "muted" }, `This one is a copy: ${detail.k}.`) : null,
    others.length
      ? [list, more]
      : h("p", {}, "A copy of ", h("bdi", { dir: "ltr" }, plainName(row.copyOf)), ", which is not in this report."),
  );
}

function factsSection(row, detail) {
  const facts = [
    ["File", plainName(row.path)],
    ["Id", plainName(row.id)],
    ["Language", nameOfLanguage(row.lang)],
    ["Model", detail.m ?? ""],
    ["Taxonomy", detail.x ?? ""],
  ];
  return h(
    "section",
    {},
    h("h3", {}, "File"),
    h(
      "dl",
      { class: "facts" },
      facts.filter(([, value]) => value).map(([name, value]) => [h("dt", {}, name), h("dd", {}, h("bdi", {}, value))]),
    ),
  );
}
