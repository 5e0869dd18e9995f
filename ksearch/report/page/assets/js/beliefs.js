// What the search believed and when: of each technique as numbers, outcome by outcome; and the planner's document in words.

const MOST_MULTIPLES = 11;

function drawBeliefs() {
  const { beliefs, world_model: revisions } = state.model.data;
  replaceChildren(
    section("beliefs"),
    heading("beliefs", "World model", h("span", { class: "note" }, "what the search believed, and when")),
    beliefs.length
      ? techniqueBeliefs(beliefs)
      : h("p", { class: "notice" }, "No outcome has taught anything of a technique yet."),
    documentPart(revisions),
  );
}

function techniqueBeliefs(beliefs) {
  const groups = [...d3.group(beliefs, (row) => row.technique)].sort((a, b) => b[1].length - a[1].length),
    shown = groups.slice(0, MOST_MULTIPLES),
    end = d3.max(state.model.data.progress, (row) => row.evaluations) ?? 1;
  const values = shown.flatMap(([, rows]) => rows.flatMap((row) => [row.gain_mean, row.gain ?? row.gain_mean]));
  const domain = [Math.exp(Math.min(-0.1, d3.min(values))) / 1.05, Math.exp(Math.max(0.2, d3.max(values))) * 1.05];
  return h(
    "div",
    { class: "card" },
    h("div", { class: "multiples" }, honestyMultiple(beliefs, end), shown.map(([name, rows]) => beliefMultiple(name, rows, domain, end))),
    h(
      "p",
      { class: "legend" },
      legend("line", "believed gain of the technique's next step"),
      legend("band", "one standard deviation either way"),
      legend("dot", "measured over the parent"),
      legend("cross", "failed"),
      h("span", {}, "across: evaluations"),
    ),
    groups.length > shown.length
      ? h("p", { class: "note" }, `The ${shown.length} techniques with the most outcomes, of ${groups.length}; all stand in the table below.`)
      : null,
  );
}

function multiple(name, figure, said, draw) {
  return h(
    "figure",
    { class: "multiple" },
    h("figcaption", {}, h("h3", {}, name), h("span", { class: "note" }, figure)),
    chart(said, 96, draw),
  );
}

const SMALL = { left: 34, right: 4, top: 8, bottom: 18 };

function beliefMultiple(name, rows, domain, end) {
  const last = rows[rows.length - 1],
    now = `${times(last.gain_mean)}, ${last.successes} of ${last.successes + last.failures} passed`;
  const said = `${name}: believed gain ${times(rows[0].gain_mean)} after its first outcome, ${times(last.gain_mean)} after ${many(rows.length, "outcome")}`;
  return multiple(name, now, said, (svg, width, height) => {
    const [x, y] = smallAxes(svg, width, height, end, d3.scaleLog(domain, [height - SMALL.bottom, SMALL.top]), factorTicks(domain, 3), tidyFactor);
    const clip = (value) => Math.min(domain[1], Math.max(domain[0], value)),
      at = (gain) => y(clip(Math.exp(gain)));
    const upper = rows.map((row) => [x(row.evaluations), at(row.gain_mean + row.gain_sd)]),
      lower = rows.map((row) => [x(row.evaluations), at(row.gain_mean - row.gain_sd)]);
    svg.append("path").attr("class", "band").attr("d", bandOf(upper, lower, x(end)));
    svg
      .append("path")
      .attr("class", "best")
      .attr("d", steps(rows.map((row) => [x(row.evaluations), at(row.gain_mean)]), x(end)));
    const dots = rows.map((row) => ({
      x: x(row.evaluations),
      y: row.gain === null ? height - SMALL.bottom - 4 : at(row.gain),
      failed: row.gain === null,
      open: () => selectNode(row.node, true),
      said: () => `${state.model.title(row.node)}: ${row.gain === null ? "failed" : `measured ${times(row.gain)}`}; then believed ${times(row.gain_mean)}`,
    }));
    marks(svg, dots.filter((dot) => dot.failed), "cross", crossShape);
    marks(svg, dots.filter((dot) => !dot.failed), "dots small");
    reach(svg, dots);
  });
}

function honestyMultiple(beliefs, end) {
  const last = beliefs[beliefs.length - 1].honesty,
    said = `Honesty, the share of claimed gains that came true: ${plain(last)} at the end`;
  return multiple("honesty of claims", plain(last), said, (svg, width, height) => {
    const [x, y] = smallAxes(svg, width, height, end, d3.scaleLinear([0, 1], [height - SMALL.bottom, SMALL.top]), [0, 0.5, 1], (value) => value);
    const points = beliefs.map((row) => [x(row.evaluations), y(row.honesty)]);
    svg.append("path").attr("class", "best plain").attr("d", steps(points, x(end)));
  });
}

function smallAxes(svg, width, height, end, y, ticks, format) {
  const x = d3.scaleLinear([0, end], [SMALL.left, width - SMALL.right]);
  const left = d3
    .axisLeft(y)
    .tickValues(ticks)
    .tickFormat(format)
    .tickSizeOuter(0)
    .tickSizeInner(-(width - SMALL.left - SMALL.right));
  svg.append("g").attr("class", "axis y").attr("transform", `translate(${SMALL.left},0)`).call(left);
  const bottom = d3
    .axisBottom(x)
    .tickValues([0, end])
    .tickFormat((value) => thousands(value, 0))
    .tickSizeOuter(0);
  svg
    .append("g")
    .attr("class", "axis x")
    .attr("transform", `translate(0,${height - SMALL.bottom})`)
    .call(bottom);
  return [x, y];
}

// Between two step lines; back along the lower one.
function bandOf(upper, lower, end) {
  const back = lower.map(([x, y], at) => `V${y.toFixed(1)}H${x.toFixed(1)}`).reverse();
  return `${steps(upper, end)}${back.join("")}Z`;
}

// ------------------------------------------------------------------ the document

const ENTRY_KINDS = [
  ["hypothesis", "Hypotheses", "what bounds the kernel, or why"],
  ["lesson", "Lessons", "what measurements taught"],
  ["question", "Open questions", "what is not known and would decide something"],
];

function documentPart(revisions) {
  if (!revisions.length) {
    const why = "The planner of this run wrote no hypotheses, lessons or questions: its world model is the numbers above.";
    return h("p", { class: "notice" }, `${why} A language model as planner keeps such a document.`);
  }
  const place = h("div", { class: "columns three document" }),
    said = h("output", { class: "note" });
  const slider = h("input", { type: "range", min: 1, max: revisions.length, step: 1, "aria-label": "Revision of the world model" });
  const show = () => {
    const revision = revisions[Number(slider.value) - 1];
    state.view.revision = Number(slider.value) === revisions.length ? null : Number(slider.value);
    said.textContent = `revision ${slider.value} of ${revisions.length}, after ${many(revision.evaluations, "evaluation")}`;
    slider.setAttribute("aria-valuetext", said.textContent);
    replaceChildren(place, ENTRY_KINDS.map((kind) => entriesOf(revision, ...kind)));
  };
  slider.addEventListener("input", show);
  slider.value = String(state.view.revision ?? revisions.length);
  show();
  return h(
    "div",
    { class: "revisions" },
    h("div", { class: "tools" }, h("h3", {}, "In the planner's words"), slider, said),
    place,
    fold("revisions", many(revisions.length, "revision"), h("ol", { class: "log-of-revisions" }, revisions.map(revisionItem).reverse())),
  );
}

function entriesOf(revision, kind, title, meaning) {
  const entries = revision.entries.filter((entry) => entry.kind === kind);
  return h(
    "div",
    {},
    h("h3", { title: meaning }, title),
    entries.length ? h("ul", { class: "entries" }, entries.map(entryItem)) : h("p", { class: "note" }, "none then"),
  );
}

function entryItem(entry) {
  return h(
    "li",
    {},
    h("span", { class: "id" }, entry.id),
    h("p", {}, entry.text),
    entry.refuted_by ? h("p", { class: "note" }, `refuted by: ${entry.refuted_by}`) : null,
    entry.evidence.length ? h("p", { class: "chips" }, entry.evidence.map(citedLink)) : null,
  );
}

function citedLink(cited) {
  const outcome = cited.gain !== null ? times(cited.gain) : (cited.failed_stage ?? "open");
  return button(`#${cited.node} ${outcome}`, () => selectNode(cited.node, true), { class: "link", title: visible(cited.key) });
}

const EDIT_SIGNS = { insert: "+", update: "~", split: "\u2442", merge: "\u2229", prune: "\u2212" };

function revisionItem(revision) {
  const amended = revision.changes.map((change) =>
    h("li", {}, h("span", { class: "sign", "aria-hidden": "true" }, EDIT_SIGNS[change.op]), ` ${[change.op, change.kind, change.ids.join(", ")].filter(Boolean).join(" ")}${change.texts.length ? `: ${change.texts.join(" / ")}` : ""}`),
  );
  const refused = revision.refused.map((reason) => h("li", { class: "refused" }, `refused: ${reason}`));
  return h(
    "li",
    {},
    h("p", { class: "note" }, `after ${many(revision.evaluations, "evaluation")}, asked at `, button(state.model.title(revision.node), () => selectNode(revision.node, true), { class: "link" })),
    h("ul", {}, amended, refused),
  );
}
