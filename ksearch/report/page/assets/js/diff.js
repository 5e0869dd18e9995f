// Line differences by Myers ("An O(ND) difference algorithm and its variations", 1986), after equal ends are set aside.

const MOST_EDITS = 2000; // beyond, two texts have little in common: the old one out, the new one in

// [{kind: " " | "-" | "+", text, old, now}], line numbers from 1.
function diffLines(before, after) {
  const a = before === "" ? [] : before.split("\n"),
    b = after === "" ? [] : after.split("\n");
  let start = 0,
    tail = 0;
  while (start < a.length && start < b.length && a[start] === b[start]) start++;
  while (tail < a.length - start && tail < b.length - start && a[a.length - 1 - tail] === b[b.length - 1 - tail]) tail++;
  const middle = myers(a.slice(start, a.length - tail), b.slice(start, b.length - tail));
  const lines = [];
  let old = 0,
    now = 0;
  const keep = (text) => lines.push({ kind: " ", text, old: ++old, now: ++now });
  for (let i = 0; i < start; i++) keep(a[i]);
  for (const [kind, text] of middle) {
    if (kind === " ") keep(text);
    else if (kind === "-") lines.push({ kind, text, old: ++old, now: null });
    else lines.push({ kind, text, old: null, now: ++now });
  }
  for (let i = a.length - tail; i < a.length; i++) keep(a[i]);
  return lines;
}

function myers(a, b) {
  const trace = furthest(a, b);
  if (trace === null) return [...a.map((text) => ["-", text]), ...b.map((text) => ["+", text])];
  const edits = [];
  let x = a.length,
    y = b.length;
  for (let d = trace.length - 1; d > 0; d--) {
    const before = trace[d - 1],
      k = x - y;
    const down = goesDown(before, d, k),
      fromX = before[(down ? k + 1 : k - 1) + d - 1],
      fromY = fromX - (down ? k + 1 : k - 1);
    const snake = down ? fromX : fromX + 1;
    while (x > snake) {
      edits.push([" ", a[--x]]);
      y--;
    }
    edits.push(down ? ["+", b[--y]] : ["-", a[--x]]);
    x = fromX;
    y = fromY;
  }
  while (x > 0) edits.push([" ", a[--x]]);
  return edits.reverse();
}

// Whether the best path of d edits to diagonal k ends with an insertion.
function goesDown(before, d, k) {
  return k === -d || (k !== d && before[k - 1 + d - 1] < before[k + 1 + d - 1]);
}

// For each number of edits d, the furthest x on each diagonal k from -d to d (at index k + d); null: too many.
function furthest(a, b) {
  const trace = [];
  for (let d = 0; d <= Math.min(a.length + b.length, MOST_EDITS); d++) {
    const row = new Int32Array(2 * d + 1),
      before = trace[d - 1];
    for (let k = -d; k <= d; k += 2) {
      let x = 0;
      if (d > 0) x = goesDown(before, d, k) ? before[k + 1 + d - 1] : before[k - 1 + d - 1] + 1;
      let y = x - k;
      while (x < a.length && y < b.length && a[x] === b[y]) {
        x++;
        y++;
      }
      row[k + d] = x;
      if (x >= a.length && y >= b.length) {
        trace.push(row);
        return trace;
      }
    }
    trace.push(row);
  }
  return null;
}

// Runs of lines near a change, with what was left out between them.
function hunks(lines, context = 3) {
  const near = new Uint8Array(lines.length);
  lines.forEach((line, at) => {
    if (line.kind !== " ") near.fill(1, Math.max(0, at - context), Math.min(lines.length, at + context + 1));
  });
  const found = [];
  for (let at = 0; at < lines.length; at++) {
    if (!near[at]) continue;
    const begin = at;
    while (at < lines.length && near[at]) at++;
    found.push({ begin, lines: lines.slice(begin, at) });
  }
  return found;
}
