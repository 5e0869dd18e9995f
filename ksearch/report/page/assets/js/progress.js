// The incumbent against what it cost: a line through the promotions, measured on the full set. Dots are single answers of the
// judge, timed on what their evaluation timed, mostly the subset; so a dot may lie above the line without being better.

const ABSCISSAE = [
  { value: "evaluations", label: "Evaluations", axis: "evaluations", read: (row) => row.evaluations },
  { value: "at_s", label: "Seconds", axis: "seconds of searching", read: (row) => row.at_s },
  { value: "gpu_seconds", label: "GPU-seconds", axis: "GPU-seconds", read: (row) => row.gpu_seconds },
  { value: "usd", label: "Dollars", axis: "US dollars", read: (row) => row.usd },
];

function progressFigure() {
  const { model, view } = state,
    rows = model.data.progress;
  const options = ABSCISSAE.map((entry) => {
    const spent = rows.some((row) => entry.read(row) > 0);
    return { ...entry, disabled: !spent, title: spent ? null : "none were spent" };
  });
  const chosen = options.find((option) => option.value === view.abscissa && !option.disabled) ?? options[0];
  const pick = (value) => {
    view.abscissa = value;
    drawOverview();
  };
  const { headline } = model.data;
  const said = `Speed-up of the incumbent over the baseline against ${chosen.axis}: ${headline ? `${factor(headline.speedup)}\u00d7` : "none promoted"} at the end`;
  return h(
    "figure",
    {},
    h("figcaption", {}, h("h3", {}, "Progress"), choice("Against", options, chosen.value, pick)),
    rows.length
      ? chart(said, 280, (svg, width, height) => drawProgress(svg, width, height, chosen))
      : h("p", { class: "notice" }, "Nothing has been measured yet."),
    h(
      "p",
      { class: "legend" },
      legend("line", "incumbent"),
      legend("ring", "promoted on the full set"),
      legend("dot", "one answer, mostly on the subset"),
      legend("cross", "failed"),
    ),
    promotionTable(),
  );
}

function legend(kind, text) {
  return h("span", { class: `key ${kind}` }, text);
}

function drawProgress(svg, width, height, abscissa) {
  const rows = state.model.data.progress,
    read = abscissa.read,
    range = inner(width, height),
    won = promotions(rows),
    limit = floorSpeedup();
  const values = [
    ...won.map((point) => point.speedup),
    ...rows.filter((row) => row.reward !== null).map((row) => Math.exp(row.reward)),
    ...(limit === null ? [] : [limit]),
    1.0001,
  ].filter((value) => value > 0);
  const low = d3.min(values.length > 1 ? values.slice(0, -1) : values),
    high = d3.max(values),
    end = d3.max(rows, read) || 1;
  const x = d3.scaleLinear([0, end], range.x),
    y = d3.scaleLog([low / 1.15, high * 1.15], range.y);
  axes(
    svg,
    x,
    d3.scaleLog(y.domain(), range.y),
    width,
    height,
    { x: abscissa.axis, y: "speed-up over baseline" },
    { y: tidyFactor, yCount: 0 },
  );
  svg.select(".axis.y").call(
    d3
      .axisLeft(y)
      .tickValues(factorTicks(y.domain(), 8))
      .tickFormat(tidyFactor)
      .tickSizeOuter(0)
      .tickSizeInner(-(range.x[1] - range.x[0])),
  );
  const points = won.map((point) => ({ ...point, x: read(point.row) }));
  if (limit !== null) drawFloor(svg, range.x, y(limit));
  if (points.length)
    svg
      .append("path")
      .attr("class", "best")
      .attr("d", steps(points.map((point) => [x(point.x), y(point.speedup)]), x(end)));
  const answers = answerPoints(rows, x, y, read, range.y[0] - 6),
    rings = points.map((point) => ({
      x: x(point.x),
      y: y(point.speedup),
      open: () => selectNode(point.node, true),
      said: () =>
        `${state.model.title(point.node)}: promoted at ${us(point.latency_us)} \u00b5s, ${factor(point.speedup)}\u00d7`,
    }));
  marks(
    svg,
    answers.filter((point) => point.failed),
    "cross",
    crossShape,
  );
  marks(
    svg,
    answers.filter((point) => !point.failed),
    "dots",
  );
  svg
    .append("g")
    .selectAll("circle")
    .data(rings)
    .join("circle")
    .attr("class", "ring")
    .attr("cx", (point) => point.x)
    .attr("cy", (point) => point.y)
    .attr("r", 4.5);
  reach(svg, [...answers, ...rings]);
}

// What the baseline's mean over the floor's would be: no kernel is faster.
function floorSpeedup() {
  const { floor, baseline_us } = state.model.data.run;
  return floor === null || !baseline_us ? null : baseline_us / floor.objective_floor_us;
}

function drawFloor(svg, [left, right], y) {
  svg.append("line").attr("class", "limit").attr("x1", left).attr("x2", right).attr("y1", y).attr("y2", y);
  svg
    .append("text")
    .attr("class", "label")
    .attr("x", right)
    .attr("y", y - 5)
    .attr("text-anchor", "end")
    .text("what the device allows");
}

// A line that keeps its height until the next point, and goes on to the end.
function steps(points, end) {
  const [[x, y], ...rest] = points.map((point) => point.map((value) => value.toFixed(1)));
  return `M${x},${y}${rest.map(([next, height]) => `H${next}V${height}`).join("")}H${end.toFixed(1)}`;
}

// Each promotion with the answer that won it.
function promotions(rows) {
  return state.model.data.incumbents
    .map((won) => ({ ...won, row: rows.findLast((row) => row.candidate === won.candidate && row.seq < won.seq) }))
    .filter((won) => won.row);
}

function answerPoints(rows, x, y, read, floor) {
  return rows.map((row) => {
    const failed = row.reward === null,
      node = state.model.data.candidates[row.candidate].node;
    const said = () =>
      `${state.model.title(node)}: ${failed ? "failed" : `${times(row.reward)} on what was timed`}`;
    return { x: x(read(row)), y: failed ? floor : y(Math.exp(row.reward)), failed, said, open: () => selectNode(node, true) };
  });
}

function promotionTable() {
  const rows = state.model.data.incumbents;
  if (!rows.length) return null;
  const columns = [
    [
      "promoted",
      (row) =>
        button(`${state.model.title(row.node)}`, () => selectNode(row.node, true), {
          class: "link",
        }),
    ],
    ["\u00b5s", (row) => us(row.latency_us), { class: "number" }],
    ["speed-up", (row) => `${factor(row.speedup)}\u00d7`, { class: "number" }],
    ["at", (row) => seconds(row.at_s), { class: "number" }],
  ];
  return fold("promotions", many(rows.length, "promotion"), table("Promotions in order", columns, rows));
}
