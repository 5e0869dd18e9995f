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

const grid = { rows: [], place: new Map(), element: null, space: null, drawn: new Map(), spare: [], typed: "", typedAt: 0, printing: false };

function buildGrid() {
  grid.space = h("div", { class: "grid-space", role: "rowgroup" });
  const heads = COLUMNS.map((column) => h("span", { role: "columnheader", class: `c-${column.key}`, title: column.title }, column.label));
  grid.element = h("div", {
    class: "grid", role: "treegrid", "aria-label": "Search tree", "aria-colcount": COLUMNS.length,
    scroll: () => requestAnimationFrame(drawRows), keydown: gridKey, click: gridClick, dblclick: gridDoubleClick,
  }, h("div", { class: "grid-head", role: "rowgroup" }, h("div", { class: "row", role: "row", "aria-rowindex": 1 }, heads)), grid.space);
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
  const last = grid.printing ? Math.min(rows.length, MOST_PRINTED) : Math.min(rows.length, Math.ceil((top + element.clientHeight) / ROW) + OVERSCAN);
  const wanted = new Set();
  for (let index = first; index < last; index++) wanted.add(rows[index].id);
  if (grid.place.has(state.view.active)) wanted.add(state.view.active); // it holds the focus, in sight or not
  for (const [id, row] of drawn) if (!wanted.has(id)) { drawn.delete(id); grid.spare.push(row); }
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
  const parts = { twisty: h("span", { class: "twisty", "aria-hidden": "true" }), mark: h("span", { class: "mark", role: "img" }), name: h("span", { class: "name" }), target: h("span", { class: "target" }), id: h("span", { class: "id" }) };
  const cells = COLUMNS.map((column) => h("span", { role: "gridcell", class: `c-${column.key}` }));
  cells[0].append(...Object.values(parts));
  const element = h("div", { class: "row", role: "row" }, cells);
  grid.space.append(element);
  return { element, parts, cells, index: null, stale: true };
}

function fillRow(row, place, index) {
  const { model, view } = state, { element } = row;
  const node = model.nodes[place.id], parent = model.children[place.id].length > 0, kind = model.state(node);
  const open = parent && (view.expanded.has(place.id) || isFiltering());
  row.stale = false;
  element.node = place.id;
  element.dataset.node = place.id;
  element.dataset.state = kind;
  element.ariaLevel = place.level;
  element.ariaPosInSet = place.place;
  element.ariaSetSize = place.of;
  element.ariaRowIndex = index + 2;
  element.ariaExpanded = parent ? String(open) : null;
  element.style.setProperty("--level", place.level - 1);
  fillStep(row.parts, model, node, kind, parent ? (open ? "\u25be" : "\u25b8") : "");
  row.cells[0].title = node.action === null ? "Starting kernel" : visible(model.action(node).intent);
  rowValues(model, node, kind).forEach((text, at) => { row.cells[at + 1].textContent = text; });
  row.cells[3].dataset.sign = gainSign(node);
}

function fillStep(parts, model, node, kind, twisty) {
  const action = model.action(node);
  parts.twisty.textContent = twisty;
  parts.mark.textContent = MARKS[kind];
  parts.mark.ariaLabel = kind;
  parts.name.textContent = visible(model.name(node));
  parts.target.textContent = action === null ? "" : visible(action.target);
  parts.id.textContent = `#${node.id}`;
}

function isFiltering() {
  return state.view.text.trim() !== "" || state.view.status !== "all";
}

// Of the columns after the first.
function rowValues(model, node, kind) {
  const action = model.action(node), candidate = model.shown(node);
  return [
    us(candidate?.latency_us), action === null ? DASH : times(action.gain_mean), times(node.gain), String(node.N), plain(node.Q), plain(node.best), plain(node.P),
    node.O ? String(node.O) : DASH, node.K ? String(node.K) : DASH, visible(node.status === "closed" && node.failed_stage ? `closed: ${node.failed_stage}` : kind),
  ];
}

// Within the noise of timing a gain is neither.
function gainSign(node) {
  const noise = Math.max(0.01, 2 * (state.model.data.run.sigma_noise ?? 0));
  return node.gain === null || Math.abs(node.gain) <= noise ? "none" : node.gain > 0 ? "up" : "down";
}

function gridClick(event) {
  const row = event.target.closest(".row[data-node]");
  if (!row) return;
  moveTo(row.node);
  if (event.target.closest(".twisty") && state.model.children[row.node].length) toggle(row.node);
  else selectNode(row.node);
}

function gridDoubleClick(event) {
  const row = event.target.closest(".row[data-node]");
  if (row && !event.target.closest(".twisty")) toggle(row.node);
}

function toggle(id, open = !state.view.expanded.has(id)) {
  if (isFiltering()) return;
  if (open) state.view.expanded.add(id);
  else state.view.expanded.delete(id);
  treeChanged();
}

function moveTo(id, focus = true, middle = false) {
  const index = grid.place.get(id);
  if (index === undefined) return;
  state.view.active = id;
  if (middle) grid.element.scrollTop = (index + 1) * ROW - grid.element.clientHeight / 2;
  else scrollToRow(index);
  drawRows();
  if (focus) grid.drawn.get(id).element.focus({ preventScroll: true });
}

function scrollToRow(index) {
  const { element } = grid, head = ROW, top = index * ROW;
  if (top < element.scrollTop) element.scrollTop = top;
  const bottom = top + ROW + head - element.clientHeight;
  if (bottom > element.scrollTop) element.scrollTop = bottom;
}

function gridKey(event) {
  if (event.ctrlKey || event.metaKey || event.altKey || !grid.rows.length) return;
  const at = grid.place.get(state.view.active) ?? 0, id = grid.rows[at].id;
  const page = Math.max(1, Math.floor(grid.element.clientHeight / ROW) - 2);
  const moves = {
    ArrowDown: at + 1, ArrowUp: at - 1, Home: 0, End: grid.rows.length - 1, PageDown: at + page, PageUp: at - page,
  };
  if (event.key in moves) moveTo(grid.rows[Math.min(grid.rows.length - 1, Math.max(0, moves[event.key]))].id);
  else if (event.key === "ArrowRight") openOrEnter(id);
  else if (event.key === "ArrowLeft") closeOrLeave(id);
  else if (event.key === "Enter" || event.key === " ") selectNode(id, true);
  else if (event.key === "*") expandSiblings(id);
  else if (event.key.length === 1) typeAhead(event.key, at);
  else return;
  event.preventDefault();
}

function openOrEnter(id) {
  const children = state.model.children[id];
  if (!children.length) return;
  if (!state.view.expanded.has(id) && !isFiltering()) toggle(id, true);
  else moveTo(grid.rows[grid.place.get(id) + 1].id);
}

function closeOrLeave(id) {
  if (state.view.expanded.has(id) && state.model.children[id].length && !isFiltering()) toggle(id, false);
  else if (state.model.nodes[id].parent !== null) moveTo(state.model.nodes[id].parent);
}

function expandSiblings(id) {
  const parent = state.model.nodes[id].parent;
  for (const sibling of parent === null ? [id] : state.model.children[parent]) state.view.expanded.add(sibling);
  treeChanged();
}

// Letters typed within a second make a word; the next row that begins with it gets the focus.
function typeAhead(letter, at) {
  const now = Date.now();
  grid.typed = now - grid.typedAt < 1000 ? grid.typed + letter.toLowerCase() : letter.toLowerCase();
  grid.typedAt = now;
  const begin = grid.typed.length === 1 ? at + 1 : at;
  for (let step = 0; step < grid.rows.length; step++) {
    const row = grid.rows[(begin + step) % grid.rows.length], node = state.model.nodes[row.id];
    const name = grid.typed.startsWith("#") ? `#${node.id}` : rowName(node);
    if (name.startsWith(grid.typed)) { moveTo(row.id); return; }
  }
}

function rowName(node) {
  return state.model.name(node).toLowerCase();
}
