// Plain tables.

// columns: [label, value(row), {class, title, sort}]
function table(caption, columns, rows, attributes) {
  const head = h(
    "tr",
    {},
    columns.map(([label, , options]) => h("th", { scope: "col", class: options?.class, title: options?.title }, label)),
  );
  const body = rows.map((row) =>
    h(
      "tr",
      {},
      columns.map(([, value, options], at) => {
        const cell = value(row);
        return h(
          at === 0 ? "th" : "td",
          { scope: at === 0 ? "row" : null, class: options?.class },
          cell === null || cell === undefined ? DASH : cell,
        );
      }),
    ),
  );
  return h(
    "div",
    { class: "table", tabindex: "0", role: "region", "aria-label": caption },
    h("table", attributes, h("caption", { class: "hidden" }, caption), h("thead", {}, head), h("tbody", {}, body)),
  );
}

// A folded part that stays as the reader left it when the page is drawn again.
const folded = new Map();

function fold(key, label, ...children) {
  const element = h("details", { toggle: () => folded.set(key, element.open) }, h("summary", {}, label), ...children);
  element.open = folded.get(key) ?? false;
  return element;
}
