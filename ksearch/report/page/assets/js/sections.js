// The tables after the tree.

function drawPolicy() {
  const { policy, run } = state.model.data,
    reward = { class: "number", title: "nats over the baseline" },
    number = { class: "number" };
  const depth = [
    ["depth", (row) => row.depth],
    ["plans", (row) => row.nodes, number],
    ["attempts", (row) => row.attempts, number],
    ["proven", (row) => row.proven, number],
    ["closed", (row) => row.closed, number],
    ["children", (row) => plain(row.mean_children, 1), number],
    ["best", (row) => plain(row.best), reward],
  ];
  const outcomes = [
    ["ticket", (row) => (row.kind === "write" ? "write" : "ideas")],
    ["outcome", (row) => (row.outcome === null ? "open" : row.stage ? `${row.outcome}: ${row.stage}` : row.outcome)],
    ["count", (row) => row.count, number],
  ];
  const widening = [
    ["children", (row) => row.children],
    ["plans", (row) => row.nodes, number],
    ["mean visits", (row) => plain(row.mean_visits, 1), number],
  ];
  replaceChildren(
    section("policy"),
    heading("policy", "Policy", h("span", { class: "note" }, run.policy)),
    facts([
      ["honesty b", plain(run.honesty), "Share of claimed gains that came true: how far the planner is believed, 0 to 1"],
      ["ideas brought", String(policy.proposed)],
      ["opened", String(policy.opened)],
      ["in queues", String(policy.queued)],
      ["refused", String(policy.refused)],
      ["duplicates", String(policy.duplicates), "Kernels whose code had been judged before: settled without an evaluation"],
      ["timing noise", run.sigma_noise === null ? DASH : `${plain(100 * run.sigma_noise, 1)} %`],
    ]),
    h(
      "div",
      { class: "columns three" },
      h("div", {}, h("h3", {}, "Visits by depth"), table("Visits by depth", depth, policy.depths)),
      h("div", {}, h("h3", {}, "Outcomes"), table("Outcomes of tickets", outcomes, policy.outcomes)),
      h("div", {}, h("h3", {}, "Widening"), table("Plans by number of children", widening, policy.widening)),
    ),
  );
}

function drawTechniques() {
  const number = { class: "number" },
    rows = [...state.model.data.techniques].sort((a, b) => (b.measured_gain ?? -Infinity) - (a.measured_gain ?? -Infinity));
  const columns = [
    ["technique", (row) => row.technique],
    ["tried", (row) => row.tries, number],
    ["passed", (row) => row.successes, number],
    ["failed", (row) => row.failures, number],
    ["claimed", (row) => times(row.claimed_gain), { class: "number", title: "Mean claimed speed-up of its tried steps" }],
    ["measured", (row) => times(row.measured_gain), { class: "number", title: "Mean measured speed-up of its steps" }],
    ["measured steps", (row) => row.measured, number],
  ];
  replaceChildren(
    section("techniques"),
    heading("techniques", "Techniques"),
    rows.length
      ? table("What became of each technique", columns, rows)
      : h("p", { class: "notice" }, "No step has been settled yet."),
  );
}

function drawCost() {
  const { budget, costs } = state.model.data,
    number = { class: "number" };
  const names = {
    evaluations: "evaluations",
    gpu_seconds: "GPU-seconds",
    usd: "US dollars",
    tokens: "tokens",
    wall_seconds: "seconds",
  };
  const used = Object.entries(budget).filter(([, row]) => row.limit !== null || row.spent > 0);
  const budgets = [
    ["budget", ([name]) => names[name] ?? name],
    ["spent", ([, row]) => thousands(row.spent, row.spent % 1 ? 1 : 0), number],
    ["reserved", ([, row]) => (row.reserved ? thousands(row.reserved, 0) : null), number],
    ["limit", ([, row]) => (row.limit === null ? "none" : thousands(row.limit, 0)), number],
    ["share", ([name, row]) => (row.limit ? meter(name, row) : null)],
  ];
  const roles = [
    ["role", (row) => (row.models.length ? `${row.role}, ${row.models.join(", ")}` : row.role)],
    ["times", (row) => row.count || null, number],
    ["device", (row) => seconds(row.device_seconds), number],
    ["wall", (row) => seconds(row.wall_seconds), number],
    ...(costs.some((row) => row.tokens !== null)
      ? [
          ["tokens", (row) => (row.tokens === null ? null : thousands(row.tokens, 0)), number],
          ["dollars", (row) => (row.usd === null ? null : dollars(row.usd)), number],
        ]
      : []),
  ];
  replaceChildren(
    section("cost"),
    heading("cost", "Cost"),
    h(
      "div",
      { class: "columns" },
      h("div", {}, h("h3", {}, "Budget"), table("Budgets", budgets, used)),
      h(
        "div",
        {},
        h("h3", {}, "By role"),
        costs.length ? table("Cost by role", roles, costs) : h("p", { class: "notice" }, "Nothing was spent."),
      ),
    ),
  );
}

function meter(name, row) {
  return h("meter", { min: 0, max: row.limit, value: Math.min(row.spent, row.limit), "aria-label": `${name} spent` });
}

function drawReproduce() {
  const list = state.model.data.commands.map((entry) => h("li", {}, h("p", {}, `${entry.purpose}:`), commandLine(entry.command)));
  replaceChildren(section("reproduce"), heading("reproduce", "Check and reproduce"), h("ul", { class: "commands" }, list));
}

function drawEnvironment() {
  const { run, environment, settings } = state.model.data,
    columns = [
      ["name", ([name]) => name],
      ["value", ([, value]) => settingText(value)],
    ];
  const facts = {
    device: `${run.device_name} (${run.device})`,
    timer: run.timer ?? DASH,
    ksearch: run.program,
    judge: run.judge,
    templates: run.family ?? "none",
    ...environment,
  };
  replaceChildren(
    section("environment"),
    heading("environment", "Environment and settings"),
    h(
      "div",
      { class: "columns" },
      h("div", {}, h("h3", {}, "Measured on"), table("Environment", columns, Object.entries(facts), { class: "pairs" })),
      h("div", {}, h("h3", {}, "Settings"), table("Settings", columns, flat(settings), { class: "pairs" })),
    ),
  );
}

function settingText(value) {
  if (value === null || value === "" || (Array.isArray(value) && !value.length)) return null;
  return typeof value === "string" ? value : JSON.stringify(value);
}

function flat(value, prefix = "") {
  return Object.entries(value).flatMap(([name, inner]) =>
    inner !== null && typeof inner === "object" && !Array.isArray(inner)
      ? flat(inner, `${prefix}${name}.`)
      : [[prefix + name, inner]],
  );
}

// On a live page of a large run these are older than the tree for a while.
function drawAsOf() {
  const late = live.on && live.shown === null && live.whole < state.model.data.run.seq;
  for (const id of ["claims", "beliefs", "policy", "techniques", "cost"]) {
    const head = section(id).querySelector(".head"),
      note = head?.querySelector(".as-of") ?? head?.appendChild(h("span", { class: "note as-of" }));
    if (note) note.textContent = late ? `as of event ${thousands(live.whole, 0)}` : "";
  }
}
