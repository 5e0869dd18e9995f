// The tree as rows: an ARIA treegrid that draws only what is in sight. Row 10,000 costs what row 10 costs.

const ROW = 30;
const OVERSCAN = 10;
const MOST_PRINTED = 300; // rows on paper: ten pages
const COLUMNS = [
  { key: "step", label: "Step", title: "Technique and parameter of the plan's last step" },
  { key: "latency", label: "\u00b5s", title: "Latency of its best kernel: weighted mean over the timed workloads, microseconds" },
  { key: "claim", label: "claim", title: "Claimed speed-up over the parent, given that it works" },
  { key: "gain", label: "outcome", title: "Measured speed-up over the parent" },
  { key: "N", label: "N", title: "Settled attempts at and below this plan" },
  { key: "Q", label: "Q", title: "Value that selection uses: nats over the baseline" },
  { key: "best", label: "best", title: "Greatest measured reward at and below: nats over the baseline" },
  { key: "P", label: "P", title: "Prior probability among its siblings" },
  { key: "O", label: "O", title: "Attempts in flight" },
  { key: "K", label: "K", title: "Candidates skipped on a forecast" },
  { key: "status", label: "status", title: "What is known of the plan" },
];

const grid = {
  rows: [],
  place: new Map(),
  element: null,
  space: null,
  drawn: new Map(),
  spare: [],
  typed: "",
  typedAt: 0,
  printing: false,
};

function buildGrid() {
  grid.space = h("div", { class: "grid-space", role: "rowgroup" });
  const heads = COLUMNS.map((column) =>
    h("span", { role: "columnheader", class: `c-${column.key}`, title: column.title }, column.label),
  );
  grid.element = h(
    "div",
    {
      class: "grid",
      role: "treegrid",
      "aria-label": "Search tree",
      "aria-colcount": COLUMNS.length,
      scroll: () => requestAnimationFrame(drawRows),
      keydown: gridKey,
      click: gridClick,
      dblclick: gridDoubleClick,
    },
    h("div", { class: "grid-head", role: "rowgroup" }, h("div", { class: "row", role: "row", "aria-rowindex": 1 }, heads)),
    grid.space,
  );
  new ResizeObserver(() => drawRows()).observe(grid.element);
  return grid.element;
}

// On paper there is no scrolling: the first rows stand in full.
function printRows(printing) {
  grid.printing = printing;
  grid.space.style.height = `${(printing ? Math.min(grid.rows.length, MOST_PRINTED) : grid.rows.length) * ROW}px`;
  drawRows();
}

// After new data, an expansion or a filter.
function layRows() {
  grid.rows = visibleRows(state.model, state.view);
  grid.place = new Map(grid.rows.map((row, index) => [row.id, index]));
  if (!grid.place.has(state.view.active)) state.view.active = nearestShown(state.view.active);
  grid.element.setAttribute("aria-rowcount", grid.rows.length + 1);
  grid.space.style.height = `${grid.rows.length * ROW}px`;
  for (const row of grid.drawn.values()) row.stale = true;
  drawRows();
}

function nearestShown(id) {
  for (let at = id; at !== null && at !== undefined; at = state.model.nodes[at]?.parent) if (grid.place.has(at)) return at;
  return grid.rows.length ? grid.rows[0].id : 0;
}

function drawRows() {
  const { element, rows, drawn } = grid;
  // Just after rows have gone the browser may still say where it was scrolled to before.
  const top = Math.min(element.scrollTop, Math.max(0, (rows.length + 1) * ROW - element.clientHeight));
  const first = grid.printing ? 0 : Math.max(0, Math.floor(top / ROW) - OVERSCAN);
  const last = grid.printing
    ? Math.min(rows.length, MOST_PRINTED)
    : Math.min(rows.length, Math.ceil((top + element.clientHeight) / ROW) + OVERSCAN);
  const wanted = new Set();
  for (let index = first; index < last; index++) wanted.add(rows[index].id);
  if (grid.place.has(state.view.active)) wanted.add(state.view.active); // it holds the focus, in sight or not
  for (const [id, row] of drawn)
    if (!wanted.has(id)) {
      drawn.delete(id);
      grid.spare.push(row);
    }
  for (const id of wanted) drawRow(id, grid.place.get(id));
  grid.spare.forEach(setAside);
}

function setAside(row) {
  if (row.index === null) return;
  row.index = null;
  row.element.hidden = true;
  row.element.tabIndex = -1;
  delete row.element.dataset.node;
}

// Elements that went out of sight are filled anew: making them would cost more than all else.
function drawRow(id, index) {
  let row = grid.drawn.get(id);
  if (!row) {
    row = grid.spare.pop() ?? makeRow();
    row.stale = true;
    grid.drawn.set(id, row);
  }
  const { element } = row;
  if (row.stale) fillRow(row, grid.rows[index], index);
  if (row.index !== index) {
    row.index = index;
    element.hidden = false;
    element.style.transform = `translateY(${index * ROW}px)`;
  }
  element.tabIndex = id === state.view.active ? 0 : -1;
  element.setAttribute("aria-selected", String(id === state.view.selected));
}

function makeRow() {
  const parts = {
    twisty: h("span", { class: "twisty", "aria-hidden": "true" }),
    mark: h("span", { class: "mark", role: "img" }),
    name: h("span", { class: "name" }),
    target: h("span", { class: "target" }),
    id: h("span", { class: "id" }),
  };
  const cells = COLUMNS.map((column) => h("span", { role: "gridcell", class: `c-${column.key}` }));
  cells[0].append(...Object.values(parts));
  const element = h("div", { class: "row", role: "row" }, cells);
  grid.space.append(element);
  return { element, parts, cells, index: null, stale: true };
}

function fillRow(row, place, index) {
  const { model, view } = state,
    { element } = row;
  const node = model.nodes[place.id],
    parent = model.children[place.id].length > 0,
    kind = model.state(node);
  const open = parent && (view.expanded.has(place.id) || isFiltering());
  row.stale = false;
  element.node = place.id;
  element.dataset.node = place.id;
  element.dataset.state = kind;
  element.setAttribute("aria-level", place.level);
  element.setAttribute("aria-posinset", place.place);
  element.setAttribute("aria-setsize", place.of);
  element.setAttribute("aria-rowindex", index + 2);
  if (parent) element.setAttribute("aria-expanded", String(open));
  else element.removeAttribute("aria-expanded");
  element.style.setProperty("--level", place.level - 1);
  fillStep(row.parts, model, node, kind, parent ? (open ? "\u25be" : "\u25b8") : "");
  row.cells[0].title = node.action === null ? "Starting kernel" : visible(model.action(node).intent);
  rowValues(model, node, kind).forEach((text, at) => {
    row.cells[at + 1].textContent = text;
  });
  row.cells[3].dataset.sign = gainSign(node);
}

function fillStep(parts, model, node, kind, twisty) {
  const action = model.action(node);
  parts.twisty.textContent = twisty;
  parts.mark.textContent = MARKS[kind];
  parts.mark.setAttribute("aria-label", kind);
  parts.name.textContent = visible(model.name(node));
  parts.target.textContent = action === null ? "" : visible(action.target);
  parts.id.textContent = `#${node.id}`;
}

function isFiltering() {
  return state.view.text.trim() !== "" || state.view.status !== "all";
}

// Of the columns after the first.
function rowValues(model, node, kind) {
  const action = model.action(node),
    candidate = model.shown(node);
  return [
    us(candidate?.latency_us),
    action === null ? DASH : times(action.gain_mean),
    hasFailed(node) ? "failed" : times(node.gain),
    String(node.N),
    plain(node.Q),
    plain(node.best),
    plain(node.P),
    node.O ? String(node.O) : DASH,
    node.K ? String(node.K) : DASH,
    visible(node.status === "closed" && node.failed_stage ? `closed: ${node.failed_stage}` : kind),
  ];
}

// Every attempt so far.
function hasFailed(node) {
  return node.own_best === null && node.failed_stage !== null;
}

// Within the noise of timing a gain is neither.
function gainSign(node) {
  if (hasFailed(node)) return "down";
  const noise = Math.max(0.01, 2 * (state.model.data.run.sigma_noise ?? 0));
  return node.gain === null || Math.abs(node.gain) <= noise ? "none" : node.gain > 0 ? "up" : "down";
}
