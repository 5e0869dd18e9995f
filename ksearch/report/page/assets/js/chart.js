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
  const bottom = d3.axisBottom(x).ticks(Math.max(2, Math.floor(width / 90)), ticks.x).tickSizeOuter(0);
  const left = d3.axisLeft(y).ticks(ticks.yCount ?? Math.floor(height / 45), ticks.y).tickSizeOuter(0).tickSizeInner(-(width - MARGIN.left - MARGIN.right));
  svg.append("g").attr("class", "axis y").attr("transform", `translate(${MARGIN.left},0)`).call(left);
  svg.append("g").attr("class", "axis x").attr("transform", `translate(0,${height - MARGIN.bottom})`).call(bottom);
  svg.append("text").attr("class", "label").attr("x", width - MARGIN.right).attr("y", height - 6).attr("text-anchor", "end").text(labels.x);
  if (labels.y) svg.append("text").attr("class", "label").attr("x", 0).attr("y", 10).text(labels.y);
}

function inner(width, height) {
  return { x: [MARGIN.left, width - MARGIN.right], y: [height - MARGIN.bottom, MARGIN.top + 12] };
}

// A d3 selection of shapes that a pointer and a click reach; `said` is the shape's description.
function reachable(selection, said, click) {
  selection.append("title").text((datum) => visible(said(datum)));
  if (click) selection.attr("data-reachable", "").on("click", (event, datum) => click(datum));
  return selection;
}

function tidyFactor(value) {
  return `${value >= 10 ? d3.format(",.0f")(value) : value >= 1 ? d3.format(".3~g")(value) : d3.format(".2~g")(value)}\u00d7`;
}

// Ticks of a logarithmic axis of factors: 1, 2, 5 in each decade, as many as there is room for.
function factorTicks(domain, most) {
  const [low, high] = domain, found = [];
  for (let decade = Math.floor(Math.log10(low)); decade <= Math.ceil(Math.log10(high)); decade++) {
    for (const step of [1, 2, 5]) found.push(step * 10 ** decade);
  }
  const inside = found.filter((value) => value >= low * 0.999 && value <= high * 1.001);
  const decades = inside.filter((value) => Math.abs(Math.log10(value) % 1) < 1e-9);
  if (inside.length >= 2 && inside.length <= most) return inside;
  if (decades.length >= 2) return decades.length <= most ? decades : decades.filter((_, at) => at % Math.ceil(decades.length / most) === 0);
  return d3.ticks(low, high, most);
}
