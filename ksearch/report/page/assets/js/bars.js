// Latency by regime as bars: baseline, parent, this kernel, physical floor. One scale for all, named below them.

const LINEAR_UP_TO = 8; // a greater ratio between bars makes the small ones unreadable: then logarithmic, and said so

function regimeBars(sets) {
  const regimes = [...new Set(sets.flatMap((set) => set.regimes.map((row) => row.regime)))];
  const values = sets.flatMap((set) => set.regimes.map((row) => set.value(row))).filter((value) => value > 0);
  if (!values.length) return null;
  const scale = barScale(values);
  const table = h("div", { class: "bars", role: "table", "aria-label": "Latency by regime in microseconds" });
  for (const regime of regimes) table.append(regimeGroup(regime, sets, scale, regimes.length));
  table.append(h("p", { class: "scale" }, scale.note));
  return table;
}

function barScale(values) {
  const low = Math.min(...values),
    high = Math.max(...values);
  if (high / low <= LINEAR_UP_TO) return { share: (value) => value / high, note: "microseconds, linear from 0" };
  const from = 10 ** Math.floor(Math.log10(low / 1.5)),
    decades = Math.log10(high / from);
  return {
    share: (value) => Math.log10(value / from) / decades,
    note: `microseconds, logarithmic from ${from >= 1 ? from : from.toPrecision(1)}: a bar twice as long is not twice as slow`,
  };
}

function regimeGroup(regime, sets, scale) {
  const count = sets.flatMap((set) => set.regimes).find((row) => row.regime === regime)?.workloads;
  const group = h(
    "div",
    { class: "bar-group", role: "rowgroup" },
    h(
      "div",
      { class: "bar-name", role: "row" },
      h("span", { role: "rowheader" }, regime),
      h("span", { class: "note" }, many(count ?? 0, "workload")),
    ),
  );
  for (const set of sets) {
    const row = set.regimes.find((found) => found.regime === regime),
      value = row === undefined ? null : set.value(row);
    if (value === null || value === undefined) continue;
    const bar = h("span", { class: `bar ${set.kind}` });
    bar.style.width = `${Math.max(0.4, 100 * scale.share(value))}%`;
    group.append(
      h(
        "div",
        { class: "bar-row", role: "row" },
        h("span", { class: "bar-label", role: "rowheader" }, set.label),
        h("span", { class: "bar-track", "aria-hidden": "true" }, bar),
        h("span", { class: "bar-value", role: "cell" }, us(value)),
      ),
    );
  }
  return group;
}

// Of one kernel: its evaluation with the most regimes timed, which is the promotion when there is one.
function timedEvaluation(detail) {
  const timed = (detail?.evaluations ?? []).filter((evaluation) => evaluation.regimes.length);
  return timed[timed.length - 1] ?? null;
}
