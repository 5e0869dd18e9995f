// Best against what it cost. Each dot is an answer of the judge, the line the best so far, rings are promotions.

const ABSCISSAE = [
  { value: "evaluations", label: "Evaluations", axis: "evaluations", read: (row) => row.evaluations },
  { value: "at_s", label: "Seconds", axis: "seconds of searching", read: (row) => row.at_s },
  { value: "gpu_seconds", label: "GPU-seconds", axis: "GPU-seconds", read: (row) => row.gpu_seconds },
  { value: "usd", label: "Dollars", axis: "US dollars", read: (row) => row.usd },
];

function progressFigure() {
  const { model, view } = state, rows = model.data.progress;
  const options = ABSCISSAE.map((entry) => {
    const spent = rows.some((row) => entry.read(row) > 0);
    return { ...entry, disabled: !spent, title: spent ? null : "none were spent" };
  });
  const chosen = options.find((option) => option.value === view.abscissa && !option.disabled) ?? options[0];
  const pick = (value) => { view.abscissa = value; drawOverview(); };
  const last = rows[rows.length - 1];
  const said = `Best speed-up over the baseline against ${chosen.axis}: ${last ? times(last.best) : "nothing measured"} at the end`;
  return h("figure", {}, h("figcaption", {}, h("h3", {}, "Progress"), choice("Against", options, chosen.value, pick)),
    rows.length ? chart(said, 280, (svg, width, height) => drawProgress(svg, width, height, chosen)) : h("p", { class: "notice" }, "Nothing has been measured yet."),
    h("p", { class: "legend" }, legend("line", "best so far"), legend("dot", "one kernel"), legend("ring", "promoted"), legend("cross", "failed")), promotionTable());
}

function legend(kind, text) {
  return h("span", { class: `key ${kind}` }, text);
}

function drawProgress(svg, width, height, abscissa) {
  const rows = state.model.data.progress, read = abscissa.read, range = inner(width, height);
  const values = rows.flatMap((row) => [row.best, ...(row.reward === null ? [] : [row.reward])]).map(Math.exp);
  const x = d3.scaleLinear([Math.min(0, ...rows.map(read)), Math.max(...rows.map(read)) || 1], range.x);
  const y = d3.scaleLog([Math.min(...values) / 1.15, Math.max(...values) * 1.15], range.y);
  axes(svg, x, d3.scaleLog(y.domain(), range.y), width, height, { x: abscissa.axis, y: "speed-up over baseline" }, { y: tidyFactor, yCount: 0 });
  svg.select(".axis.y").call(d3.axisLeft(y).tickValues(factorTicks(y.domain(), 7)).tickFormat(tidyFactor).tickSizeOuter(0).tickSizeInner(-(range.x[1] - range.x[0])));
  svg.append("path").attr("class", "best").attr("d", d3.line((row) => x(read(row)), (row) => y(Math.exp(row.best))).curve(d3.curveStepAfter)(rows));
  drawAnswers(svg, rows, x, y, read, range.y[0]);
}

function drawAnswers(svg, rows, x, y, read, floor) {
  const node = (row) => state.model.data.candidates[row.candidate].node, open = (row) => selectNode(node(row), true);
  const won = new Set(state.model.data.incumbents.map((found) => found.candidate));
  const passed = rows.filter((row) => row.reward !== null), failed = rows.filter((row) => row.reward === null);
  const crosses = svg.append("g").selectAll("path").data(failed).join("path").attr("class", "cross")
    .attr("transform", (row) => `translate(${x(read(row))},${floor - 6})`).attr("d", "M-3,-3L3,3M-3,3L3,-3");
  reachable(crosses, (row) => `#${node(row)}: failed`, open);
  const dots = svg.append("g").selectAll("circle").data(passed).join("circle").attr("class", (row) => won.has(row.candidate) ? "dot ring" : "dot")
    .attr("cx", (row) => x(read(row))).attr("cy", (row) => y(Math.exp(row.reward))).attr("r", (row) => won.has(row.candidate) ? 4.5 : 2.8);
  reachable(dots, (row) => `#${node(row)} ${state.model.name(state.model.nodes[node(row)])}: ${times(row.reward)}`, open);
}

function promotionTable() {
  const rows = state.model.data.incumbents;
  if (!rows.length) return null;
  const columns = [
    ["promoted", (row) => button(`#${row.node} ${state.model.name(state.model.nodes[row.node])}`, () => selectNode(row.node, true), { class: "link" })],
    ["\u00b5s", (row) => us(row.latency_us), { class: "number" }], ["speed-up", (row) => `${factor(row.speedup)}\u00d7`, { class: "number" }],
    ["at", (row) => seconds(row.at_s), { class: "number" }],
  ];
  return fold("promotions", many(rows.length, "promotion"), table("Promotions in order", columns, rows));
}
