// Following a run through a server. A static page never gets here: it has no address to ask. A large run's server sends what
// changed (`since` names the event that it follows on) and the whole now and then; see PageChange in model.py.

const POLL_MS = 500;
const served = document.querySelector('meta[name="ksearch-live"]');
const live = { on: served !== null, query: served?.content ?? "", shown: null, newest: 0, whole: 0, failed: 0, took: 0, timer: null };

function startLive() {
  if (!live.on) return;
  live.newest = live.whole = state.model.data.run.seq;
  document.addEventListener("visibilitychange", () => {
    if (!document.hidden) follow();
  });
  schedule();
}

function request(path, parameters = {}, options = {}) {
  const query = new URLSearchParams(live.query);
  for (const [name, value] of Object.entries(parameters)) query.set(name, value);
  return fetch(`${path}?${query}`, { cache: "no-store", ...options });
}

function schedule() {
  clearTimeout(live.timer);
  // A large run takes a while to draw: most of the time stays the reader's.
  live.timer = setTimeout(follow, Math.max(POLL_MS * Math.min(10, 1 + live.failed), 3 * live.took));
}

async function follow() {
  const have = state.model.data.run.seq;
  if (!document.hidden) await asked(live.shown === null ? { have, whole: live.whole } : { have: live.newest });
  schedule();
}

async function asked(parameters) {
  try {
    const answer = await request("data.json", parameters);
    if (answer.status !== 204 && !answer.ok) throw new Error(`the server answered ${answer.status}`);
    const text = answer.status === 200 ? await answer.text() : null,
      begun = performance.now();
    if (text !== null) take(decode(JSON.parse(text)), parameters);
    live.took = performance.now() - begun;
    if (live.failed > 0) say("");
    live.failed = 0;
  } catch (error) {
    live.failed += 1;
    say(`Not connected: ${error.message}. Shown is event ${state.model.data.run.seq}; asking again.`, true);
  }
}

function take(data, parameters) {
  live.newest = Math.max(live.newest, data.run.seq);
  const wanted = live.shown === null ? "have" in parameters : parameters.seq === live.shown;
  if (!wanted) return;
  if (data.since === undefined) {
    live.whole = data.run.seq;
    setData(data);
  } else if (data.since === state.model.data.run.seq) setData(withChange(state.model.data, data), true);
}

// Rows that changed in place of the old ones; what the server makes of all rows stays as it was.
function withChange(old, change) {
  const actions = [...old.actions, ...change.actions],
    moved = (index) => (index === null ? null : index + old.actions.length);
  const nodes = change.nodes.map((node) => ({
    ...node,
    action: moved(node.action),
    queued: node.queued.map(moved),
    refused: node.refused.map((refusal) => ({ ...refusal, action: moved(refusal.action) })),
  }));
  return {
    ...old,
    run: change.run,
    budget: change.budget,
    headline: change.headline ?? old.headline,
    actions,
    nodes: replaced(old.nodes, nodes, "id"),
    candidates: replaced(old.candidates, change.candidates, "id"),
    tickets: replaced(old.tickets, change.tickets, "ticket"),
    progress: [...old.progress.slice(0, change.progress_from), ...change.progress],
    incumbents: change.incumbents,
  };
}

function replaced(rows, newer, key) {
  const result = rows.slice();
  for (const row of newer) result[row[key]] = row;
  return result;
}

// Replay: event `seq` and no further; null follows again.
async function showMoment(seq) {
  live.shown = seq;
  await asked(seq === null ? { have: 0 } : { seq });
}

// For a screen reader; for everyone when it matters.
function say(text, shown = false) {
  section("status").textContent = visible(text);
  section("status").toggleAttribute("data-shown", shown);
}
