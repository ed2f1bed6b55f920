// The list of memes: only the rows near the window exist in the page, whatever their number.

const AHEAD = 700; // pixels drawn above and below the window
const PRINTED = 500; // rows drawn for the printer

let shown = []; // rows that pass the filter, in order
let items = []; // what the list has: {row, at (place in shown)} or {heading, n}
let offsets = [0]; // where each item begins, in pixels
let active = -1; // place in `shown` of the row that has, or had, the focus
const made = new Map(); // number of an item -> its element
let printing = false; // rows stand in the flow of the page, all of them
const unfolded = []; // panels opened for the printer
const revealed = new Set(); // rows whose picture was asked for

function drawList() {
  shown = select();
  items = [];
  const grouped = state.sort === "urgency";
  let heading = null;
  shown.forEach((row, at) => {
    if (grouped && heading?.heading !== row.action) items.push((heading = { heading: row.action, n: 0 }));
    if (grouped) heading.n += 1;
    items.push({ row, at });
  });
  active = -1;
  for (const element of made.values()) element.remove();
  made.clear();
  measure();
}

function measure() {
  const style = getComputedStyle($("rows"));
  const rowHeight =
    parseFloat(style.getPropertyValue("--row")) * parseFloat(getComputedStyle(document.documentElement).fontSize);
  const headingHeight =
    parseFloat(style.getPropertyValue("--heading")) * parseFloat(getComputedStyle(document.documentElement).fontSize);
  offsets = [0];
  for (const item of items) offsets.push(offsets.at(-1) + (item.heading ? headingHeight : rowHeight));
  $("rows").style.setProperty("height", `${offsets.at(-1)}px`);
  for (const [i, element] of made) element.style.setProperty("transform", `translateY(${offsets[i]}px)`);
  drawVisible();
}

function drawVisible() {
  if (printing) return;
  const top = -$("rows").getBoundingClientRect().top;
  const first = Math.max(0, itemAt(top - AHEAD));
  const last = Math.min(items.length - 1, itemAt(top + window.innerHeight + AHEAD));
  const kept = document.activeElement?.closest?.("#rows > li");
  for (const [i, element] of made) {
    if ((i < first || i > last) && element !== kept) {
      element.remove();
      made.delete(i);
    }
  }
  for (let i = first; i <= last; i++) if (!made.has(i)) place(i);
}

// The item that covers this height (binary search).
function itemAt(y) {
  let low = 0,
    high = items.length - 1;
  while (low < high) {
    const middle = (low + high + 1) >> 1;
    if (offsets[middle] <= y) low = middle;
    else high = middle - 1;
  }
  return low;
}

function place(i) {
  const element = items[i].heading ? headingElement(items[i]) : rowElement(items[i].row, items[i].at);
  element.style.setProperty("transform", `translateY(${offsets[i]}px)`);
  made.set(i, element);
  // the order in the page is the order for the eye: after the nearest earlier item that exists
  let before = null;
  for (const [j, other] of made) if (j > i && (before === null || j < before[0])) before = [j, other];
  $("rows").insertBefore(element, before ? before[1] : null);
}

function headingElement(item) {
  return h(
    "li",
    { class: `group ${item.heading}` },
    h("h3", {}, ACTION_NAMES[item.heading], h("span", { class: "group-n" }, number(item.n))),
  );
}

function rowElement(row, at) {
  const summary = row.error !== null && !row.text ? plainName(row.error) : row.text || row.read || "no text";
  const open = h(
    "button",
    {
      type: "button",
      class: "open",
      id: `open-${row.index}`,
      tabindex: at === Math.max(0, active) ? "0" : "-1",
      onclick: () => openMeme(row, shown),
      onfocus: () => activate(at),
    },
    h("span", { class: "hidden" }, `${ACTION_NAMES[row.action]}. `),
    h("span", textOf(row, { class: row.text || row.read ? "text" : "text none" }), summary.slice(0, 400)),
  );
  return h(
    "li",
    {
      class: `row ${row.action}`,
      "aria-setsize": shown.length,
      "aria-posinset": at + 1,
      "data-index": row.index,
      onclick: (event) => {
        if (!event.target.closest("button") && getSelection().isCollapsed) openMeme(row, shown);
      },
    },
    h(
      "div",
      { class: "row-body" },
      h(
        "p",
        { class: "row-head" },
        h("span", { class: `badge ${row.action}`, "aria-hidden": "true" }, ACTION_NAMES[row.action]),
        row.error !== null ? h("span", { class: "badge error" }, "error") : null,
        row.because.length ? h("span", { class: "because", dir: "auto" }, row.because.join(" · ").slice(0, 200)) : null,
        row.cluster ? h("span", { class: "tag" }, `${row.cluster.length}× the same`) : null,
        row.lang ? h("span", { class: "tag", title: nameOfLanguage(row.lang) }, row.lang) : null,
      ),
      open,
      h("ul", { class: "answers", "aria-label": "Answers" }, answerChips(row)),
      h(
        "p",
        { class: "path", dir: "ltr", title: plainName(row.path) },
        h("bdi", { dir: "ltr" }, plainName(row.path || row.id)),
      ),
    ),
    // after the text, so that Tab leads from a meme to its picture; the style places it first
    pictureButton(row, at === Math.max(0, active) ? "0" : "-1"),
  );
}

// The picture as a button: focused by keyboard it shows while it has the focus, pressed it stays.
function pictureButton(row, tabindex, large) {
  const { picture } = drawn(row);
  if (!picture)
    return h(
      "span",
      { class: "picture none", role: "img", "aria-label": "no picture" },
      h("span", { "aria-hidden": "true" }, "no picture"),
    );
  const button = h(
    "button",
    {
      type: "button",
      class: "picture",
      tabindex,
      "aria-pressed": String(revealed.has(row)),
      "aria-label": `Show picture of ${plainName(row.path || row.id)}`,
      onclick: () => {
        if (revealed.has(row)) revealed.delete(row);
        else revealed.add(row);
        for (const one of document.querySelectorAll(`.picture[data-of="${row.index}"]`))
          one.setAttribute("aria-pressed", String(revealed.has(row)));
      },
      "data-of": row.index,
    },
    h("img", {
      src: picture,
      alt: "",
      decoding: large ? "sync" : "async",
      draggable: "false",
      onload:
        large &&
        ((event) => {
          const { naturalWidth, naturalHeight } = event.target;
          button.parentElement.style.setProperty("--aspect", naturalWidth / naturalHeight);
        }),
    }),
  );
  return button;
}

// The few answers worth a glance: the filtered task, then what yes-or-no tasks found, then the rest by probability.
function answerChips(row) {
  const entries = Object.entries(row.answers).map(([name, answer]) => ({ task: taskByName.get(name), answer }));
  const rank = ({ task, answer }) =>
    (task.name === state.task ? 100 : 0) +
    (task.positive ? (answer.labels[0] === 1 ? (isRisk(task) ? 20 : 10) : -10) : 0) +
    (answer.unsure ? -3 : 0) +
    answer.confidence;
  entries.sort((a, b) => rank(b) - rank(a));
  const chips = entries.slice(0, 5).map(({ task, answer }) => {
    const label = answer.several
      ? `${words(task.name)}: ${answer.labels.length ? answer.labels.map((n) => words(task.labels[n])).join(", ") : "none"}`
      : task.positive
        ? words(task.labels[answer.labels[0]])
        : `${words(task.name)}: ${words(task.labels[answer.labels[0]])}`;
    return h(
      "li",
      { class: `answer ${answer.unsure ? "unsure" : ""}` },
      h("span", { class: "answer-name" }, label),
      answer.unsure ? h("i", {}, " not sure") : probabilityBar(answer.confidence, "chosen"),
      h("span", { class: "answer-p" }, percent(answer.confidence)),
    );
  });
  if (entries.length > 5) chips.push(h("li", { class: "answer more" }, `+ ${entries.length - 5}`));
  return chips;
}

function activate(at) {
  if (at === active) return;
  for (const element of $("rows").querySelectorAll('[tabindex="0"]')) element.setAttribute("tabindex", "-1");
  active = at;
  const element = made.get(itemOf(at));
  for (const one of element?.querySelectorAll("button") ?? []) one.setAttribute("tabindex", "0");
}

function itemOf(at) {
  // headings stand between rows: at most one for each state before it
  for (let i = at; i < Math.min(items.length, at + BY_URGENCY.length + 1); i++) if (items[i].at === at) return i;
  return -1;
}

// Give the focus to the row at this place, drawing it and bringing it into the window.
function focusRow(at) {
  if (!shown.length) return;
  at = Math.max(0, Math.min(shown.length - 1, at));
  const i = itemOf(at);
  const top = $("rows").getBoundingClientRect().top + offsets[i];
  const bottom = top + offsets[i + 1] - offsets[i];
  const above = document.querySelector(".results-head").offsetHeight + 4,
    below = window.innerHeight - 8;
  if (top < above) window.scrollBy(0, top - above);
  else if (bottom > below) window.scrollBy(0, bottom - below);
  if (!made.has(i)) place(i);
  activate(at);
  made.get(i).querySelector(".open").focus({ preventScroll: true });
  drawVisible();
}

// A printer gets the rows one after another, the first 500 of those that pass the filter.
function drawForPrint() {
  printing = true;
  for (const id of ["errors-panel", "about-panel"]) {
    if (!$(id).open) unfolded.push($(id));
    $(id).open = true;
  }
  for (const element of made.values()) element.remove();
  made.clear();
  for (let i = 0; i < Math.min(items.length, PRINTED); i++) {
    const element = items[i].heading ? headingElement(items[i]) : rowElement(items[i].row, items[i].at);
    made.set(i, element);
    $("rows").append(element);
  }
  if (items.length > PRINTED) $("status").textContent += ` (printed: the first ${PRINTED})`;
}

function drawForScreen() {
  printing = false;
  for (const panel of unfolded.splice(0)) panel.open = false;
  for (const element of made.values()) element.remove();
  made.clear();
  measure();
  drawStatus();
}
