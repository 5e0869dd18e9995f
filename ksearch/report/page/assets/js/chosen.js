// Why a node was chosen: what the tree said then, and its score among its siblings now.

function whySection(node) {
  const rows = state.model.tickets[node.id];
  const columns = [
    ["ticket", (t) => `${t.ticket}`, { class: "number" }],
    ["asked for", (t) => (t.kind === "write" ? `write (${t.mode})` : "ideas")],
    ["because", (t) => t.why, { class: "because" }],
    [
      "outcome",
      (t) =>
        t.outcome === null
          ? "open"
          : t.outcome === "proposed"
            ? many(t.proposals, "idea")
            : t.reward !== null
              ? `${t.outcome} ${nats(t.reward)}`
              : [t.outcome, t.reason].filter(Boolean).join(": "),
    ],
    ["at", (t) => seconds(t.issued_s), { class: "number" }],
  ];
  return h(
    "section",
    {},
    h("h4", {}, "Why it was chosen"),
    rows.length
      ? table(`Decisions about node ${node.id}`, columns, rows, { class: "decisions" })
      : h("p", { class: "note" }, "It has not been chosen yet."),
    siblingScores(node),
  );
}

function siblingScores(node) {
  if (node.score === null) return null;
  const siblings = state.model.children[node.parent]
    .map((id) => state.model.nodes[id])
    .filter((other) => other.score !== null)
    .sort((a, b) => a.score.rank - b.score.rank || a.id - b.id);
  const near = siblings.filter((other, at) => at < 8 || other.id === node.id);
  const columns = [
    [
      "step",
      (other) =>
        h(
          "span",
          { class: other.id === node.id ? "this" : "" },
          button(`${state.model.name(other)} #${other.id}`, () => selectNode(other.id, true), { class: "link" }),
        ),
    ],
    ["value", (other) => plain(other.score.q_tilde, 3), { class: "number", title: "q after virtual loss, 0 to 1" }],
    ["exploration", (other) => plain(other.score.exploration, 3), { class: "number" }],
    ["score", (other) => plain(other.score.total, 3), { class: "number" }],
    ["N", (other) => other.N, { class: "number" }],
    ["P", (other) => plain(other.P), { class: "number" }],
    ["state", (other) => (other.score.legal ? "" : "nothing to ask"), {}],
  ];
  const more = siblings.length - near.length;
  return fold(
    "scores",
    node.score.arms === 1
      ? "Score now: it is the only arm of its parent"
      : `Score among the ${thousands(node.score.arms, 0)} arms of its parent now: rank ${thousands(node.score.rank, 0)}`,
    table("Scores among siblings", columns, near),
    more > 0 ? h("p", { class: "note" }, `${more} more`) : null,
  );
}
