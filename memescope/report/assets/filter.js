// What is shown and in which order. `state` is the whole of it; the controls only write there.

const defaults = () => ({
  show: "",
  task: "",
  label: -1,
  low: 0,
  high: 100,
  certainty: "",
  language: "",
  duplicates: "",
  search: "",
  sort: "urgency",
});
let state = defaults();

const isFiltered = () => {
  const { sort, ...chosen } = state;
  const { sort: _, ...none } = defaults();
  return Object.keys(chosen).filter((key) => chosen[key] !== none[key]).length;
};

// The probability a task, and perhaps one of its labels, is filtered and sorted by: of that label, else of what a binary
// task looks for, else of the answer.
function scoreOf(row) {
  if (!state.task) return row.urgency;
  const answer = row.answers[state.task];
  if (!answer) return -1;
  if (state.label >= 0) return answer.p[state.label] ?? -1;
  return taskByName.get(state.task).positive ? (answer.p[1] ?? -1) : answer.confidence;
}

// How sure the least sure (or the chosen) answer is.
function surenessOf(row) {
  const asked = state.task ? [row.answers[state.task]].filter(Boolean) : Object.values(row.answers);
  return Math.min(2, ...asked.map((answer) => answer.confidence - (answer.unsure ? 1 : 0)));
}

function matches(row, terms) {
  const { show, task, label, low, high, certainty, language, duplicates } = state;
  if (show === "duplicate" ? row.copyOf === null : show === "error" ? row.error === null : show && row.action !== show)
    return false;
  if (language && row.lang !== (language === "und" ? "" : language)) return false;
  if (duplicates === "any" && !row.cluster) return false;
  if (duplicates === "first" && row.cluster && row.cluster[0] !== row) return false;
  if (task) {
    const answer = row.answers[task];
    if (!answer || (label >= 0 && !answer.labels.includes(label))) return false;
    if (certainty && answer.unsure !== (certainty === "unsure")) return false;
    const score = scoreOf(row) * 100;
    if (score < low || score > high) return false;
  } else if (certainty && row.unsure !== (certainty === "unsure")) return false;
  return terms.every((term) => wordsOf(row).includes(term));
}

const byText = new Intl.Collator("en", { numeric: true });
const orders = {
  urgency: (a, b) => BY_URGENCY.indexOf(a.action) - BY_URGENCY.indexOf(b.action) || scoreOf(b) - scoreOf(a),
  high: (a, b) => scoreOf(b) - scoreOf(a),
  low: (a, b) => scoreOf(a) - scoreOf(b),
  unsure: (a, b) => surenessOf(a) - surenessOf(b),
  copies: (a, b) =>
    (b.cluster?.length ?? 1) - (a.cluster?.length ?? 1) || (a.cluster?.[0] ?? a).index - (b.cluster?.[0] ?? b).index,
  lang: (a, b) => (a.lang === "") - (b.lang === "") || (a.lang < b.lang ? -1 : a.lang > b.lang ? 1 : 0),
  path: (a, b) => byText.compare(a.path, b.path),
  input: () => 0,
};

// Every term of the search must be found somewhere in a row; "quoted words" are one term.
function searchTerms() {
  return [...folded(state.search).matchAll(/"([^"]+)"?|(\S+)/g)].map((match) => match[1] ?? match[2]);
}

// The rows to show, in order.
function select() {
  const terms = searchTerms();
  const order = orders[state.sort];
  return rows.filter((row) => matches(row, terms)).sort((a, b) => order(a, b) || a.index - b.index);
}

function sortHint() {
  const named = state.task ? `“${words(state.task)}”` : "";
  const label = state.task && state.label >= 0 ? `“${words(taskByName.get(state.task).labels[state.label])}”` : "";
  const positive = state.task && taskByName.get(state.task).positive;
  const score = !state.task
    ? "the highest probability among the tasks on safety and bias"
    : label
      ? `the probability of ${label}`
      : positive
        ? `the probability of “${words(positive)}”`
        : `the probability of the answer to ${named}`;
  if (state.sort === "urgency") return `Flagged first, then what needs a person; within each by ${score}.`;
  if (state.sort === "high" || state.sort === "low") return `By ${score}.`;
  if (state.sort === "unsure") return `Answers the model would not stand by first${named ? `, for ${named}` : ""}.`;
  return "";
}
