// The tree as a drawing: laid out by d3-hierarchy, moved by d3-zoom, painted on a canvas so that 10,000 nodes move as
// lightly as ten. It shows the plans that are unfolded in the rows; those are the way in for keyboard and screen reader.

const SPACING = { across: 22, along: 150 };
const LABELS_FROM = 0.6; // scale below which names can't be read
const READABLE = 0.85;
const FAN = 24; // children of one plan that are drawn, the first in the chosen order; the rows have all

const drawing = {
  element: null,
  canvas: null,
  points: [],
  left: new Map(), // how many children a point below zero stands for
  links: [],
  transform: null,
  zoom: null,
  near: null,
  hover: null,
  queued: false,
};

function buildDrawing() {
  drawing.canvas = h("canvas", {
    role: "img",
    "aria-label": "Drawing of the search tree; the rows show the same for keyboard and screen reader",
  });
  drawing.hover = h("div", { class: "hover", "aria-hidden": "true", hidden: true });
  drawing.element = h(
    "div",
    { class: "drawing", hidden: true },
    drawing.canvas,
    drawing.hover,
    h(
      "div",
      { class: "drawing-tools" },
      button("Fit", () => fitDrawing(), { class: "small" }),
      button("+", () => zoomBy(1.4), { class: "small", "aria-label": "Zoom in" }),
      button("\u2212", () => zoomBy(1 / 1.4), { class: "small", "aria-label": "Zoom out" }),
    ),
  );
  drawing.transform = d3.zoomIdentity;
  drawing.zoom = d3
    .zoom()
    .scaleExtent([0.02, 4])
    .on("zoom", (event) => {
      drawing.transform = event.transform;
      paintSoon();
    });
  d3.select(drawing.canvas)
    .call(drawing.zoom)
    .on("dblclick.zoom", null)
    .on("pointermove", drawingHover)
    .on("pointerleave", () => {
      drawing.hover.hidden = true;
    })
    .on("click", drawingClick)
    .on("dblclick", drawingDoubleClick);
  new ResizeObserver(() => {
    sizeDrawing();
    paintSoon();
  }).observe(drawing.element);
  return drawing.element;
}

function layDrawing() {
  if (drawing.element.hidden || !state.model.nodes.length) return;
  const shown = new Set(grid.rows.map((row) => row.id)),
    { model, view } = state;
  const way = new Set([view.selected, model.incumbent].flatMap((id) => (id === null ? [] : model.path(id))));
  const root = d3.hierarchy(0, (id) => (id < 0 ? [] : fan(model.sorted(id, view.order).filter((child) => shown.has(child)), id, way)));
  d3
    .tree()
    .nodeSize([SPACING.across, SPACING.along])
    .separation(() => 1)(root);
  drawing.points = root.descendants().map((point) => ({ id: point.data, x: point.y, y: point.x }));
  drawing.links = root.links().map((link) => [link.source.y, link.source.x, link.target.y, link.target.x, link.target.data]);
  drawing.near = d3.quadtree(
    drawing.points,
    (point) => point.x,
    (point) => point.y,
  );
  paintSoon();
}

// Too many to be told apart stand for themselves no more: one point, of the number below zero, for all that are left out.
function fan(children, id, way) {
  if (children.length <= FAN) return children;
  const kept = children.filter((child, at) => at < FAN || way.has(child));
  drawing.left.set(-1 - id, children.length - kept.length);
  return kept.length < children.length ? [...kept, -1 - id] : kept;
}

function sizeDrawing() {
  const { canvas, element } = drawing,
    ratio = window.devicePixelRatio || 1;
  canvas.width = Math.round(element.clientWidth * ratio);
  canvas.height = Math.round(element.clientHeight * ratio);
}

function paintSoon() {
  if (drawing.queued) return;
  drawing.queued = true;
  requestAnimationFrame(() => {
    drawing.queued = false;
    paint();
  });
}

function paint() {
  const { canvas, transform } = drawing,
    context = canvas.getContext("2d"),
    ratio = window.devicePixelRatio || 1;
  const colours = paintColours(),
    way = new Set(state.model.incumbent === null ? [] : state.model.path(state.model.incumbent));
  context.setTransform(ratio, 0, 0, ratio, 0, 0);
  context.clearRect(0, 0, canvas.width, canvas.height);
  context.translate(transform.x, transform.y);
  context.scale(transform.k, transform.k);
  const seen = inSight();
  paintLinks(context, seen, colours, way);
  for (const point of drawing.points) if (seen(point.x, point.y)) paintNode(context, point, colours);
}

function paintColours() {
  const style = getComputedStyle(document.documentElement),
    of = (name) => style.getPropertyValue(name).trim();
  return {
    line: of("--line-strong"),
    accent: of("--accent"),
    text: of("--text"),
    soft: of("--text-soft"),
    bad: of("--bad"),
    page: of("--surface"),
    open: of("--text-soft"),
    good: of("--good"),
    halo: of("--select"),
  };
}

function inSight() {
  const { canvas, transform } = drawing,
    ratio = window.devicePixelRatio || 1;
  const [left, top] = transform.invert([-200, -40]),
    [right, bottom] = transform.invert([canvas.width / ratio + 40, canvas.height / ratio + 40]);
  return (x, y) => x >= left && x <= right && y >= top && y <= bottom;
}

function paintLinks(context, seen, colours, way) {
  for (const best of [false, true]) {
    context.beginPath();
    for (const [x0, y0, x1, y1, id] of drawing.links) {
      if (way.has(id) !== best || !(seen(x0, y0) || seen(x1, y1))) continue;
      context.moveTo(x0, y0);
      context.bezierCurveTo((x0 + x1) / 2, y0, (x0 + x1) / 2, y1, x1, y1);
    }
    context.strokeStyle = best ? colours.accent : colours.line;
    context.lineWidth = (best ? 2 : 1) / Math.min(1, drawing.transform.k);
    context.stroke();
  }
}

function paintRest(context, point, colours) {
  if (drawing.transform.k < LABELS_FROM) return;
  context.font = "italic 11px ui-sans-serif, system-ui, sans-serif";
  context.textBaseline = "middle";
  context.fillStyle = colours.soft;
  context.fillText(`and ${thousands(drawing.left.get(point.id), 0)} more, in the rows`, point.x - 2, point.y);
}

function paintNode(context, point, colours) {
  if (point.id < 0) {
    paintRest(context, point, colours);
    return;
  }
  const { model, view } = state,
    node = model.nodes[point.id],
    kind = model.state(node),
    size = nodeSize(node);
  if (point.id === view.selected) disc(context, point, size + 5, colours.halo);
  const colour = {
    incumbent: colours.accent,
    root: colours.text,
    proven: colours.good,
    exhausted: colours.good,
    closed: colours.bad,
    unproven: colours.open,
  }[kind];
  if (kind === "closed") crossed(context, point, colour);
  else if (kind === "unproven") {
    disc(context, point, size, colours.page);
    ring(context, point, size, colour);
  } else disc(context, point, size, colour);
  if (drawing.transform.k < LABELS_FROM) return;
  const open = model.children[point.id].length && !view.expanded.has(point.id);
  context.font = "11px ui-sans-serif, system-ui, sans-serif";
  context.textBaseline = "middle";
  const text = clipped(context, visible(model.name(node)), SPACING.along - 2 * size - 24),
    x = point.x + size + 4;
  context.lineWidth = 5;
  context.strokeStyle = colours.page;
  context.strokeText(text, x, point.y);
  context.fillStyle = kind === "closed" ? colours.soft : colours.text;
  context.fillText(text, x, point.y);
  if (open) {
    context.fillStyle = colours.soft;
    context.fillText(`+${model.children[point.id].length}`, x + context.measureText(text).width + 5, point.y);
  }
}

// An area in proportion to the logarithm of the visits.
function nodeSize(node) {
  return 3.5 + 1.3 * Math.log2(1 + node.N) ** 0.8;
}

function disc(context, point, size, colour) {
  context.beginPath();
  context.arc(point.x, point.y, size, 0, 2 * Math.PI);
  context.fillStyle = colour;
  context.fill();
}

function ring(context, point, size, colour) {
  context.beginPath();
  context.arc(point.x, point.y, size, 0, 2 * Math.PI);
  context.strokeStyle = colour;
  context.lineWidth = 1.3;
  context.stroke();
}

function crossed(context, point, colour) {
  context.beginPath();
  context.moveTo(point.x - 3.5, point.y - 3.5);
  context.lineTo(point.x + 3.5, point.y + 3.5);
  context.moveTo(point.x - 3.5, point.y + 3.5);
  context.lineTo(point.x + 3.5, point.y - 3.5);
  context.strokeStyle = colour;
  context.lineWidth = 1.8;
  context.stroke();
}

function clipped(context, text, room) {
  if (context.measureText(text).width <= room) return text;
  let length = text.length;
  while (length > 1 && context.measureText(`${text.slice(0, length)}\u2026`).width > room) length--;
  return `${text.slice(0, length)}\u2026`;
}

// To see all, but never so small that nothing can be read: then the way to the chosen node comes first.
function fitDrawing() {
  const { element, points } = drawing;
  if (!points.length || !element.clientWidth) return;
  const [x0, x1] = d3.extent(points, (point) => point.x),
    [y0, y1] = d3.extent(points, (point) => point.y);
  const whole = Math.min(element.clientWidth / (x1 - x0 + SPACING.along + 60), element.clientHeight / (y1 - y0 + 60), 1.2);
  const scale = Math.max(whole, READABLE),
    chosen = points.find((point) => point.id === state.view.selected) ?? points[0];
  const fits = scale === whole,
    middle = fits ? (y0 + y1) / 2 : chosen.y;
  const shift = Math.min(24 - x0 * scale, element.clientWidth * 0.75 - chosen.x * scale);
  d3.select(drawing.canvas).call(
    drawing.zoom.transform,
    d3.zoomIdentity.translate(shift, element.clientHeight / 2 - middle * scale).scale(scale),
  );
}

function zoomBy(times) {
  d3.select(drawing.canvas).call(drawing.zoom.scaleBy, times);
}

function pointAt(event) {
  const [x, y] = drawing.transform.invert(d3.pointer(event, drawing.canvas));
  return drawing.near?.find(x, y, 14 / Math.min(1, drawing.transform.k)) ?? null;
}

function drawingHover(event) {
  const point = pointAt(event);
  drawing.canvas.style.cursor = point ? "pointer" : "";
  drawing.hover.hidden = point === null;
  if (point === null || point.id < 0) {
    drawing.hover.hidden = true;
    return;
  }
  const node = state.model.nodes[point.id],
    candidate = state.model.shown(node),
    [x, y] = d3.pointer(event, drawing.element);
  replaceChildren(
    drawing.hover,
    h("strong", {}, `#${node.id} ${state.model.name(node)}`),
    h("div", {}, `${us(candidate?.latency_us)} \u00b5s, ${node.N} visits, best ${plain(node.best)}`),
  );
  drawing.hover.style.transform = `translate(${Math.min(x + 14, drawing.element.clientWidth - 230)}px, ${y + 12}px)`;
}

function drawingClick(event) {
  const point = pointAt(event);
  if (point && point.id < 0) showRows(-1 - point.id);
  else if (point) selectNode(point.id);
}

function drawingDoubleClick(event) {
  const point = pointAt(event);
  if (point && point.id >= 0 && state.model.children[point.id].length) toggle(point.id);
}

// All children of a plan of which the drawing shows the first.
function showRows(id) {
  state.view.mode = "rows";
  drawMode();
  moveTo(id, true, true);
}
