// Kernels and verdicts: unpacked from the page once, or asked of the server one by one.

const details = { packed: null, known: new Map() };

async function candidateDetail(id) {
  return live.on ? requestedDetail(id) : unpackedDetail(id);
}

async function unpackedDetail(id) {
  details.packed ??= painted()
    .then(() => inflate(document.getElementById("ksearch-details").textContent))
    .then(JSON.parse);
  const { lines, details: all } = await details.packed;
  const texts = (runs) => decodeLines(runs, lines);
  if (Array.isArray(all)) return all[id] === undefined ? null : decode(all[id], texts);
  return all.$rows[id] === undefined ? null : decodeRow(all.$columns, all.$rows[id], texts);
}

// The page stands before kernels are unpacked.
function painted() {
  return new Promise((resolve) => {
    requestAnimationFrame(() => setTimeout(resolve));
  });
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
