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
