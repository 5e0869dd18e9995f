// Claims held against measurements: of one step as a strip, of all steps as a cloud.

const CENTRAL_80 = 1.2816; // quantile of the normal: 80 % lie within so many standard deviations

function claimStrip(node, action, forecast, parentReward) {
  const marks = [
    {
      kind: "claim",
      label: "claim",
      low: action.gain_mean - CENTRAL_80 * action.gain_sd,
      middle: action.gain_mean,
      high: action.gain_mean + CENTRAL_80 * action.gain_sd,
    },
  ];
  if (forecast !== null && parentReward !== null) {
    marks.push({
      kind: "forecast",
      label: "forecast",
      low: forecast.reward - CENTRAL_80 * forecast.sigma - parentReward,
      middle: forecast.reward - parentReward,
      high: forecast.reward + CENTRAL_80 * forecast.sigma - parentReward,
    });
  }
  if (node.gain !== null) marks.push({ kind: "measured", label: "measured", low: null, middle: node.gain, high: null });
  const said = marks.map((mark) => `${mark.label} ${times(mark.middle)}`).join(", ");
  return chart(said, 24 + 22 * marks.length + 14, (svg, width, height) => drawStrip(svg, width, height, marks));
}

function drawStrip(svg, width, height, marks) {
  const ends = marks.flatMap((mark) => [mark.low, mark.middle, mark.high]).filter((value) => value !== null);
  const low = Math.min(0, ...ends) - 0.05,
    high = Math.max(0, ...ends) + 0.05,
    left = 72,
    bottom = height - 22;
  const x = d3.scaleLog([Math.exp(low), Math.exp(high)], [left, width - 16]);
  svg
    .append("g")
    .attr("class", "axis x")
    .attr("transform", `translate(0,${bottom})`)
    .call(
      d3
        .axisBottom(x)
        .tickValues(factorTicks(x.domain(), Math.floor(width / 60)))
        .tickFormat(tidyFactor)
        .tickSizeOuter(0),
    );
  svg.append("line").attr("class", "zero").attr("x1", x(1)).attr("x2", x(1)).attr("y1", 2).attr("y2", bottom);
  marks.forEach((mark, at) => {
    const y = 14 + 22 * at;
    svg
      .append("text")
      .attr("class", "label")
      .attr("x", 0)
      .attr("y", y + 4)
      .text(mark.label);
    if (mark.low !== null)
      svg
        .append("line")
        .attr("class", `interval ${mark.kind}`)
        .attr("x1", x(Math.exp(mark.low)))
        .attr("x2", x(Math.exp(mark.high)))
        .attr("y1", y)
        .attr("y2", y);
    svg
      .append("circle")
      .attr("class", `point ${mark.kind}`)
      .attr("cx", x(Math.exp(mark.middle)))
      .attr("cy", y)
      .attr("r", 5);
  });
}

function drawClaims() {
  const { model } = state;
  const parts = model.data.calibrations.map((calibration) =>
    h("div", { class: "columns" }, claimCloud(calibration), claimScores(calibration)),
  );
  replaceChildren(section("claims"), heading("claims", "Claims against measurements"), parts);
}

function claimCloud(calibration) {
  const measured = calibration.points.filter((point) => point.gain !== null);
  if (!measured.length) return h("p", { class: "notice" }, "No step has been measured against its parent yet.");
  const said = `Measured against claimed speed-up of ${many(measured.length, "step")}; on the diagonal a claim came true`;
  return h(
    "figure",
    {},
    h("figcaption", {}, h("h3", {}, `${sentence(calibration.source)}: gain of each step`)),
    chart(said, 300, (svg, width, height) => drawCloud(svg, width, height, measured)),
    h(
      "p",
      { class: "note" },
      "Each dot is a step over its parent; on the diagonal the claim came true. Click one to open its node.",
    ),
  );
}

function drawCloud(svg, width, height, points) {
  const range = inner(width, height),
    [least, most] = d3.extent(points.flatMap((point) => [Math.exp(point.claimed), Math.exp(point.gain)]));
  const domain = [Math.min(1, least) / 1.06, Math.max(1.1, most) * 1.06],
    x = d3.scaleLog(domain, range.x),
    y = d3.scaleLog(domain, range.y);
  axes(
    svg,
    x,
    y,
    width,
    height,
    { x: "claimed speed-up over parent", y: "measured" },
    { x: tidyFactor, y: tidyFactor, yCount: 0 },
  );
  svg.select(".axis.x").call(
    d3
      .axisBottom(x)
      .tickValues(factorTicks(domain, Math.floor(width / 70)))
      .tickFormat(tidyFactor)
      .tickSizeOuter(0),
  );
  svg.select(".axis.y").call(
    d3
      .axisLeft(y)
      .tickValues(factorTicks(domain, 7))
      .tickFormat(tidyFactor)
      .tickSizeOuter(0)
      .tickSizeInner(-(range.x[1] - range.x[0])),
  );
  svg
    .append("line")
    .attr("class", "diagonal")
    .attr("x1", range.x[0])
    .attr("y1", range.y[0])
    .attr("x2", range.x[1])
    .attr("y2", range.y[1]);
  const dots = points.map((point) => ({
    x: x(Math.exp(point.claimed)),
    y: y(Math.exp(point.gain)),
    open: () => selectNode(point.node, true),
    said: () =>
      `${state.model.title(point.node)}: claimed ${times(point.claimed)}, measured ${times(point.gain)}`,
  }));
  marks(svg, dots, "dots");
  reach(svg, dots);
}

// The planner beside one that always claims the mean of what came: what any claim has to beat.
function constantScore(calibration) {
  const said = state.model.data.predictions;
  if (calibration.source !== "planner" || said === null || said.constant_crps === null) return [];
  return [["CRPS of a constant", `${plain(said.constant_crps, 3)} nats`, "Of always claiming the mean and spread of what was measured, known afterwards"]];
}

function claimScores(calibration) {
  const list = facts([
    ["measured steps", String(calibration.measured)],
    [
      "bias",
      calibration.bias === null ? DASH : `${nats(calibration.bias)} nats`,
      "Mean of measured minus claimed; below 0 the planner promises too much",
    ],
    ["mean error", calibration.mae === null ? DASH : `${plain(calibration.mae)} nats`],
    [
      "CRPS",
      calibration.crps === null ? DASH : `${plain(calibration.crps, 3)} nats`,
      "Continuous ranked probability score of the claimed normal; 0 is perfect",
    ],
    ...constantScore(calibration),
    ["80 % interval holds", percent(calibration.coverage), "Share of measurements within the claimed central 80 %"],
    ["rank correlation", plain(calibration.rank), "Spearman"],
    ["Brier", calibration.brier === null ? DASH : plain(calibration.brier, 3), "Mean squared error of P(success)"],
  ]);
  const columns = [
    ["P(success) claimed", (bin) => `${percent(bin.low)} to ${percent(bin.high)}`],
    ["plans", (bin) => bin.claims, { class: "number" }],
    ["mean claim", (bin) => percent(bin.claimed), { class: "number" }],
    ["passed", (bin) => percent(bin.passed), { class: "number" }],
  ];
  return h(
    "div",
    {},
    h("h3", {}, "How far claims can be believed"),
    list,
    calibration.reliability.length ? table("Claimed against actual success", columns, calibration.reliability) : null,
  );
}
