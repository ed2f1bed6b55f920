// The data of this file: rows (parsed at once), details and pictures (parsed ten memes at a time, when drawn).

const ACTIONS = ["pass", "review", "flag"]; // as numbered in the data
const BY_URGENCY = ["flag", "review", "pass"];
const ACTION_NAMES = { flag: "Flagged", review: "Needs a person", pass: "Passed" };

const parsed = (id) => JSON.parse($(id).textContent);

const about = parsed("about");
const tasks = about.tasks;
const perBlock = about.per_block;

// For a binary task the label it looks for.
for (const task of tasks) task.positive = task.kind === "binary" ? task.labels[1] : null;

// One verdict as the list needs it. `answers` maps the number of a task to {labels, unsure, p (of each label), confidence}.
function readRow(raw, index) {
  const answers = {};
  for (const [name, [chosen, unsure, tenThousandths]] of Object.entries(raw.r || {})) {
    const p = tenThousandths.map((n) => (n === null ? null : n / 10000));
    const several = Array.isArray(chosen);
    const labels = several ? chosen : [chosen];
    const known = p.filter((one) => one !== null);
    const confidence = several ? Math.min(1, ...known.map((one) => Math.max(one, 1 - one))) : (p[chosen] ?? 0);
    answers[name] = { labels, several, unsure: unsure === 1, p, confidence };
  }
  const text = raw.t || "";
  return {
    index,
    id: raw.i,
    path: raw.p || "",
    action: ACTIONS[raw.a],
    text,
    read: raw.o === true ? text : (raw.o ?? null),
    lang: raw.l || "",
    answers,
    copyOf: raw.d ?? null,
    because: raw.b || [],
    error: raw.e ?? null,
    urgency: 0,
    unsure: Object.values(answers).some((answer) => answer.unsure),
    cluster: null,
    words: null,
  };
}

const rows = [];
for (let block = 0; rows.length < about.total; block++) {
  for (const raw of parsed(`rows-${block}`)) rows.push(readRow(raw, rows.length));
  $(`rows-${block}`).remove();
}
const taskByName = new Map(tasks.map((task) => [task.name, task]));
const byId = new Map();
for (const row of rows) if (!byId.has(row.id)) byId.set(row.id, row);

const isRisk = (task) => task.positive && (task.category === "safety" || task.category === "bias");

// How urgent a meme is within its group: the highest probability among the tasks on safety and bias that it was asked.
for (const row of rows) {
  for (const [name, answer] of Object.entries(row.answers)) {
    if (isRisk(taskByName.get(name))) row.urgency = Math.max(row.urgency, answer.p[1] ?? 0);
  }
}

// Clusters of the same meme: everything that points, directly or through others, to the same first one.
function firstOf(row) {
  const seen = new Set();
  while (row.copyOf !== null && byId.has(row.copyOf) && !seen.has(row)) {
    seen.add(row);
    row = byId.get(row.copyOf);
  }
  return row;
}
for (const row of rows) {
  if (row.copyOf === null || !byId.has(row.copyOf)) continue;
  const first = firstOf(row);
  if (first === row) continue;
  first.cluster ??= [first];
  first.cluster.push(row);
  row.cluster = first.cluster;
}

// The few blocks used last stay parsed.
const blocks = new Map();
function drawn(row) {
  const number = Math.floor(row.index / perBlock);
  let block = blocks.get(number);
  if (block) blocks.delete(number);
  else block = parsed(`drawn-${number}`);
  blocks.set(number, block);
  if (blocks.size > 40) blocks.delete(blocks.keys().next().value);
  const at = row.index % perBlock;
  return { picture: block.pictures[at], detail: block.details[at] };
}

// The text a meme is searched by.
function wordsOf(row) {
  row.words ??= folded([row.text, row.read, row.id, row.path, row.error, ...row.because].filter(Boolean).join("\n"));
  return row.words;
}
const folded = (text) => text.normalize("NFKC").toLowerCase();
