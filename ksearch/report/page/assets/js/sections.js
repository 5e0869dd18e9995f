// The page around the tree.

const SECTIONS = [
  ["overview", "Overview"], ["tree", "Tree"], ["claims", "Claims"], ["policy", "Policy"], ["techniques", "Techniques"],
  ["cost", "Cost"], ["reproduce", "Reproduce"], ["environment", "Environment"],
];
const STATES = { open: "no process has ended it", done: "finished", budget: "stopped at its budget", no_candidate: "no kernel passed", interrupted: "interrupted", error: "stopped by an error" };

function section(id) {
  return document.getElementById(id);
}

function drawContents() {
  replaceChildren(section("contents"), h("ul", {}, SECTIONS.map(([id, label]) => h("li", {}, h("a", { href: `#${id}` }, label)))), themeChoice());
}

function themeChoice() {
  const options = [
    { value: "", label: "\u25d0", title: "Theme of the system" }, { value: "light", label: "\u2600\ufe0e", title: "Light theme" }, { value: "dark", label: "\u263e", title: "Dark theme" },
  ];
  return choice("Theme", options, document.documentElement.dataset.theme ?? "", setTheme);
}

function setTheme(theme) {
  if (theme) document.documentElement.dataset.theme = theme;
  else delete document.documentElement.dataset.theme;
  try { localStorage.setItem("ksearch-theme", theme); } catch { /* storage may be closed to files: the choice then lasts as long as the page */ }
  drawContents();
  paintSoon();
}

function storedTheme() {
  try { return localStorage.getItem("ksearch-theme") ?? ""; } catch { return ""; }
}

function drawTop() {
  const { run, headline } = state.model.data;
  replaceChildren(section("top"),
    h("div", { class: "title" }, h("p", { class: "brand" }, "ksearch"), h("h1", {}, breakable(run.definition)), h("p", { class: "note" }, `${run.name} \u00b7 ${run.device_name} \u00b7 ${moment(run.created)}`)),
    h("div", { class: "figures" },
      figure("incumbent", headline === null ? DASH : `${us(headline.latency_us)} \u00b5s`, headline === null ? "no kernel was promoted" : "promoted, full set"),
      figure("speed-up", headline === null ? DASH : `${factor(headline.speedup)}\u00d7`, `over ${run.baseline}`),
      figure("evaluations", budgetText("evaluations", (value) => thousands(value, 0)), many(state.model.nodes.length, "plan")),
      figure("time", seconds(run.wall_seconds), run.status === "open" ? STATES.open : `${STATES[run.status]}${run.reason ? `: ${run.reason}` : ""}`)));
}

function figure(label, value, note) {
  return h("div", { class: "figure" }, h("span", { class: "figure-label" }, label), h("span", { class: "figure-value" }, value), h("span", { class: "note" }, note));
}

function budgetText(name, format) {
  const budget = state.model.data.budget[name];
  if (!budget) return DASH;
  return budget.limit === null ? format(budget.spent) : `${format(budget.spent)} / ${format(budget.limit)}`;
}

function drawOverview() {
  replaceChildren(section("overview"), heading("overview", "Overview"), h("div", { class: "columns wide-left" }, progressFigure(), regimeFigure()));
}

function regimeFigure() {
  const { headline } = state.model.data;
  if (headline === null) return h("figure", {}, h("figcaption", {}, h("h3", {}, "Latency by regime")), h("p", { class: "notice" }, "No kernel has been promoted."));
  const sets = [
    { label: "baseline", kind: "baseline", regimes: headline.regimes, value: (row) => row.baseline_us },
    { label: "incumbent", kind: "this", regimes: headline.regimes, value: (row) => row.latency_us },
    { label: "floor", kind: "floor", regimes: headline.regimes, value: (row) => row.floor_us },
  ];
  return h("figure", {}, h("figcaption", {}, h("h3", {}, "Latency by regime"), h("span", { class: "note" }, `timer ${state.model.data.run.timer ?? "not known"}`)),
    regimeBars(sets) ?? h("p", { class: "notice" }, "The log doesn't hold its latency by regime."),
    h("p", {}, "Found at ", button(`#${headline.node} ${state.model.name(state.model.nodes[headline.node])}`, () => selectNode(headline.node, true), { class: "link" }), ` after ${seconds(headline.at_s)}.`));
}

function buildTree() {
  const search = h("input", { type: "search", placeholder: "technique, target, intent, #node", "aria-label": "Filter the tree", input: (event) => { state.view.text = event.target.value; treeChanged(); } });
  const statuses = [["all", "All"], ["proven", "Proven"], ["unproven", "Unproven"], ["closed", "Closed"], ["exhausted", "Exhausted"], ["promoted", "Promoted"], ["open", "In flight"]];
  const orders = [["best", "Best first"], ["visits", "Most visited first"], ["opened", "Oldest first"]];
  replaceChildren(section("tree"), heading("tree", "Search tree", h("span", { class: "note", id: "tree-count" })),
    h("div", { class: "tools" }, search, picker("Status", statuses, "status"), picker("Order", orders, "order"), h("div", { id: "tree-mode" }),
      button("Unfold all", unfoldAll), button("Fold all", foldAll), button("Incumbent", () => { if (state.model.incumbent !== null) selectNode(state.model.incumbent, true); })),
    h("div", { class: "split" }, h("div", { class: "views" }, buildGrid(), buildDrawing()), buildPanel()),
    h("p", { class: "legend" }, Object.entries(MARKS).map(([kind, mark]) => h("span", {}, h("span", { class: "mark", "data-state": kind, "aria-hidden": "true" }, mark), ` ${kind}`)),
      h("span", { class: "note" }, "Arrows move and unfold, Enter opens, letters find, Escape in the panel returns.")));
}

function picker(label, options, key) {
  return h("label", {}, h("span", { class: "hidden" }, label),
    h("select", { change: (event) => { state.view[key] = event.target.value; treeChanged(); } }, options.map(([value, text]) => h("option", { value, selected: state.view[key] === value }, text))));
}

function drawMode() {
  const options = [{ value: "rows", label: "Rows" }, { value: "drawing", label: "Drawing" }];
  replaceChildren(section("tree-mode"), choice("Show the tree as", options, state.view.mode, (mode) => {
    state.view.mode = mode;
    drawMode();
    if (mode === "drawing") { sizeDrawing(); layDrawing(); fitDrawing(); } else drawRows();
  }));
  grid.element.hidden = state.view.mode !== "rows";
  drawing.element.hidden = state.view.mode !== "drawing";
}

function unfoldAll() {
  for (const node of state.model.nodes) if (state.model.children[node.id].length) state.view.expanded.add(node.id);
  treeChanged();
}

function foldAll() {
  state.view.expanded = new Set([0]);
  treeChanged();
}

// Rows and drawing after a change of data, filter or expansion.
function treeChanged() {
  layRows();
  layDrawing();
  section("tree-count").textContent = `${many(grid.rows.length, "row")} of ${many(state.model.nodes.length, "plan")}`;
}

function drawPolicy() {
  const { policy, run } = state.model.data, reward = { class: "number", title: "nats over the baseline" }, number = { class: "number" };
  const depth = [["depth", (row) => row.depth], ["plans", (row) => row.nodes, number], ["attempts", (row) => row.attempts, number], ["proven", (row) => row.proven, number],
    ["closed", (row) => row.closed, number], ["children", (row) => plain(row.mean_children, 1), number], ["best", (row) => plain(row.best), reward]];
  const outcomes = [["ticket", (row) => row.kind === "write" ? "write" : "ideas"], ["outcome", (row) => row.outcome === null ? "open" : row.stage ? `${row.outcome}: ${row.stage}` : row.outcome], ["count", (row) => row.count, number]];
  const widening = [["children", (row) => row.children], ["plans", (row) => row.nodes, number], ["mean visits", (row) => plain(row.mean_visits, 1), number]];
  replaceChildren(section("policy"), heading("policy", "Policy", h("span", { class: "note" }, run.policy)), facts([
    ["honesty b", plain(run.honesty), "Share of claimed gains that came true: how far the planner is believed, 0 to 1"], ["ideas brought", String(policy.proposed)], ["opened", String(policy.opened)],
    ["in queues", String(policy.queued)], ["refused", String(policy.refused)], ["duplicates", String(policy.duplicates), "Kernels whose code had been judged before: settled without an evaluation"],
    ["timing noise", run.sigma_noise === null ? DASH : `${plain(100 * run.sigma_noise, 1)} %`]]),
    h("div", { class: "columns three" },
      h("div", {}, h("h3", {}, "Visits by depth"), table("Visits by depth", depth, policy.depths)),
      h("div", {}, h("h3", {}, "Outcomes"), table("Outcomes of tickets", outcomes, policy.outcomes)),
      h("div", {}, h("h3", {}, "Widening"), table("Plans by number of children", widening, policy.widening))));
}

function drawTechniques() {
  const number = { class: "number" }, rows = [...state.model.data.techniques].sort((a, b) => (b.measured_gain ?? -Infinity) - (a.measured_gain ?? -Infinity));
  const columns = [["technique", (row) => row.technique], ["tried", (row) => row.tries, number], ["passed", (row) => row.successes, number], ["failed", (row) => row.failures, number],
    ["claimed", (row) => times(row.claimed_gain), { class: "number", title: "Mean claimed speed-up of its tried steps" }],
    ["measured", (row) => times(row.measured_gain), { class: "number", title: "Mean measured speed-up of its steps" }], ["measured steps", (row) => row.measured, number]];
  replaceChildren(section("techniques"), heading("techniques", "Techniques"), rows.length ? table("What became of each technique", columns, rows) : h("p", { class: "notice" }, "No step has been settled yet."));
}

function drawCost() {
  const { budget, costs } = state.model.data, number = { class: "number" };
  const names = { evaluations: "evaluations", gpu_seconds: "GPU-seconds", usd: "US dollars", tokens: "tokens", wall_seconds: "seconds" };
  const used = Object.entries(budget).filter(([, row]) => row.limit !== null || row.spent > 0);
  const budgets = [["budget", ([name]) => names[name] ?? name], ["spent", ([, row]) => thousands(row.spent, row.spent % 1 ? 1 : 0), number], ["reserved", ([, row]) => row.reserved ? thousands(row.reserved, 0) : null, number],
    ["limit", ([, row]) => row.limit === null ? "none" : thousands(row.limit, 0), number], ["", ([name, row]) => row.limit ? meter(name, row) : null]];
  const roles = [["role", (row) => row.role], ["times", (row) => row.count || null, number], ["device", (row) => seconds(row.device_seconds), number], ["wall", (row) => seconds(row.wall_seconds), number],
    ["tokens", (row) => row.tokens === null ? null : thousands(row.tokens, 0), number], ["dollars", (row) => row.usd === null ? null : dollars(row.usd), number]];
  replaceChildren(section("cost"), heading("cost", "Cost"), h("div", { class: "columns" }, h("div", {}, h("h3", {}, "Budget"), table("Budgets", budgets, used)),
    h("div", {}, h("h3", {}, "By role"), costs.length ? table("Cost by role", roles, costs) : h("p", { class: "notice" }, "Nothing was spent."))));
}

function meter(name, row) {
  return h("meter", { min: 0, max: row.limit, value: Math.min(row.spent, row.limit), "aria-label": `${name} spent` });
}

function drawReproduce() {
  const list = state.model.data.commands.map((entry) => h("li", {}, h("p", {}, `${entry.purpose}:`), commandLine(entry.command)));
  replaceChildren(section("reproduce"), heading("reproduce", "Check and reproduce"), h("ul", { class: "commands" }, list));
}

function drawEnvironment() {
  const { run, environment, settings } = state.model.data, columns = [["", ([name]) => name], ["", ([, value]) => typeof value === "string" ? value : JSON.stringify(value)]];
  const facts = { device: `${run.device_name} (${run.device})`, timer: run.timer ?? DASH, ksearch: run.program, judge: run.judge, templates: run.family ?? "none", ...environment };
  replaceChildren(section("environment"), heading("environment", "Environment and settings"), h("div", { class: "columns" },
    h("div", {}, h("h3", {}, "Measured on"), table("Environment", columns, Object.entries(facts), { class: "pairs" })),
    h("div", {}, h("h3", {}, "Settings"), table("Settings", columns, flat(settings), { class: "pairs" }))));
}

function flat(value, prefix = "") {
  return Object.entries(value).flatMap(([name, inner]) => inner !== null && typeof inner === "object" && !Array.isArray(inner) ? flat(inner, `${prefix}${name}.`) : [[prefix + name, inner]]);
}
