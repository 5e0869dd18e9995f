// Following a run through a server. A static page never gets here: it has no address to ask.

const POLL_MS = 1000;
const served = document.querySelector('meta[name="ksearch-live"]');
const live = { on: served !== null, query: served?.content ?? "", shown: null, newest: 0, failed: 0, took: 0, timer: null };

function startLive() {
  if (!live.on) return;
  live.newest = state.model.data.run.seq;
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
  // A large run takes a while to send and to draw: most of the time stays the reader's.
  live.timer = setTimeout(follow, Math.max(POLL_MS * Math.min(10, 1 + live.failed), 3 * live.took));
}

async function follow() {
  if (!document.hidden) await asked(live.shown === null ? { have: state.model.data.run.seq } : { have: live.newest });
  schedule();
}

async function asked(parameters) {
  const begun = performance.now();
  try {
    const answer = await request("data.json", parameters);
    if (answer.status !== 204 && !answer.ok) throw new Error(`the server answered ${answer.status}`);
    if (answer.status === 200) take(decode(await answer.json()), parameters);
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
  if (wanted) setData(data);
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
