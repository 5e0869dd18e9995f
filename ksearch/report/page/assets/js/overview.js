// Progress beside the incumbent's latency by regime.

function drawOverview() {
  replaceChildren(
    section("overview"),
    heading("overview", "Overview"),
    h("div", { class: "columns wide-left" }, progressFigure(), regimeFigure()),
  );
}

function regimeFigure() {
  const { headline } = state.model.data;
  if (headline === null)
    return h(
      "figure",
      {},
      h("figcaption", {}, h("h3", {}, "Latency by regime")),
      h("p", { class: "notice" }, "No kernel has been promoted."),
    );
  const sets = [
    { label: "baseline", kind: "baseline", regimes: headline.regimes, value: (row) => row.baseline_us },
    { label: "incumbent", kind: "this", regimes: headline.regimes, value: (row) => row.latency_us },
    { label: "floor", kind: "floor", regimes: headline.regimes, value: (row) => row.floor_us },
  ];
  return h(
    "figure",
    {},
    h(
      "figcaption",
      {},
      h("h3", {}, "Latency by regime"),
      h("span", { class: "note" }, `timer ${state.model.data.run.timer ?? "not known"}`),
    ),
    regimeBars(sets) ?? h("p", { class: "notice" }, "The log doesn't hold its latency by regime."),
    h("p", { class: "note" }, floorText(state.model.data.run.floor)),
    h(
      "p",
      {},
      "Found at ",
      button(`${state.model.title(headline.node)}`, () => selectNode(headline.node, true), {
        class: "link",
      }),
      ` after ${seconds(headline.at_s)}.`,
    ),
  );
}

const BASES = {
  declared: "the inputs that the definition says must be read",
  "all inputs": "all inputs read once",
  "outputs alone": "the outputs alone, since no input is known to be read",
};

function floorText(floor) {
  if (floor === null) return "No floor: what the device allows was not known to this run.";
  return `Floor: ${us(floor.floor_us)} \u00b5s over all workloads, bound by ${floor.binds}; from ${floor.source === "measured" ? "measured ceilings of the device" : "its datasheet"}, counting ${BASES[floor.basis] ?? floor.basis}.`;
}
