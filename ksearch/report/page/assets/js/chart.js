// What the charts share: a frame with axes, drawn by d3 to the width of its place and again when that changes.

const MARGIN = { top: 12, right: 16, bottom: 40, left: 52 };

// draw(svg, width, height) is called with an empty <svg>.
function chart(label, height, draw) {
  const svg = s("svg", { class: "chart", role: "img", "aria-label": label, height });
  const redraw = () => {
    const width = svg.parentElement?.clientWidth ?? 0;
    if (width < 40) return;
    svg.setAttribute("width", width);
    svg.setAttribute("viewBox", `0 0 ${width} ${height}`);
    svg.textContent = "";
    draw(d3.select(svg), width, height);
  };
  const place = h("div", { class: "chart-place" }, svg);
  new ResizeObserver(redraw).observe(place);
  return place;
}

function axes(svg, x, y, width, height, labels, ticks = {}) {
  const bottom = d3
    .axisBottom(x)
    .ticks(Math.max(2, Math.floor(width / 90)), ticks.x)
    .tickSizeOuter(0);
  const left = d3
    .axisLeft(y)
    .ticks(ticks.yCount ?? Math.floor(height / 45), ticks.y)
    .tickSizeOuter(0)
    .tickSizeInner(-(width - MARGIN.left - MARGIN.right));
  svg.append("g").attr("class", "axis y").attr("transform", `translate(${MARGIN.left},0)`).call(left);
  svg
    .append("g")
    .attr("class", "axis x")
    .attr("transform", `translate(0,${height - MARGIN.bottom})`)
    .call(bottom);
  svg
    .append("text")
    .attr("class", "label")
    .attr("x", width - MARGIN.right)
    .attr("y", height - 6)
    .attr("text-anchor", "end")
    .text(labels.x);
  if (labels.y) svg.append("text").attr("class", "label").attr("x", 0).attr("y", 10).text(labels.y);
}

function inner(width, height) {
  return { x: [MARGIN.left, width - MARGIN.right], y: [height - MARGIN.bottom, MARGIN.top + 12] };
}

// Many dots as one path: 10,000 elements would take longer to make than the rest of the page.
// points: {x, y} in pixels; shape(point) is the path of one.
function marks(svg, points, kind, shape = (point) => `M${point.x.toFixed(1)},${point.y.toFixed(1)}h0`) {
  const crowded = points.length > 1000 ? "crowded" : "";
  if (points.length) svg.append("path").attr("class", `${kind} ${crowded}`).attr("d", points.map(shape).join(""));
}

function crossShape({ x, y }) {
  return `M${x - 3},${y - 3}l6,6m-6,0l6,-6`;
}

// The point nearest to the pointer is named beside it and opened by a click. points: {x, y, said, open}
function reach(svg, points) {
  const near = d3.quadtree(
      points,
      (point) => point.x,
      (point) => point.y,
    ),
    place = svg.node().parentElement;
  const hover =
    place.querySelector(".hover") ?? place.appendChild(h("div", { class: "hover", "aria-hidden": "true", hidden: true }));
  const find = (event) => near.find(...d3.pointer(event, svg.node()), 14);
  svg
    .on("pointermove", (event) => {
      const point = find(event);
      svg.style("cursor", point ? "pointer" : null);
      hover.hidden = !point;
      if (!point) return;
      replaceChildren(hover, point.said());
      hover.style.transform = `translate(${Math.max(0, Math.min(point.x + 10, place.clientWidth - 235))}px, ${point.y + 10}px)`;
    })
    .on("pointerleave", () => {
      hover.hidden = true;
    })
    .on("click", (event) => find(event)?.open());
}

function tidyFactor(value) {
  return `${value >= 10 ? d3.format(",.0f")(value) : value >= 1 ? d3.format(".3~g")(value) : d3.format(".2~g")(value)}\u00d7`;
}

// Ticks of a logarithmic axis of factors: the densest of these steps in each decade that there is room for.
const STEPS = [
  [1, 1.1, 1.2, 1.3, 1.5, 1.7, 2, 2.5, 3, 4, 5, 6, 8],
  [1, 1.2, 1.5, 2, 3, 5, 7],
  [1, 1.5, 2, 3, 5],
  [1, 2, 5],
  [1, 3],
  [1],
];

function factorTicks([low, high], most) {
  const first = Math.floor(Math.log10(low)),
    last = Math.ceil(Math.log10(high));
  const inside = STEPS.map((steps) =>
    d3
      .range(first, last + 1)
      .flatMap((decade) => steps.map((step) => step * 10 ** decade))
      .filter((value) => value >= low * 0.999 && value <= high * 1.001),
  );
  const decades = inside[inside.length - 1];
  return inside.find((found) => found.length <= most) ?? decades.filter((_, at) => at % Math.ceil(decades.length / most) === 0);
}
