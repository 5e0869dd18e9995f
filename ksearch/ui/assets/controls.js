// The live page's own controls: replay, steering, the command that runs again from here. Loaded after the page's scripts.
// Whatever comes from the run becomes text through ksearch.h, never markup.
(() => {
"use strict";
const { h } = window.ksearch;
const token = new URLSearchParams(document.querySelector('meta[name="ksearch-live"]').content).get("token");
const POLL_MS = 1000, SOON_MS = 250, SLIDE_MS = 60;
const LIMITS = { max_evaluations: "evaluations", max_gpu_seconds: "GPU-seconds", max_usd: "US dollars", max_tokens: "tokens", max_time_s: "seconds" };
const state = { status: null, drawn: "", replayed: null, fetching: false, node: null, actions: null, timer: null, sliding: null, unfolded: null, notes: [] };

// ------------------------------------------------------------------ asking

async function ask(request) {
  let text;
  try {
    const headers = { "Content-Type": "application/json", "X-Ksearch-Token": token };
    const answer = await window.ksearch.request("requests", {}, { method: "POST", headers, body: JSON.stringify(request) });
    const body = await answer.json();
    text = answer.ok ? body.note : `${request.kind}: refused: ${body.error}`;
  } catch (error) {
    text = `${request.kind}: not sent (${error.message})`;
  }
  if (text) note(text);
  refresh(SOON_MS);
}

function note(text) {
  state.notes = [text, ...state.notes].slice(0, 3);
  draw(true);
}

async function follow() {
  if (!document.hidden) {
    try {
      const answer = await window.ksearch.request("status.json");
      if (answer.ok) state.status = await answer.json();
    } catch {
      // The page itself says that the server can't be reached.
    }
    draw();
  }
  refresh(POLL_MS);
}

function refresh(delay) {
  clearTimeout(state.timer);
  state.timer = setTimeout(follow, delay);
}

// ------------------------------------------------------------------ parts

const bar = h("section", { id: "controls", "aria-label": "Replay and steering" });
const slider = h("input", { type: "range", min: 1, max: 1, value: 1, step: 1, "aria-label": "Event of the log", input: slide });
const moment = h("output", { class: "moment" });
const back = h("button", { type: "button", class: "small", click: () => show(null) }, "Follow live");
const branch = h("div", { class: "branch" });
const rest = h("div", { class: "steering" });
bar.append(h("div", { class: "replay" }, slider, moment, back), branch, rest);

function slide() {
  clearTimeout(state.sliding);
  const seq = Number(slider.value);
  moment.textContent = label(seq);
  state.sliding = setTimeout(() => show(seq >= newest() ? null : seq), SLIDE_MS);
}

// One moment is fetched at a time: of those that the slider passed meanwhile only the last is wanted.
async function show(seq) {
  state.replayed = seq;
  drawReplay();
  if (state.fetching) return;
  state.fetching = true;
  let shown;
  while (shown !== state.replayed) {
    shown = state.replayed;
    await window.ksearch.show(shown);
  }
  state.fetching = false;
}

function newest() {
  return Math.max(window.ksearch.newest, window.ksearch.data.run.seq, state.status?.seq ?? 0);
}

function label(seq) {
  return state.replayed === null && seq >= newest() ? `live, event ${newest()}` : `event ${seq} of ${newest()}`;
}

function drawReplay() {
  const last = newest(), at = state.replayed ?? last;
  slider.max = last;
  if (document.activeElement !== slider || state.replayed === null) slider.value = at;
  slider.setAttribute("aria-valuetext", label(at));
  moment.textContent = label(at);
  back.hidden = state.replayed === null;
  bar.dataset.replaying = String(state.replayed !== null);
  branch.textContent = "";
  if (state.replayed !== null && state.status) branch.append(command(`@${state.replayed}`, "Run again from this moment:"));
}

// A shell may take # for more than itself; a name that needs quotes has them already.
function command(point, lead) {
  const { quoted } = state.status;
  const whole = quoted.endsWith("'") ? `${quoted.slice(0, -1)}${point}'` : point.startsWith("#") ? `'${quoted}${point}'` : quoted + point;
  const text = `ksearch run --from ${whole}`;
  const copy = h("button", { type: "button", class: "small", click: async () => {
    try {
      await navigator.clipboard.writeText(text);
      copy.textContent = "Copied";
    } catch {
      copy.textContent = "Select and copy it";
    }
  } }, "Copy");
  return h("p", { class: "run-again" }, h("span", {}, lead), h("code", {}, text), copy);
}

function draw(force = false) {
  drawReplay();
  const signature = JSON.stringify([state.status && { ...state.status, seq: 0 }, state.notes]);
  if (!state.status || (signature === state.drawn && !force)) return;
  state.drawn = signature;
  const open = new Set([...rest.querySelectorAll("details[open]")].map((element) => element.dataset.name));
  const left = leaveAsIs();
  rest.textContent = "";
  rest.append(...standing(), wishes(), limits(open.has("limits")), asked(open.has("asked")), ...state.notes.map((text) => h("p", { class: "note", role: "status" }, text)));
  left();
  drawActions();
}

// What somebody was typing and where the keyboard was; the returned function puts them back.
function leaveAsIs() {
  const inputs = () => [...rest.querySelectorAll("input")];
  const typed = new Map(inputs().filter((input) => input.value !== input.defaultValue).map((input) => [labelOf(input), input.value]));
  const focused = rest.contains(document.activeElement) ? labelOf(document.activeElement) : null;
  return () => {
    for (const input of inputs()) if (typed.has(labelOf(input))) input.value = typed.get(labelOf(input));
    if (focused !== null) [...rest.querySelectorAll("button, input, summary")].find((element) => labelOf(element) === focused)?.focus();
  };
}

function labelOf(element) {
  return element.getAttribute("aria-label") ?? element.textContent;
}

function standing() {
  const { searching, writer, quoted } = state.status;
  if (!searching) return [h("p", { class: "standing" }, "Nobody is searching; what you ask for waits until ", h("code", {}, `ksearch resume ${quoted}`))];
  return [h("p", { class: "standing on" }, `Searching: ${writer}`), confirmed("Stop the search", "Really stop it", () => ask({ kind: "stop" }))];
}

// Asks a second time before it acts.
function confirmed(text, again, act) {
  const button = h("button", { type: "button", class: "small", click: () => {
    if (button.dataset.sure) return act();
    button.dataset.sure = "yes";
    button.textContent = again;
    return setTimeout(() => { delete button.dataset.sure; button.textContent = text; }, 4000);
  } }, text);
  return button;
}

function wishes() {
  const { pins, bans } = state.status;
  const list = h("ul", { class: "wishes", "aria-label": "Pins and bans" });
  for (const node of pins) list.append(wish(`pinned #${node}`, `Unpin node ${node}`, { kind: "unpin", node }, () => window.ksearch.select(node)));
  for (const idea of bans) list.append(wish(`banned ${idea}`, `Lift the ban of ${idea}`, { kind: "unban", idea }));
  return list;
}

function wish(text, label, request, visit) {
  const name = visit ? h("button", { type: "button", class: "link", click: visit }, text) : h("span", {}, text);
  return h("li", {}, name, h("button", { type: "button", class: "small", "aria-label": label, click: () => ask(request) }, "×"));
}

function limits(open) {
  const fields = Object.entries(LIMITS).map(([name, unit]) => {
    const now = state.status.limits[name];
    return [name, now, h("input", { type: "number", min: 0, step: "any", value: now, placeholder: "no limit", "aria-label": `Limit of ${unit}` }), unit];
  });
  const change = () => {
    const changed = fields.map(([name, now, input]) => [name, now, input.value === "" ? null : Number(input.value)]).filter(([, now, value]) => value !== now);
    for (const [, , input] of fields) input.value = input.defaultValue;
    if (changed.length) ask({ kind: "budget", limits: Object.fromEntries(changed.map(([name, , value]) => [name, value])) });
  };
  return h("details", { "data-name": "limits", open }, h("summary", {}, "Limits"),
    h("div", { class: "limits" }, fields.map(([, , input, unit]) => h("label", {}, input, unit)), h("button", { type: "button", click: change }, "Change limits")));
}

function asked(open) {
  const { requests } = state.status, waiting = requests.filter((request) => request.outcome === "waiting").length;
  if (requests.length === 0) return "";
  const title = waiting ? `Requests (${waiting} waiting)` : "Requests";
  return h("details", { "data-name": "asked", open: open || waiting > 0 }, h("summary", {}, title),
    h("ol", { class: "asked" }, [...requests].reverse().map((request) => h("li", { "data-outcome": request.outcome }, `${words(request.request)}: ${request.outcome}`, request.reason ? ` (${request.reason})` : "", h("span", { class: "note" }, ` ${request.origin}`)))));
}

function words(request) {
  if (request.limits) return `limits ${Object.entries(request.limits).map(([name, value]) => `${name}=${value ?? "none"}`).join(", ")}`;
  return [request.kind, request.node === undefined ? request.idea : `node ${request.node}`].filter(Boolean).join(" ");
}

// ------------------------------------------------------------------ the node panel

function drawActions() {
  if (state.actions === null || !state.status) return;
  const { data } = window.ksearch, node = data.nodes[state.node], container = state.actions;
  container.textContent = "";
  if (node === undefined) return;
  const action = node.action === null ? null : data.actions[node.action];
  if (action !== null) container.append(pinning(node), ...banning(action));
  const again = h("div", { hidden: state.unfolded !== node.id }, command(`#${node.id}`, "In a terminal:"),
    h("p", { class: "note" }, "Begins a new run with the log as it stood when this plan was proven, or opened if it never was, and goes on from it. Limits are totals, what was spent until then included: add --max-evaluations N for more."));
  container.append(h("button", { type: "button", class: "small", "aria-expanded": String(!again.hidden), click: (event) => {
    again.hidden = !again.hidden;
    state.unfolded = again.hidden ? null : node.id;
    event.currentTarget.setAttribute("aria-expanded", String(!again.hidden));
  } }, "Run again from here"), again);
}

function pinning(node) {
  const pinned = state.status.pins.includes(node.id);
  return h("button", { type: "button", class: "small", title: "Search at and below this plan first", click: () => ask({ kind: pinned ? "unpin" : "pin", node: node.id }) }, pinned ? "Unpin" : "Pin: search here first");
}

function banning(action) {
  const ideas = [[action.technique, `Ban ${action.technique}`], [action.key, "Ban this step"]];
  return ideas.map(([idea, text]) => {
    const banned = state.status.bans.includes(idea);
    const title = banned ? "Offer it again" : `Propose and try no more of ${idea}; what was measured stands`;
    return h("button", { type: "button", class: "small", title, click: () => ask({ kind: banned ? "unban" : "ban", idea }) }, banned ? text.replace("Ban", "Lift the ban of") : text);
  });
}

window.ksearch.on("node", (id, container) => {
  state.node = id;
  state.actions = container;
  drawActions();
});
window.ksearch.on("data", drawReplay);
document.addEventListener("visibilitychange", () => { if (!document.hidden) refresh(0); });
document.getElementById("slot-top").append(bar);
state.node = window.ksearch.selected;
state.actions = document.querySelector("#node .actions");
follow();
})();
