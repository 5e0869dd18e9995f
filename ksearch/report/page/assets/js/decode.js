// Undoes packing.py: tables back to lists of objects, runs of lines back to texts.

function decode(value) {
  if (Array.isArray(value)) return value.map(decode);
  if (value === null || typeof value !== "object") return value;
  if (value.$columns) return decodeTable(value.$columns, value.$rows);
  const result = {};
  for (const key of Object.keys(value)) result[key] = decode(value[key]);
  return result;
}

function decodeTable(columns, rows) {
  return rows.map((row) => {
    const result = {};
    for (let i = 0; i < columns.length; i++) result[columns[i]] = decode(row[i]);
    return result;
  });
}

function decodeLines(runs, lines) {
  const parts = [];
  for (let i = 0; i < runs.length; i += 2) {
    for (let at = runs[i]; at < runs[i] + runs[i + 1]; at++) parts.push(lines[at]);
  }
  return parts.join("\n");
}

// A detail keeps its runs until it is looked at.
function decodeDetail(value, lines) {
  if (Array.isArray(value)) return value.map((item) => decodeDetail(item, lines));
  if (value === null || typeof value !== "object") return value;
  if (value.$lines) return decodeLines(value.$lines, lines);
  if (value.$columns) return decodeTable(value.$columns, value.$rows).map((row) => decodeDetail(row, lines));
  const result = {};
  for (const key of Object.keys(value)) result[key] = decodeDetail(value[key], lines);
  return result;
}

async function inflate(base64) {
  const bytes = Uint8Array.from(atob(base64), (character) => character.charCodeAt(0));
  const stream = new Blob([bytes]).stream().pipeThrough(new DecompressionStream("deflate"));
  return new Response(stream).text();
}
