// The kernels of a node, and the ideas below it that were not tried.

function attemptsSection(node, shown) {
  const rows = state.model.candidates[node.id];
  if (!rows.length) return null;
  const columns = [
    [
      "candidate",
      (c) =>
        button(
          `${c.id}${c.id === shown.id ? " (shown)" : ""}`,
          () => {
            panel.candidate = c.id;
            drawPanel(true);
          },
          { class: "link", "aria-label": `Show candidate ${c.id}` },
        ),
    ],
    ["written by", (c) => c.origin],
    ["outcome", (c) => (c.outcome === null ? "open" : c.outcome === "failed" ? `failed: ${c.failed_stage}` : "passed")],
    ["\u00b5s", (c) => us(c.latency_us), { class: "number" }],
    ["reward", (c) => nats(c.reward), { class: "number", title: "nats over the baseline" }],
    ["device", (c) => seconds(c.device_seconds), { class: "number" }],
    ["message", (c) => c.message ?? ""],
  ];
  return h(
    "section",
    {},
    h("h4", {}, "Attempts"),
    table(`Candidates of node ${node.id}`, columns, rows),
    commandLine(`ksearch export ${shellWord(state.model.data.run.name)} --node ${node.id} --format dir -o node-${node.id}`),
  );
}

// Quoted for a POSIX shell: a run's name comes from its file.
function shellWord(text) {
  return /^[\w@%+=:,./-]+$/.test(text) ? text : `'${text.replace(/'/g, "'\"'\"'")}'`;
}

function proposalsSection(node) {
  if (!node.queued.length && !node.refused.length) return null;
  const { actions } = state.model.data;
  const columns = [
    ["step", (action) => actionName(action)],
    ["claim", (action) => times(action.gain_mean), { class: "number" }],
    ["P(success)", (action) => percent(action.p_success), { class: "number" }],
    ["intent", (action) => action.intent],
  ];
  const refused = [
    ["step", (row) => actionName(actions[row.action])],
    ["refused because", (row) => row.reason],
  ];
  return h(
    "section",
    {},
    h("h4", {}, "Ideas not tried here"),
    node.queued.length
      ? fold(
          "queued",
          `${many(node.queued.length, "idea")} in the queue`,
          table(
            "Queued ideas",
            columns,
            node.queued.map((index) => actions[index]),
          ),
        )
      : null,
    node.refused.length
      ? fold("refused", `${many(node.refused.length, "idea")} refused`, table("Refused ideas", refused, node.refused))
      : null,
  );
}
