// Controls, keys, and the first drawing.

const KEYS = [
  ["j or ↓, k or ↑", "next, previous meme (in the list, and ← → in the page of one meme)"],
  ["Enter", "open the meme"],
  ["Tab", "from a meme to its picture, which shows while it has the focus; Enter keeps it shown"],
  ["Esc", "close, or empty the search"],
  ["r", "show or hide all pictures"],
  ["/", "search"],
  ["?", "this help"],
];
let singleKeys = true;

// The one way to change what is shown.
function change(some) {
  Object.assign(state, some);
  if (!state.task) Object.assign(state, { label: -1, low: 0, high: 100 });
  drawControls();
  drawList();
  drawStatus();
}

function drawStatus() {
  $("status").textContent = !rows.length
    ? "There were no memes to read."
    : !shown.length
      ? "No meme passes these filters."
      : shown.length === rows.length
        ? `All ${number(rows.length)}`
        : `${number(shown.length)} of ${number(rows.length)}`;
}

// The choices that depend on the data.
function fillControls() {
  const options = (id, pairs) =>
    replace(
      $(id),
      pairs.map(([value, text]) => h("option", { value }, text)),
    );
  options("show", [
    ["", "everything"],
    ["flag", "flagged"],
    ["review", "needs a person"],
    ["pass", "passed"],
    ["error", "errors"],
    ["duplicate", "duplicates"],
  ]);
  options("task", [["", "any"], ...tasks.map((task) => [task.name, words(task.name)])]);
  options("language", [
    ["", "any"],
    ...languageCounts().map(([code, n]) => [code || "und", `${nameOfLanguage(code)} (${number(n)})`]),
  ]);
}

function drawControls() {
  for (const name of ["show", "task", "low", "high", "certainty", "language", "duplicates", "sort", "search"])
    if ($(name).value !== String(state[name])) $(name).value = state[name];
  $("range-field").hidden = !state.task;
  replace($("facet"), state.task ? facet(taskByName.get(state.task)) : null);
  const count = isFiltered();
  $("active-filters").textContent = count ? `${count} on` : "";
  $("reset").disabled = !count && state.sort === "urgency";
  $("sort-hint").textContent = sortHint();
  for (const button of document.querySelectorAll(".tile"))
    button.setAttribute("aria-pressed", String(button.dataset.show === state.show));
  for (const button of document.querySelectorAll(".multiple"))
    button.setAttribute("aria-pressed", String(button.dataset.task === state.task));
}

function facet(task) {
  const { labels } = tallies.get(task.name);
  const entries = task.labels.map((label, i) => ({
    name: words(label),
    n: labels[i].n,
    unsure: labels[i].unsure,
    pressed: state.label === i,
    onclick: () => {
      change({ label: state.label === i ? -1 : i });
      $("facet").querySelectorAll(".count")[i]?.focus();
    },
  }));
  return [h("p", { class: "hint" }, task.definition), countBars(entries)];
}

function reveal() {
  const on = document.body.classList.toggle("revealed");
  for (const button of document.querySelectorAll(".reveal")) button.setAttribute("aria-pressed", String(on));
  if (!on) {
    revealed.clear();
    for (const one of document.querySelectorAll(".picture[aria-pressed]")) one.setAttribute("aria-pressed", "false");
  }
}

function openHelp() {
  const box = h("input", {
    type: "checkbox",
    id: "single-keys",
    onchange: () => {
      singleKeys = box.checked;
    },
  });
  box.checked = singleKeys;
  replace(
    $("help"),
    h("h2", { id: "help-title" }, "Keyboard"),
    h(
      "dl",
      { class: "keys" },
      KEYS.map(([key, what]) => [
        h(
          "dt",
          {},
          key.split(/( or |, )/).map((part) => (/^( or |, )$/.test(part) ? part : h("kbd", {}, part))),
        ),
        h("dd", {}, what),
      ]),
    ),
    h("p", {}, h("label", {}, box, " keys of one letter work")),
    h("button", { type: "button", class: "button", onclick: () => $("help").close() }, "Close"),
  );
  $("help").showModal();
}

// Moving in the list and in the page of one meme; never while somebody types or chooses.
function onKey(event) {
  if (event.ctrlKey || event.metaKey || event.altKey || event.defaultPrevented) return;
  const typing = event.target.matches("input:not([type=checkbox]), select, textarea");
  if (typing) {
    if (event.key === "Escape" && event.target === $("search") && !$("search").value) focusRow(Math.max(0, active));
    return;
  }
  const inDetail = $("detail").open,
    inList = $("rows").contains(event.target);
  if ($("help").open) return;
  const moves = inDetail
    ? { j: 1, k: -1, ArrowRight: 1, ArrowLeft: -1 }
    : inList
      ? { j: 1, k: -1, ArrowDown: 1, ArrowUp: -1 }
      : { j: 1, k: -1 };
  const isLetter = event.key.length === 1;
  if (isLetter && !singleKeys) return;
  if (event.key in moves) {
    if (inDetail) step(moves[event.key]);
    else focusRow(active < 0 ? 0 : active + (inList ? moves[event.key] : 0));
  } else if (event.key === "r") reveal();
  else if (event.key === "/" && !inDetail) {
    $("filters").open = true;
    $("search").focus();
    $("search").select();
  } else if (event.key === "?") openHelp();
  else return;
  event.preventDefault();
}

function wire() {
  const on = (id, type, act) => $(id).addEventListener(type, act);
  on("form", "submit", (event) => event.preventDefault());
  for (const name of ["show", "certainty", "language", "duplicates", "sort"])
    on(name, "change", (event) => change({ [name]: event.target.value }));
  on("task", "change", (event) => change({ task: event.target.value, label: -1 }));
  for (const [name, otherwise] of [
    ["low", 0],
    ["high", 100],
  ])
    on(name, "change", (event) => {
      const value = event.target.valueAsNumber;
      change({ [name]: Number.isFinite(value) ? Math.min(100, Math.max(0, value)) : otherwise });
    });
  on("search", "input", (event) => change({ search: event.target.value }));
  on("reset", "click", () => change(defaults()));
  for (const button of document.querySelectorAll(".reveal")) button.addEventListener("click", reveal);
  on("to-filters", "click", () => {
    $("filters").open = true;
    $("browse").scrollIntoView();
    $("search").focus({ preventScroll: true });
  });
  on("keys", "click", openHelp);
  on("detail", "close", () => {
    const at = shown.indexOf(opened.row);
    if (at >= 0) focusRow(at);
  });
  for (const id of ["detail", "help"])
    on(id, "click", (event) => {
      if (event.target === $(id)) $(id).close();
    });
  document.addEventListener("keydown", onKey);
  let waiting = false;
  const soon = (act) => () => {
    if (waiting) return;
    waiting = true;
    requestAnimationFrame(() => {
      waiting = false;
      act();
    });
  };
  window.addEventListener("scroll", soon(drawVisible), { passive: true });
  window.addEventListener("resize", soon(measure));
  // whatever above the list opens or closes moves the list without a scroll
  new ResizeObserver(soon(drawVisible)).observe($("main"));
  window.addEventListener("beforeprint", drawForPrint);
  window.addEventListener("afterprint", drawForScreen);
}

document.body.prepend(hatching());
const narrow = window.matchMedia("(max-width: 60rem)").matches;
$("filters").open = !narrow;
$("tasks-panel").open = !narrow;
drawSummary();
fillControls();
wire();
change({});
document.documentElement.dataset.ready = String(Math.round(performance.now()));
