// The tree's section: filters, rows or drawing, and the panel beside them.

function buildTree() {
  const search = h("input", {
    type: "search",
    placeholder: "technique, target, intent, #node",
    "aria-label": "Filter the tree",
    input: (event) => {
      state.view.text = event.target.value;
      treeChanged();
    },
  });
  const statuses = [
    ["all", "All"],
    ["proven", "Proven"],
    ["unproven", "Unproven"],
    ["closed", "Closed"],
    ["exhausted", "Exhausted"],
    ["promoted", "Promoted"],
    ["open", "In flight"],
  ];
  const orders = [
    ["best", "Best first"],
    ["visits", "Most visited first"],
    ["opened", "Oldest first"],
  ];
  replaceChildren(
    section("tree"),
    heading("tree", "Search tree", h("span", { class: "note", id: "tree-count" })),
    h(
      "div",
      { class: "tools" },
      search,
      picker("Status", statuses, "status"),
      picker("Order", orders, "order"),
      h("div", { id: "tree-mode" }),
      button("Unfold all", unfoldAll),
      button("Fold all", foldAll),
      button("Incumbent", () => {
        if (state.model.incumbent !== null) selectNode(state.model.incumbent, true);
      }),
    ),
    h("div", { class: "split" }, h("div", { class: "views" }, buildGrid(), buildDrawing()), buildPanel()),
    h(
      "p",
      { class: "legend" },
      Object.entries(MARKS).map(([kind, mark]) =>
        h("span", {}, h("span", { class: "mark", "data-state": kind, "aria-hidden": "true" }, mark), ` ${kind}`),
      ),
      h("span", { class: "note" }, "Arrows move and unfold, Enter opens, letters find, Escape in the panel returns."),
    ),
  );
}

function picker(label, options, key) {
  return h(
    "label",
    {},
    h("span", { class: "hidden" }, label),
    h(
      "select",
      {
        change: (event) => {
          state.view[key] = event.target.value;
          treeChanged();
        },
      },
      options.map(([value, text]) => h("option", { value, selected: state.view[key] === value }, text)),
    ),
  );
}

function drawMode() {
  const options = [
    { value: "rows", label: "Rows" },
    { value: "drawing", label: "Drawing" },
  ];
  replaceChildren(
    section("tree-mode"),
    choice("Show the tree as", options, state.view.mode, (mode) => {
      state.view.mode = mode;
      drawMode();
      if (mode === "drawing") {
        sizeDrawing();
        layDrawing();
        fitDrawing();
      } else drawRows();
    }),
  );
  grid.element.hidden = state.view.mode !== "rows";
  drawing.element.hidden = state.view.mode !== "drawing";
}

function unfoldAll() {
  for (const node of state.model.nodes) if (state.model.children[node.id].length) state.view.expanded.add(node.id);
  treeChanged();
}

function foldAll() {
  state.view.expanded = new Set([0]);
  treeChanged();
}

// Rows and drawing after a change of data, filter or expansion.
function treeChanged() {
  layRows();
  layDrawing();
  section("tree-count").textContent = `${many(grid.rows.length, "row")} of ${many(state.model.nodes.length, "plan")}`;
}
