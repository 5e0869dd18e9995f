// Kernels and verdicts: unpacked from the page once, or asked of the server one by one.

const details = { packed: null, known: new Map() };

async function candidateDetail(id) {
  return live.on ? requestedDetail(id) : unpackedDetail(id);
}

async function unpackedDetail(id) {
  details.packed ??= inflate(document.getElementById("ksearch-details").textContent).then((text) => {
    const all = JSON.parse(text);
    return { lines: all.lines, details: decodeRowsOnly(all.details) };
  });
  const all = await details.packed;
  return all.details[id] === undefined ? null : decodeDetail(all.details[id], all.lines);
}

function decodeRowsOnly(value) {
  if (!value.$columns) return value;
  return value.$rows.map((row) => Object.fromEntries(value.$columns.map((name, i) => [name, row[i]])));
}

// Asked again when the candidate has been judged since.
async function requestedDetail(id) {
  const key = `${id}/${state.model.data.candidates[id].evaluations.length}`;
  if (!details.known.has(key)) {
    const answer = await request("candidate.json", { id });
    if (!answer.ok) return null;
    details.known.set(key, decode(await answer.json()));
  }
  return details.known.get(key);
}
