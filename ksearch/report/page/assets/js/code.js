// The kernel: what it changed against its parent's, and the whole of it.

const MOST_LINES = 4000; // drawn at once; more on request

function drawCode(place, after, before) {
  if (after.missing) return replaceChildren(place, h("p", { class: "notice" }, `No sources: ${after.missing}.`));
  const old = new Map((before?.sources ?? []).map((source) => [source.path, source.text]));
  const paths = [...new Set([...old.keys(), ...after.sources.map((source) => source.path)])].sort();
  const now = new Map(after.sources.map((source) => [source.path, source.text]));
  const choices = [
    { value: "diff", label: "Changes", disabled: before === null },
    { value: "source", label: "Whole code" },
  ];
  const tab = before === null ? "source" : state.view.tab;
  const pick = (value) => {
    state.view.tab = value;
    drawCode(place, after, before);
  };
  replaceChildren(
    place,
    choice("Show", choices, tab, pick),
    paths.map((path) =>
      tab === "diff" ? fileDiff(path, old.get(path) ?? "", now.get(path) ?? "") : wholeFile(path, now.get(path)),
    ),
  );
  return place;
}

function wholeFile(path, text) {
  if (text === undefined) return null;
  return h(
    "figure",
    { class: "file" },
    fileHead(path, text, many(text.split("\n").length, "line")),
    listing(sourceLines(text), (line) => line),
  );
}

function fileHead(path, text, note) {
  return h(
    "figcaption",
    {},
    h("span", { class: "path" }, path),
    h("span", { class: "note" }, note),
    copyButton(text, path),
    saveButton(path.split("/").pop(), text),
  );
}

function sourceLines(text) {
  return text.split("\n").map((line, at) => codeLine(" ", null, at + 1, line));
}

function fileDiff(path, before, after) {
  const lines = diffLines(before, after),
    found = hunks(lines);
  const plus = lines.filter((line) => line.kind === "+").length,
    minus = lines.filter((line) => line.kind === "-").length;
  const drawn = [];
  for (const hunk of found) {
    const first = hunk.lines[0];
    drawn.push(h("div", { class: "hunk" }, `line ${first.now ?? first.old}`));
    for (const line of hunk.lines) drawn.push(codeLine(line.kind, line.old, line.now, line.text));
  }
  const note = found.length ? `${plus} added, ${minus} removed` : "the same code";
  return h("figure", { class: "file" }, fileHead(path, after, note), found.length ? listing(drawn) : null);
}

const KINDS = { " ": "", "+": "added", "-": "removed" };

function codeLine(kind, old, now, text) {
  return h(
    "div",
    { class: `line ${KINDS[kind]}` },
    h("span", { class: "number", "aria-hidden": "true" }, String(now ?? old ?? "")),
    h("span", { class: "sign" }, kind),
    h("span", { class: "text" }, text === "" ? " " : text),
  );
}

// Focusable, so that the keyboard can scroll it.
function listing(lines) {
  const box = h(
    "div",
    { class: "listing", tabindex: "0", role: "region", "aria-label": "Code" },
    h("div", { class: "lines" }, lines.slice(0, MOST_LINES)),
  );
  if (lines.length > MOST_LINES) {
    const rest = button(`Show ${thousands(lines.length - MOST_LINES, 0)} more lines`, () => {
      rest.remove();
      append(box.firstChild, lines.slice(MOST_LINES));
    });
    box.append(rest);
  }
  return box;
}
