// What the judge found: latency by regime and workload, evidence of failure. Read when the node is looked at.

function judgedSections(node, candidate) {
  const latency = h("div"),
    failure = h("div"),
    code = h("div", {}, h("p", { class: "note" }, "Unpacking\u2026"));
  loadJudged(node, candidate, { latency, failure, code });
  return [latency, failure, h("section", {}, h("h4", {}, "Code"), code)];
}

async function loadJudged(node, candidate, places) {
  const parent = state.model.parentCandidate(node);
  const [mine, above] = await Promise.all([candidateDetail(candidate.id), parent === null ? null : candidateDetail(parent.id)]);
  if (mine === null) return replaceChildren(places.code, h("p", { class: "notice" }, "The kernel could not be read."));
  replaceChildren(places.latency, latencySection(candidate, mine, above));
  replaceChildren(places.failure, failureSections(candidate, mine));
  return drawCode(places.code, mine, above !== null && !above.missing ? above : null);
}

function latencySection(candidate, mine, above) {
  const timed = timedEvaluation(mine),
    before = timedEvaluation(above);
  if (timed === null) return null;
  const sets = [
    { label: "baseline", kind: "baseline", regimes: timed.regimes, value: (row) => row.baseline_us },
    ...(before === null ? [] : [{ label: "parent", kind: "parent", regimes: before.regimes, value: (row) => row.latency_us }]),
    { label: "this", kind: "this", regimes: timed.regimes, value: (row) => row.latency_us },
    { label: "floor", kind: "floor", regimes: timed.regimes, value: (row) => row.floor_us },
  ];
  return h("section", {}, h("h4", {}, "Latency by regime"), regimeBars(sets), measurementFacts(timed), workloadTable(timed));
}

function measurementFacts(timed) {
  const compiled = timed.compile;
  return facts([
    ["timer", timed.timer],
    [
      "resolution",
      timed.resolution_us === null ? null : `${us(timed.resolution_us)} \u00b5s`,
      "Below this a liar could not be told from a fast kernel",
    ],
    ["noise", timed.noise_ln === null ? null : percent(timed.noise_ln), "Standard deviation between repeats"],
    [
      "against incumbent",
      timed.paired === null ? null : `${times(timed.paired.mean)} (${times(timed.paired.low)} to ${times(timed.paired.high)})`,
      "Paired measurement, 95 % interval over blocks",
    ],
    ["registers", compiled?.registers ?? null],
    ["spills", compiled?.spill_bytes === null || compiled === null ? null : `${compiled.spill_bytes} B`],
    ["shared memory", compiled?.shared_bytes === null || compiled === null ? null : `${compiled.shared_bytes} B`],
    ["hidden workloads", timed.hidden === "none" ? null : timed.hidden],
  ]);
}

function workloadTable(timed) {
  const columns = [
    ["workload", (row) => h("code", {}, row.uuid)],
    ["regime", (row) => row.regime],
    ["\u00b5s", (row) => us(row.latency_us), { class: "number" }],
    ["baseline", (row) => us(row.baseline_us), { class: "number" }],
    [
      "speed-up",
      (row) => (row.latency_us && row.baseline_us ? `${factor(row.baseline_us / row.latency_us)}\u00d7` : DASH),
      { class: "number" },
    ],
    ["max abs error", (row) => (row.max_abs_error === null ? DASH : row.max_abs_error.toPrecision(2)), { class: "number" }],
  ];
  return fold("workloads", many(timed.workloads.length, "workload"), table("Latency by workload", columns, timed.workloads));
}

function failureSections(candidate, mine) {
  return mine.evaluations
    .filter((evaluation) => evaluation.evidence !== null)
    .map((evaluation) => {
      const { evidence } = evaluation,
        answer = judgedCandidate(candidate).evaluations.find((other) => other.kind === evaluation.kind);
      return h(
        "section",
        { class: "failure" },
        h("h4", {}, `${answer?.status ?? "Failed"} at ${answer?.stage ?? "an unknown stage"}`),
        h("p", {}, evidence.message),
        facts([
          ["workload", evidence.workload],
          ["element", evidence.element],
        ]),
        evidence.log ? h("pre", { class: "log", tabindex: "0" }, evidence.log) : null,
        evidence.reproduce ? commandLine(evidence.reproduce) : null,
      );
    });
}

function judgedCandidate(candidate) {
  return candidate.twin === null ? candidate : state.model.data.candidates[candidate.twin];
}

function commandLine(command) {
  return h("div", { class: "command" }, h("code", { tabindex: "0" }, command), copyButton(visible(command), "command"));
}
