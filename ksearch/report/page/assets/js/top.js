// Heading, contents, theme.

const SECTIONS = [
  ["overview", "Overview"],
  ["tree", "Tree"],
  ["claims", "Claims"],
  ["beliefs", "World model"],
  ["policy", "Policy"],
  ["techniques", "Techniques"],
  ["cost", "Cost"],
  ["reproduce", "Reproduce"],
  ["environment", "Environment"],
];
const STATES = {
  open: "no process has ended it",
  done: "finished",
  budget: "stopped at its budget",
  no_candidate: "no kernel passed",
  interrupted: "interrupted",
  error: "stopped by an error",
};

function section(id) {
  return document.getElementById(id);
}

function drawContents() {
  replaceChildren(
    section("contents"),
    h(
      "ul",
      {},
      SECTIONS.map(([id, label]) => h("li", {}, h("a", { href: `#${id}` }, label))),
    ),
    themeChoice(),
  );
}

function themeChoice() {
  const options = [
    { value: "", label: "\u25d0", title: "Theme of the system" },
    { value: "light", label: "\u2600\ufe0e", title: "Light theme" },
    { value: "dark", label: "\u263e", title: "Dark theme" },
  ];
  return choice("Theme", options, document.documentElement.dataset.theme ?? "", setTheme);
}

function setTheme(theme) {
  if (theme) document.documentElement.dataset.theme = theme;
  else delete document.documentElement.dataset.theme;
  try {
    localStorage.setItem("ksearch-theme", theme);
  } catch {
    /* storage may be closed to files: the choice then lasts as long as the page */
  }
  drawContents();
  paintSoon();
}

function storedTheme() {
  try {
    return localStorage.getItem("ksearch-theme") ?? "";
  } catch {
    return "";
  }
}

function drawTop() {
  const { run, headline } = state.model.data;
  replaceChildren(
    section("top"),
    h(
      "div",
      { class: "title" },
      h("p", { class: "brand" }, "ksearch"),
      h("h1", {}, breakable(run.definition)),
      h("p", { class: "note" }, `${run.name} \u00b7 ${run.device_name} \u00b7 ${moment(run.created)}`),
    ),
    h(
      "div",
      { class: "figures" },
      figure(
        "incumbent",
        headline === null ? DASH : `${us(headline.latency_us)} \u00b5s`,
        headline === null ? "no kernel was promoted" : floorNote(headline, run.floor) ?? "promoted, full set",
      ),
      figure("speed-up", headline === null ? DASH : `${factor(headline.speedup)}\u00d7`, `over ${run.baseline}`),
      figure(
        "evaluations",
        budgetText("evaluations", (value) => thousands(value, 0)),
        many(state.model.nodes.length, "plan"),
      ),
      figure(
        "time",
        seconds(run.wall_seconds),
        run.status === "open" ? STATES.open : `${STATES[run.status]}${run.reason ? `: ${run.reason}` : ""}`,
      ),
    ),
  );
}

// How far from what the hardware allows.
function floorNote(headline, floor) {
  return floor === null ? null : `promoted, ${factor(headline.latency_us / floor.floor_us)}\u00d7 the floor of ${us(floor.floor_us)}`;
}

function figure(label, value, note) {
  return h(
    "div",
    { class: "figure" },
    h("span", { class: "figure-label" }, label),
    h("span", { class: "figure-value" }, value),
    h("span", { class: "note" }, note),
  );
}

function budgetText(name, format) {
  const budget = state.model.data.budget[name];
  if (!budget) return DASH;
  return budget.limit === null ? format(budget.spent) : `${format(budget.spent)} / ${format(budget.limit)}`;
}
