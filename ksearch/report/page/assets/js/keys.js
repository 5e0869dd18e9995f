// Moving in the rows: pointer, arrows, letters. One row holds the focus (a roving tabindex).

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
  const { element } = grid,
    head = ROW,
    top = index * ROW;
  if (top < element.scrollTop) element.scrollTop = top;
  const bottom = top + ROW + head - element.clientHeight;
  if (bottom > element.scrollTop) element.scrollTop = bottom;
}

function gridKey(event) {
  if (event.ctrlKey || event.metaKey || event.altKey || !grid.rows.length) return;
  const at = grid.place.get(state.view.active) ?? 0,
    id = grid.rows[at].id;
  const page = Math.max(1, Math.floor(grid.element.clientHeight / ROW) - 2);
  const moves = {
    ArrowDown: at + 1,
    ArrowUp: at - 1,
    Home: 0,
    End: grid.rows.length - 1,
    PageDown: at + page,
    PageUp: at - page,
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
    const row = grid.rows[(begin + step) % grid.rows.length],
      node = state.model.nodes[row.id];
    const name = grid.typed.startsWith("#") ? `#${node.id}` : rowName(node);
    if (name.startsWith(grid.typed)) {
      moveTo(row.id);
      return;
    }
  }
}

function rowName(node) {
  return state.model.name(node).toLowerCase();
}
