// The head of the page: what was scanned, counts that filter, small plots.

function drawSummary() {
  drawByline();
  drawTiles();
  drawOverview();
  drawTasks();
  drawErrors();
  drawAbout();
}

function drawByline() {
  const { info } = about;
  const started = info.started ? info.started.replace("T", " ").replace(/([+-]\d\d:\d\d)$/, " $1") : null;
  const parts = [
    info.inputs.length
      ? [
          ...info.inputs.slice(0, 3).map(plainName),
          ...(info.inputs.length > 3 ? [`${number(info.inputs.length - 3)} more`] : []),
        ].join(", ")
      : null,
    started,
    info.seconds === null ? null : duration(info.seconds),
    info.model ? `model ${info.model}${info.model_version ? ` ${info.model_version}` : ""}` : null,
  ].filter(Boolean);
  replace(
    $("byline"),
    parts.map((part) => h("span", { dir: "auto" }, part)),
  );
}

function duration(seconds) {
  if (seconds < 90) return `${seconds < 10 ? Math.round(seconds * 10) / 10 : Math.round(seconds)} s`;
  const minutes = Math.round(seconds / 60);
  return minutes < 90 ? `${minutes} min` : `${Math.floor(minutes / 60)} h ${minutes % 60} min`;
}

// Bring the list into view when little of it is.
function toList() {
  if ($("memes").getBoundingClientRect().top > window.innerHeight * 0.6) $("browse").scrollIntoView();
}

const countOf = (test) => rows.reduce((n, row) => n + (test(row) ? 1 : 0), 0);

function drawTiles() {
  const tiles = [
    ["", "Memes", rows.length, "all"],
    ["flag", "Flagged", countOf((row) => row.action === "flag"), "flag"],
    ["review", "Need a person", countOf((row) => row.action === "review"), "review"],
    ["pass", "Passed", countOf((row) => row.action === "pass"), "pass"],
    ["error", "Errors", countOf((row) => row.error !== null), "error"],
    ["duplicate", "Duplicates", countOf((row) => row.copyOf !== null), "duplicate"],
  ];
  replace(
    $("tiles"),
    tiles.map(([show, name, n, kind]) =>
      h(
        "button",
        {
          type: "button",
          class: `tile ${kind}`,
          "data-show": show,
          onclick: () => {
            change({ show });
            toList();
          },
        },
        h("span", { class: "tile-n" }, number(n)),
        h("span", { class: "tile-name" }, name),
      ),
    ),
  );
}

function drawOverview() {
  const parts = BY_URGENCY.map((kind) => ({
    name: ACTION_NAMES[kind],
    kind,
    n: countOf((row) => row.action === kind),
  }));
  const clusters = new Set(rows.map((row) => row.cluster).filter(Boolean));
  const repeats = [...clusters].reduce((n, cluster) => n + cluster.length - 1, 0);
  const languages = languageCounts();
  const unsure = countOf((row) => row.unsure),
    failed = countOf((row) => row.error !== null);
  replace(
    $("overview"),
    h(
      "figure",
      { class: "panel plot" },
      h("figcaption", {}, "What to do"),
      stacked(parts, parts.map((part) => `${part.name}: ${part.n}`).join(", ")),
      h(
        "ul",
        { class: "legend" },
        parts
          .filter((part) => part.n)
          .map((part) =>
            h(
              "li",
              {},
              h("span", { class: `swatch ${part.kind}`, "aria-hidden": "true" }),
              `${part.name} ${share(part.n)}`,
            ),
          ),
      ),
      h(
        "p",
        { class: "hint" },
        clusters.size
          ? `${plural(clusters.size, "meme appears", "memes appear")} more than once; without repeats there are ${number(rows.length - repeats)}.`
          : "No meme appears more than once.",
      ),
      h("p", { class: "hint" }, `In ${plural(unsure, "meme", "memes")} the model is not sure of at least one answer.`),
      failed ? h("p", { class: "hint" }, `${plural(failed, "file", "files")} could not be read.`) : null,
    ),
    h(
      "figure",
      { class: "panel plot" },
      h("figcaption", {}, "Languages"),
      languages.length
        ? countBars(
            languages.slice(0, 8).map(([code, n]) => ({
              name: nameOfLanguage(code),
              n,
              onclick: () => {
                change({ language: code || "und" });
                toList();
              },
            })),
          )
        : h("p", { class: "hint" }, "No memes."),
      languages.length > 8 ? h("p", { class: "hint" }, `and ${languages.length - 8} more, in the filter`) : null,
    ),
  );
}

const share = (n) => (rows.length ? percent(n / rows.length) : "–");
const nameOfLanguage = (code) => (code ? (languageName(code) ?? code) : "not known");

function languageCounts() {
  const counts = new Map();
  for (const row of rows) counts.set(row.lang, (counts.get(row.lang) || 0) + 1);
  return [...counts].sort((a, b) => b[1] - a[1] || (a[0] < b[0] ? -1 : 1));
}

// How one task was answered: histogram of what a binary task looks for, else of the answered label (several: of each yes).
function tally(task) {
  const sure = new Array(BINS).fill(0),
    unsure = new Array(BINS).fill(0);
  const labels = task.labels.map(() => ({ n: 0, unsure: 0 }));
  let answered = 0,
    notSure = 0;
  for (const row of rows) {
    const answer = row.answers[task.name];
    if (!answer) continue;
    answered += 1;
    notSure += answer.unsure ? 1 : 0;
    const p = task.positive ? (answer.p[1] ?? 0) : answer.confidence;
    (answer.unsure ? unsure : sure)[Math.min(BINS - 1, Math.floor(p * BINS))] += 1;
    for (const label of answer.labels) {
      labels[label].n += 1;
      labels[label].unsure += answer.unsure ? 1 : 0;
    }
  }
  return { sure, unsure, labels, answered, notSure };
}
const tallies = new Map(tasks.map((task) => [task.name, tally(task)]));

function drawTasks() {
  $("tasks-panel").hidden = !tasks.length;
  replace(
    $("tasks"),
    h(
      "p",
      { class: "hint" },
      "Memes by probability, 0 to 100 %, of what a yes-or-no task looks for, else of the answer; hatched: not sure. Square-root heights.",
    ),
    h(
      "ul",
      { class: "multiples" },
      tasks.map((task) => {
        const { sure, unsure, labels, answered, notSure } = tallies.get(task.name);
        const most = task.positive ? 1 : labels.reduce((best, label, i) => (label.n > labels[best].n ? i : best), 0);
        const line = `${number(labels[most]?.n ?? 0)} ${words(task.labels[most] ?? "")}`;
        const inWords = `${words(task.name)}: ${number(answered)} answered, ${line}, not sure of ${number(notSure)}`;
        return h(
          "li",
          {},
          h(
            "button",
            {
              type: "button",
              class: "multiple",
              title: task.definition,
              "aria-pressed": String(state.task === task.name),
              "data-task": task.name,
              onclick: () => {
                change({ task: state.task === task.name ? "" : task.name, label: -1 });
                toList();
              },
            },
            h("span", { class: "multiple-name" }, words(task.name)),
            histogram(sure, unsure, inWords),
            h(
              "span",
              { class: "multiple-line", "aria-hidden": "true" },
              line,
              notSure ? h("span", { class: "muted" }, `${number(notSure)} not sure`) : null,
            ),
          ),
        );
      }),
    ),
  );
}
