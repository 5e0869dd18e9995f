// One node: why it was chosen, what was claimed, what was measured, what failed, the code.

const panel = { element: null, drawn: null, candidate: null }; // candidate: an attempt looked at in place of the one that stands for the node

function buildPanel() {
  panel.element = h("aside", {
    id: "node",
    class: "panel",
    "aria-labelledby": "node-h",
    keydown: (event) => {
      if (event.key === "Escape") moveTo(state.view.active);
    },
  });
  return panel.element;
}

// Drawn again only when something about the node changed, so that a live page leaves the reader's place alone.
function drawPanel(force = false) {
  const { model, view } = state,
    node = model.nodes[view.selected];
  if (node === undefined)
    return replaceChildren(
      panel.element,
      h("p", { class: "notice" }, "The starting kernel isn't measured yet: there is no tree."),
    );
  const signature = JSON.stringify([node, model.candidates[node.id], model.tickets[node.id], model.parentCandidate(node)?.id]);
  if (!force && panel.drawn === signature) return panel.element;
  const same = panel.drawn !== null && JSON.parse(panel.drawn)[0].id === node.id,
    top = panel.element.scrollTop;
  panel.drawn = signature;
  const candidate = model.candidates[node.id].find((other) => other.id === panel.candidate) ?? model.shown(node),
    actions = h("div", { class: "actions" });
  replaceChildren(
    panel.element,
    panelHead(node, candidate),
    actions,
    panelFacts(node, candidate),
    claimSection(node, candidate),
    whySection(node),
    candidate === null ? null : judgedSections(node, candidate),
    attemptsSection(node, candidate),
    proposalsSection(node),
  );
  panel.element.scrollTop = same ? top : 0;
  emit("node", node.id, actions);
  return panel.element;
}

function panelHead(node, candidate) {
  const { model } = state,
    action = model.action(node),
    kind = model.state(node);
  const path = pathItems(model.path(node.id), node.id);
  return h(
    "header",
    {},
    h("nav", { "aria-label": "Plan" }, h("ol", { class: "path" }, path)),
    h(
      "h3",
      { id: "node-h", tabindex: "-1" },
      h("span", { class: "mark", "data-state": kind, "aria-hidden": "true" }, MARKS[kind]),
      " ",
      model.name(node),
      " ",
      h("span", { class: "id" }, `#${node.id}`),
    ),
    action === null ? h("p", {}, "The kernel that the search began with.") : h("p", {}, sentence(action.intent)),
    action === null || !action.rationale ? null : h("p", { class: "note" }, action.rationale),
    h(
      "p",
      { class: "chips" },
      chip(`${kind}: ${MEANINGS[kind]}`),
      candidate === null ? null : chip(candidate.language),
      candidate?.standing ? chip(STANDINGS[candidate.standing]) : null,
      action?.regime ? chip(`aimed at ${action.regime}`) : null,
      candidate !== null && candidate.twin !== null ? chip(`same code as candidate ${candidate.twin}`) : null,
    ),
  );
}

const PATH_ENDS = [2, 4]; // steps of a long plan that are named, from its beginning and its end

function pathItems(path, current) {
  const step = (id) =>
    h(
      "li",
      {},
      button(state.model.name(state.model.nodes[id]), () => selectNode(id, true), {
        class: "link",
        "aria-current": id === current ? "true" : null,
      }),
    );
  const [first, last] = PATH_ENDS,
    between = path.slice(first, -last);
  if (between.length < 2) return path.map(step);
  const more = h(
    "li",
    {},
    button(`${between.length} more steps`, () => more.replaceWith(...between.map(step)), { class: "link" }),
  );
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
  const baseline = candidate?.baseline_us,
    latency = candidate?.latency_us;
  return facts([
    [
      "latency",
      latency === null || latency === undefined ? DASH : `${us(latency)} \u00b5s`,
      "Weighted mean over the timed workloads",
    ],
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
  const action = state.model.action(node),
    forecast = candidate?.forecast ?? null;
  if (action === null) return null;
  const noted = `claimed ${times(action.gain_mean)} with P(success) ${percent(action.p_success)}; ${outcomeText(node)}`;
  return h(
    "section",
    {},
    h("h4", {}, "Claim and outcome"),
    h("p", {}, sentence(noted)),
    forecast === null ? null : h("p", { class: "note" }, forecastText(forecast, parentReward(node))),
    claimStrip(node, action, forecast, parentReward(node)),
  );
}

function forecastText(forecast, parentReward) {
  const gain = parentReward === null ? DASH : times(forecast.reward - parentReward);
  const end = forecast.retired ? `; not measured: ${forecast.retired}` : forecast.audit ? "; measured as an audit, whatever its forecast" : "";
  return `Forecast by ${forecast.forecaster} before it was measured: ${gain}, P(passes) ${percent(forecast.p_passes)}${end}.`;
}

function outcomeText(node) {
  if (node.gain !== null) return `measured ${times(node.gain)}`;
  return hasFailed(node) ? `failed at ${node.failed_stage}, ${many(node.attempts, "attempt")}` : "nothing measured yet";
}

function parentReward(node) {
  return node.parent === null ? null : state.model.nodes[node.parent].own_best;
}
