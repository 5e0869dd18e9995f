// One moment of a run with what is looked up again and again, and what the reader has chosen to see of it.

const MARKS = {
  incumbent: "\u2605",
  root: "\u25c6",
  proven: "\u25cf",
  unproven: "\u25cb",
  closed: "\u2715",
  exhausted: "\u25d0",
};
const MEANINGS = {
  incumbent: "best kernel of the run",
  root: "starting kernel",
  proven: "a kernel for this plan passed",
  unproven: "no kernel has passed yet, attempts are left",
  closed: "its attempts are spent and none passed",
  exhausted: "passed, and nothing at or below it can be asked for again",
};
const EXPANDED_AT_FIRST = 150;

class Model {
  constructor(data) {
    this.data = data;
    this.nodes = data.nodes;
    this.children = this.nodes.map(() => []);
    this.candidates = this.nodes.map(() => []);
    this.tickets = this.nodes.map(() => []);
    for (const node of this.nodes) if (node.parent !== null) this.children[node.parent].push(node.id);
    for (const candidate of data.candidates) this.candidates[candidate.node]?.push(candidate);
    for (const ticket of data.tickets) this.tickets[ticket.node]?.push(ticket);
    this.incumbent = data.headline === null ? null : data.headline.node;
  }

  action(node) {
    return node.action === null ? null : this.data.actions[node.action];
  }

  name(node) {
    const action = this.action(node);
    return action === null ? "start" : actionName(action);
  }

  // "#31 share_selection"; before the tree begins there are kernels and no nodes.
  title(id) {
    return this.nodes[id] === undefined ? `#${id}` : `#${id} ${this.name(this.nodes[id])}`;
  }

  state(node) {
    return node.id === this.incumbent ? "incumbent" : node.status;
  }

  shown(node) {
    return node.shown === null ? null : this.data.candidates[node.shown];
  }

  // The kernel that a node builds on.
  parentCandidate(node) {
    return node.parent === null ? null : this.shown(this.nodes[node.parent]);
  }

  // From the root to the node.
  path(id) {
    const path = [];
    for (let at = id; this.nodes[at] !== undefined; at = this.nodes[at].parent) path.unshift(at);
    return path;
  }

  sorted(id, order) {
    const by = {
      best: (a, b) => (b.best ?? -Infinity) - (a.best ?? -Infinity) || a.id - b.id,
      visits: (a, b) => b.N - a.N || a.id - b.id,
      opened: (a, b) => a.id - b.id,
    }[order];
    return this.children[id]
      .map((child) => this.nodes[child])
      .sort(by)
      .map((node) => node.id);
  }
}

function actionName(action) {
  return action.parameter ? `${action.technique} ${action.parameter}` : action.technique;
}

class View {
  constructor(model) {
    this.selected = model.incumbent ?? 0;
    this.active = this.selected;
    this.expanded = firstExpanded(model);
    this.order = "best";
    this.text = "";
    this.status = "all";
    this.mode = "rows";
    this.abscissa = "evaluations";
    this.tab = "diff";
    this.revision = null; // of the world model; null is the newest
  }

  reveal(model, id) {
    for (const at of model.path(id).slice(0, -1)) this.expanded.add(at);
  }
}

// The way to the incumbent, then the most visited nodes, until a few screens are full.
function firstExpanded(model) {
  if (model.nodes.length === 0) return new Set();
  const expanded = new Set(model.incumbent === null ? [0] : model.path(model.incumbent).slice(0, -1));
  expanded.add(0);
  let rows = 1;
  for (const id of expanded) rows += model.children[id].length;
  const queue = [...model.nodes].sort((a, b) => b.N - a.N || a.id - b.id);
  for (const node of queue) {
    if (rows >= EXPANDED_AT_FIRST) break;
    if (expanded.has(node.id) || (node.parent !== null && !expanded.has(node.parent))) continue;
    expanded.add(node.id);
    rows += model.children[node.id].length;
  }
  return expanded;
}

// Rows of the tree as they stand on the page: {id, level, place, of}; a filter shows what it finds with the ways there.
function visibleRows(model, view) {
  if (model.nodes.length === 0) return [];
  const kept = filtered(model, view);
  const rows = [],
    stack = [{ id: 0, level: 1, place: 1, of: 1 }];
  while (stack.length) {
    const row = stack.pop();
    rows.push(row);
    if (kept === null ? !view.expanded.has(row.id) : false) continue;
    const children = model.sorted(row.id, view.order).filter((id) => kept === null || kept.has(id));
    for (let i = children.length - 1; i >= 0; i--) {
      stack.push({ id: children[i], level: row.level + 1, place: i + 1, of: children.length });
    }
  }
  return rows;
}

// null: everything. Else the nodes found, and all above them.
function filtered(model, view) {
  const text = view.text.trim().toLowerCase();
  if (!text && view.status === "all") return null;
  const kept = new Set([0]);
  for (const node of model.nodes) {
    if (!matches(model, node, text, view.status)) continue;
    for (let at = node.id; at !== null && !kept.has(at); at = model.nodes[at].parent) kept.add(at);
  }
  return kept;
}

function matches(model, node, text, status) {
  if (status === "promoted" && model.shown(node)?.standing !== "promoted") return false;
  if (status === "open" && node.O === 0) return false;
  if (!["all", "promoted", "open"].includes(status) && node.status !== status) return false;
  if (!text) return true;
  if (text === `#${node.id}`) return true;
  const action = model.action(node);
  return action !== null && `${action.key} ${action.regime ?? ""} ${action.intent}`.toLowerCase().includes(text);
}
