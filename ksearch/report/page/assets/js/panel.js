// One node: why it was chosen, what was claimed, what was measured, what failed, the code.

const panel = { element: null, drawn: null, candidate: null }; // candidate: an attempt looked at in place of the one that stands for the node

function buildPanel() {
  panel.element = h("aside", { id: "node", class: "panel", "aria-labelledby": "node-h", keydown: (event) => {
    if (event.key === "Escape") moveTo(state.view.active);
  } });
  return panel.element;
}

// Drawn again only when something about the node changed, so that a live page leaves the reader's place alone.
function drawPanel(force = false) {
  const { model, view } = state, node = model.nodes[view.selected];
  if (node === undefined) return replaceChildren(panel.element, h("p", { class: "notice" }, "The starting kernel isn't measured yet: there is no tree."));
  const signature = JSON.stringify([node, model.candidates[node.id], model.tickets[node.id], model.parentCandidate(node)?.id]);
  if (!force && panel.drawn === signature) return panel.element;
  const same = panel.drawn !== null && JSON.parse(panel.drawn)[0].id === node.id, top = panel.element.scrollTop;
  panel.drawn = signature;
  const candidate = model.candidates[node.id].find((other) => other.id === panel.candidate) ?? model.shown(node), actions = h("div", { class: "actions" });
  replaceChildren(panel.element, panelHead(node, candidate), actions, panelFacts(node, candidate), claimSection(node, candidate),
    whySection(node), candidate === null ? null : judgedSections(node, candidate), attemptsSection(node, candidate), proposalsSection(node));
  panel.element.scrollTop = same ? top : 0;
  emit("node", node.id, actions);
  return panel.element;
}

function panelHead(node, candidate) {
  const { model } = state, action = model.action(node), kind = model.state(node);
  const path = pathItems(model.path(node.id), node.id);
  return h("header", {},
    h("nav", { "aria-label": "Plan" }, h("ol", { class: "path" }, path)),
    h("h3", { id: "node-h", tabindex: "-1" }, h("span", { class: "mark", "data-state": kind, "aria-hidden": "true" }, MARKS[kind]), " ", model.name(node), " ", h("span", { class: "id" }, `#${node.id}`)),
    action === null ? h("p", {}, "The kernel that the search began with.") : h("p", {}, sentence(action.intent)),
    action === null || !action.rationale ? null : h("p", { class: "note" }, action.rationale),
    h("p", { class: "chips" }, chip(`${kind}: ${MEANINGS[kind]}`), candidate === null ? null : chip(candidate.language),
      candidate?.standing ? chip(STANDINGS[candidate.standing]) : null, action?.regime ? chip(`aimed at ${action.regime}`) : null,
      candidate !== null && candidate.twin !== null ? chip(`same code as candidate ${candidate.twin}`) : null));
}

const PATH_ENDS = [2, 4]; // steps of a long plan that are named, from its beginning and its end

function pathItems(path, current) {
  const step = (id) => h("li", {}, button(state.model.name(state.model.nodes[id]), () => selectNode(id, true), { class: "link", "aria-current": id === current ? "true" : null }));
  const [first, last] = PATH_ENDS, between = path.slice(first, -last);
  if (between.length < 2) return path.map(step);
  const more = h("li", {}, button(`${between.length} more steps`, () => more.replaceWith(...between.map(step)), { class: "link" }));
  return [...path.slice(0, first).map(step), more, ...path.slice(-last).map(step)];
}

const STANDINGS = { promoted: "promoted: full set, paired second measurement", subset: "timed on the subset" };

function chip(text) {
  return h("span", { class: "chip" }, text);
}

function sentence(text) {
  return text ? text[0].toUpperCase() + text.slice(1) : "";
}

function panelFacts(node, candidate) {
  const baseline = candidate?.baseline_us, latency = candidate?.latency_us;
  return facts([
    ["latency", latency === null || latency === undefined ? DASH : `${us(latency)} \u00b5s`, "Weighted mean over the timed workloads"],
    ["over baseline", latency && baseline ? `${factor(baseline / latency)}\u00d7` : DASH, "Baseline's mean over this mean"],
    ["N / F", `${node.N} / ${node.F}`, "Settled attempts at and below, of which failed"],
    ["O / K", `${node.O} / ${node.K}`, "In flight / skipped on a forecast"],
    ["Q", plain(node.Q), "Value: mean and best blended, nats over the baseline"],
    ["best", plain(node.best), "Greatest measured reward at and below, nats"],
    ["mean", plain(node.mean), "Mean value with the prior's pseudo-visit, nats"],
    ["V0", plain(node.V0), "Value believed before anything was measured, nats"],
    ["P", plain(node.P), "Prior probability among its siblings"],
    ["attempts", String(node.attempts), "Settled attempts that count towards the limit of this plan"],
  ]);
}

function claimSection(node, candidate) {
  const action = state.model.action(node), forecast = candidate?.forecast ?? null;
  if (action === null) return null;
  const noted = `claimed ${times(action.gain_mean)} with P(success) ${percent(action.p_success)}; measured ${node.gain === null ? "nothing yet" : times(node.gain)}`;
  return h("section", {}, h("h4", {}, "Claim and outcome"), h("p", {}, sentence(noted)), claimStrip(node, action, forecast, parentReward(node)));
}

function parentReward(node) {
  return node.parent === null ? null : state.model.nodes[node.parent].own_best;
}

function whySection(node) {
  const rows = state.model.tickets[node.id];
  const columns = [
    ["ticket", (t) => `${t.ticket}`, { class: "number" }], ["asked for", (t) => t.kind === "write" ? `write (${t.mode})` : "ideas"], ["because", (t) => t.why],
    ["outcome", (t) => t.outcome === null ? "open" : t.outcome === "proposed" ? many(t.proposals, "idea") : t.reward !== null ? `${t.outcome} ${nats(t.reward)}` : [t.outcome, t.reason].filter(Boolean).join(": ")],
    ["at", (t) => seconds(t.issued_s), { class: "number" }],
  ];
  return h("section", {}, h("h4", {}, "Why it was chosen"),
    rows.length ? table(`Decisions about node ${node.id}`, columns, rows) : h("p", { class: "note" }, "It has not been chosen yet."), siblingScores(node));
}

function siblingScores(node) {
  if (node.score === null) return null;
  const siblings = state.model.children[node.parent].map((id) => state.model.nodes[id]).filter((other) => other.score !== null).sort((a, b) => a.score.rank - b.score.rank || a.id - b.id);
  const near = siblings.filter((other, at) => at < 8 || other.id === node.id);
  const columns = [
    ["step", (other) => h("span", { class: other.id === node.id ? "this" : "" }, button(`${state.model.name(other)} #${other.id}`, () => selectNode(other.id, true), { class: "link" }))],
    ["value", (other) => plain(other.score.q_tilde, 3), { class: "number", title: "q after virtual loss, 0 to 1" }],
    ["exploration", (other) => plain(other.score.exploration, 3), { class: "number" }],
    ["score", (other) => plain(other.score.total, 3), { class: "number" }],
    ["N", (other) => other.N, { class: "number" }], ["P", (other) => plain(other.P), { class: "number" }],
    ["", (other) => other.score.legal ? "" : "nothing to ask", {}],
  ];
  const more = siblings.length - near.length;
  return fold("scores", node.score.arms === 1 ? "Score now: it is the only arm of its parent" : `Score among the ${node.score.arms} arms of its parent now: rank ${node.score.rank}`, table("Scores among siblings", columns, near),
    more > 0 ? h("p", { class: "note" }, `${more} more`) : null);
}

function judgedSections(node, candidate) {
  const latency = h("div"), failure = h("div"), code = h("div", {}, h("p", { class: "note" }, "Unpacking\u2026"));
  loadJudged(node, candidate, { latency, failure, code });
  return [latency, failure, h("section", {}, h("h4", {}, "Code"), code)];
}

async function loadJudged(node, candidate, places) {
  const parent = state.model.parentCandidate(node);
  const [mine, above] = await Promise.all([candidateDetail(candidate.id), parent === null ? null : candidateDetail(parent.id)]);
  if (mine === null) return replaceChildren(places.code, h("p", { class: "notice" }, "The kernel could not be read."));
  replaceChildren(places.latency, latencySection(candidate, mine, above));
  replaceChildren(places.failure, failureSections(candidate, mine));
  return drawCode(places.code, mine, above !== null && !above.missing ? above : null);
}

function latencySection(candidate, mine, above) {
  const timed = timedEvaluation(mine), before = timedEvaluation(above);
  if (timed === null) return null;
  const sets = [
    { label: "baseline", kind: "baseline", regimes: timed.regimes, value: (row) => row.baseline_us },
    ...(before === null ? [] : [{ label: "parent", kind: "parent", regimes: before.regimes, value: (row) => row.latency_us }]),
    { label: "this", kind: "this", regimes: timed.regimes, value: (row) => row.latency_us },
    { label: "floor", kind: "floor", regimes: timed.regimes, value: (row) => row.floor_us },
  ];
  return h("section", {}, h("h4", {}, "Latency by regime"), regimeBars(sets), measurementFacts(timed), workloadTable(timed));
}

function measurementFacts(timed) {
  const compiled = timed.compile;
  return facts([
    ["timer", timed.timer], ["resolution", timed.resolution_us === null ? null : `${us(timed.resolution_us)} \u00b5s`, "Below this a liar could not be told from a fast kernel"],
    ["noise", timed.noise_ln === null ? null : percent(timed.noise_ln), "Standard deviation between repeats"],
    ["against incumbent", timed.paired === null ? null : `${times(timed.paired.mean)} (${times(timed.paired.low)} to ${times(timed.paired.high)})`, "Paired measurement, 95 % interval over blocks"],
    ["registers", compiled?.registers ?? null], ["spills", compiled?.spill_bytes === null || compiled === null ? null : `${compiled.spill_bytes} B`],
    ["shared memory", compiled?.shared_bytes === null || compiled === null ? null : `${compiled.shared_bytes} B`],
    ["hidden workloads", timed.hidden === "none" ? null : timed.hidden],
  ]);
}

function workloadTable(timed) {
  const columns = [
    ["workload", (row) => h("code", {}, row.uuid)], ["regime", (row) => row.regime], ["\u00b5s", (row) => us(row.latency_us), { class: "number" }],
    ["baseline", (row) => us(row.baseline_us), { class: "number" }],
    ["speed-up", (row) => row.latency_us && row.baseline_us ? `${factor(row.baseline_us / row.latency_us)}\u00d7` : DASH, { class: "number" }],
    ["max abs error", (row) => row.max_abs_error === null ? DASH : row.max_abs_error.toPrecision(2), { class: "number" }],
  ];
  return fold("workloads", many(timed.workloads.length, "workload"), table("Latency by workload", columns, timed.workloads));
}

function failureSections(candidate, mine) {
  return mine.evaluations.filter((evaluation) => evaluation.evidence !== null).map((evaluation) => {
    const { evidence } = evaluation, answer = judgedCandidate(candidate).evaluations.find((other) => other.kind === evaluation.kind);
    return h("section", { class: "failure" }, h("h4", {}, `${answer?.status ?? "Failed"} at ${answer?.stage ?? "an unknown stage"}`), h("p", {}, evidence.message),
      facts([["workload", evidence.workload], ["element", evidence.element]]),
      evidence.log ? h("pre", { class: "log", tabindex: "0" }, evidence.log) : null,
      evidence.reproduce ? commandLine(evidence.reproduce) : null);
  });
}

function judgedCandidate(candidate) {
  return candidate.twin === null ? candidate : state.model.data.candidates[candidate.twin];
}

function commandLine(command) {
  return h("div", { class: "command" }, h("code", { tabindex: "0" }, command), copyButton(visible(command), "command"));
}

function attemptsSection(node, shown) {
  const rows = state.model.candidates[node.id];
  if (!rows.length) return null;
  const columns = [
    ["candidate", (c) => button(`${c.id}${c.id === shown.id ? " (shown)" : ""}`, () => { panel.candidate = c.id; drawPanel(true); }, { class: "link", "aria-label": `Show candidate ${c.id}` })], ["written by", (c) => c.origin],
    ["outcome", (c) => c.outcome === null ? "open" : c.outcome === "failed" ? `failed: ${c.failed_stage}` : "passed"],
    ["\u00b5s", (c) => us(c.latency_us), { class: "number" }], ["reward", (c) => nats(c.reward), { class: "number", title: "nats over the baseline" }],
    ["device", (c) => seconds(c.device_seconds), { class: "number" }], ["message", (c) => c.message ?? ""],
  ];
  return h("section", {}, h("h4", {}, "Attempts"), table(`Candidates of node ${node.id}`, columns, rows),
    commandLine(`ksearch export ${shellWord(state.model.data.run.name)} --node ${node.id} --format dir -o node-${node.id}`));
}

// Quoted for a POSIX shell: a run's name comes from its file.
function shellWord(text) {
  return /^[\w@%+=:,./-]+$/.test(text) ? text : `'${text.replace(/'/g, "'\"'\"'")}'`;
}

function proposalsSection(node) {
  if (!node.queued.length && !node.refused.length) return null;
  const { actions } = state.model.data;
  const columns = [
    ["step", (action) => actionName(action)], ["claim", (action) => times(action.gain_mean), { class: "number" }],
    ["P(success)", (action) => percent(action.p_success), { class: "number" }], ["intent", (action) => action.intent],
  ];
  const refused = [["step", (row) => actionName(actions[row.action])], ["refused because", (row) => row.reason]];
  return h("section", {}, h("h4", {}, "Ideas not tried here"),
    node.queued.length ? fold("queued", `${many(node.queued.length, "idea")} in the queue`, table("Queued ideas", columns, node.queued.map((index) => actions[index]))) : null,
    node.refused.length ? fold("refused", `${many(node.refused.length, "idea")} refused`, table("Refused ideas", refused, node.refused)) : null);
}
