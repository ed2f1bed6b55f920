// What stands folded under the summary: the errors, and how the scan was made.

function drawErrors() {
  const failed = rows.filter((row) => row.error !== null);
  $("errors-panel").hidden = !failed.length;
  $("errors-title").textContent = `Errors: ${plural(failed.length, "file", "files")}`;
  const body = h("tbody", {});
  const more = h("button", { type: "button", class: "button" }, "Show more");
  const grow = () => {
    const from = body.children.length;
    body.append(
      ...failed
        .slice(from, from + 100)
        .map((row) =>
          h(
            "tr",
            {},
            h(
              "td",
              {},
              h(
                "button",
                { type: "button", class: "link path", dir: "ltr", onclick: () => openMeme(row, [row]) },
                plainName(row.path || row.id),
              ),
            ),
            h("td", { dir: "auto" }, plainName(row.error)),
          ),
        ),
    );
    more.hidden = body.children.length >= failed.length;
    more.textContent = `Show more (${number(failed.length - body.children.length)} left)`;
  };
  more.addEventListener("click", grow);
  grow();
  replace(
    $("errors"),
    h(
      "div",
      { class: "scroll", tabindex: "0", role: "region", "aria-labelledby": "errors-title" },
      h(
        "table",
        {},
        h("thead", {}, h("tr", {}, h("th", { scope: "col" }, "File"), h("th", { scope: "col" }, "Cause"))),
        body,
      ),
    ),
    more,
  );
}

function table(entries, caption) {
  if (!entries.length) return null;
  return h(
    "table",
    { class: "pairs" },
    h("caption", {}, caption),
    h(
      "tbody",
      {},
      entries.map(([name, value]) =>
        h(
          "tr",
          {},
          h("th", { scope: "row" }, name),
          h("td", { dir: "auto" }, typeof value === "number" ? number(value) : value),
        ),
      ),
    ),
  );
}

function drawAbout() {
  const { info } = about;
  const notes = tasks.filter((task) => info.trained_on[task.name] || info.abstains[task.name] || task.definition);
  replace(
    $("about-scan"),
    info.notes.map((note) => h("p", { dir: "auto" }, note)),
    info.inputs.length > 3
      ? [h("h4", {}, "Read"), h("p", { class: "inputs", tabindex: "0" }, info.inputs.map(plainName).join(", "))]
      : null,
    info.policy.length
      ? [
          h("h4", {}, "Policy: what makes a meme flagged, or one for a person"),
          h(
            "ul",
            { class: "rules" },
            info.policy.map((rule) => h("li", { dir: "auto" }, rule)),
          ),
        ]
      : null,
    notes.length
      ? [
          h("h4", {}, "Tasks: what is asked, what the model learned it from, when it is not sure"),
          h(
            "div",
            { class: "scroll", tabindex: "0", role: "region", "aria-label": "Tasks" },
            h(
              "table",
              {},
              h(
                "thead",
                {},
                h(
                  "tr",
                  {},
                  ["Task", "Question", "Trained on", "Not sure when"].map((name) => h("th", { scope: "col" }, name)),
                ),
              ),
              h(
                "tbody",
                {},
                notes.map((task) =>
                  h(
                    "tr",
                    {},
                    h("th", { scope: "row" }, words(task.name)),
                    h("td", {}, task.definition),
                    h("td", {}, info.trained_on[task.name] ?? ""),
                    h("td", {}, info.abstains[task.name] ?? ""),
                  ),
                ),
              ),
            ),
          ),
        ]
      : null,
    h(
      "div",
      { class: "tables" },
      table(Object.entries(info.counts), "Counts"),
      table([...(info.taxonomy ? [["taxonomy", info.taxonomy]] : []), ...Object.entries(info.versions)], "Versions"),
    ),
    info.command ? [h("h4", {}, "Command"), h("pre", { tabindex: "0" }, h("code", {}, plainName(info.command)))] : null,
  );
}
