// Start, selection, new data.

const state = { model: null, view: null };
const handlers = { data: [], node: [] };

function start() {
  if (storedTheme()) document.documentElement.dataset.theme = storedTheme();
  state.model = new Model(decode(JSON.parse(document.getElementById("ksearch-data").textContent)));
  state.view = new View(state.model);
  startLive();
  const asked = /^#node-(\d+)$/.exec(location.hash);
  if (asked && state.model.nodes[Number(asked[1])]) state.view.selected = state.view.active = Number(asked[1]);
  state.view.reveal(state.model, state.view.selected);
  drawContents();
  buildTree();
  drawMode();
  drawAll();
  if (asked) section("tree").scrollIntoView();
  moveTo(state.view.selected, false, true);
  addEventListener("beforeprint", () => printRows(true));
  addEventListener("afterprint", () => printRows(false));
  matchMedia("(prefers-color-scheme: dark)").addEventListener("change", paintSoon);
}

// What is made of all rows: a change of a large run leaves it as it was.
const SUMMARIES = [drawClaims, drawBeliefs, drawPolicy, drawTechniques, drawCost, drawReproduce, drawEnvironment];

function drawAll(changed = false) {
  const { run } = state.model.data;
  document.title = visible(`${run.name} - ksearch`);
  for (const draw of [drawTop, drawOverview, ...(changed ? [] : SUMMARIES)]) draw();
  drawAsOf();
  treeChanged();
  drawPanel();
}

// New data of the same run: what the reader chose stays. A replayed moment may lack the chosen node.
function setData(data, changed = false) {
  state.model = new Model(data);
  const { view } = state,
    known = state.model.nodes.length;
  if (known && view.selected >= known) view.selected = state.model.incumbent ?? 0;
  const top = scrollY,
    held = grid.element.scrollTop;
  drawAll(changed);
  grid.element.scrollTop = held;
  scrollTo({ top, behavior: "instant" });
  emit("data", data);
}

function selectNode(id, reveal = false) {
  if (state.model.nodes[id] === undefined) return;
  state.view.selected = id;
  panel.candidate = null;
  if (reveal) {
    state.view.reveal(state.model, id);
    if (!grid.place.has(id)) treeChanged();
    moveTo(id, false, true);
  }
  drawRows();
  paintSoon();
  drawPanel(true);
  history.replaceState(null, "", `#node-${id}`);
  if (matchMedia("(max-width: 900px)").matches) panel.element.scrollIntoView({ block: "start" });
  say(`Node ${id}, ${state.model.name(state.model.nodes[id])}, is shown in the panel.`);
}

function emit(name, ...values) {
  for (const handler of handlers[name]) handler(...values);
}

window.ksearch = {
  get data() {
    return state.model.data;
  },
  get newest() {
    return live.newest;
  },
  get selected() {
    return state.view.selected;
  },
  get drawn() {
    return drawing.points.filter((point) => point.id >= 0).map((point) => {
      const [x, y] = drawing.transform.apply([point.x, point.y]);
      return { id: point.id, x, y };
    });
  },
  select: (id) => selectNode(id, true),
  show: showMoment,
  on: (name, handler) => {
    handlers[name].push(handler);
  },
  request,
  h,
};

start();
