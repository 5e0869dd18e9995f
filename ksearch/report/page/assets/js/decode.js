// Undoes packing.py, tables.py and lines.py: tables back to lists of objects, runs of lines back to texts.

// `texts` makes a text of runs of lines; without it runs stay as they are, to be made when they are looked at.
function decode(value, texts = null) {
  if (Array.isArray(value)) return value.map((item) => decode(item, texts));
  if (value === null || typeof value !== "object") return value;
  if (value.$columns) return value.$rows.map((row) => decodeRow(value.$columns, row, texts));
  if (value.$lines) return texts === null ? value : texts(value.$lines);
  // fromEntries defines where an assignment to a name like __proto__ would do something else.
  return Object.fromEntries(
    Object.entries(value).map(([key, item]) => [key.startsWith("$$") ? key.slice(1) : key, decode(item, texts)]),
  );
}

function decodeRow(columns, row, texts) {
  const result = {};
  for (let i = 0; i < columns.length; i++) {
    const column = columns[i];
    if (typeof column === "string") define(result, column, decode(row[i], texts));
    else define(result, column.name, row[i] === null ? null : decodeCell(column, row[i], texts));
  }
  return result;
}

// An assignment to this one name would set the prototype.
function define(object, name, value) {
  if (name === "__proto__") Object.defineProperty(object, name, { value, enumerable: true });
  else object[name] = value;
}

function decodeCell(column, cell, texts) {
  if (column.words) return column.words[cell];
  if (column.object) return decodeRow(column.object, cell, texts);
  return cell.map((row) => decodeRow(column.list, row, texts));
}

function decodeLines(runs, lines) {
  const parts = [];
  for (let i = 0; i < runs.length; i += 2) {
    for (let at = runs[i]; at < runs[i] + runs[i + 1]; at++) parts.push(lines[at]);
  }
  return parts.join("\n");
}

async function inflate(base64) {
  const text = atob(base64),
    bytes = new Uint8Array(text.length);
  for (let i = 0; i < text.length; i++) bytes[i] = text.charCodeAt(i); // ten times as fast as Uint8Array.from
  const stream = new Blob([bytes]).stream().pipeThrough(new DecompressionStream("deflate"));
  return new Response(stream).text();
}
