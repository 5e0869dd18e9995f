"""The text of the inspector's panes. All of it is made of `rich` texts with untrusted words made inert, never of markup."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING

from rich.console import Group, RenderableType
from rich.text import Text

from ksearch.report.text import clipped, inert, inert_lines, named, nats, percent, ratio, us

if TYPE_CHECKING:  # the program's first picture waits for what is imported here
    from ksearch.inspector.looks import Beliefs, Look
    from ksearch.inspector.rows import Branch, Head
    from ksearch.records.model import BudgetRecord, ForecastRecord, NodeRecord
    from ksearch.report.page.model import EvaluationDetail, FailureEvidence, RegimeLatency

BAR = 28
MOST_LINES = 4000
"""Of a source or a log: more is no reading matter, and slow to draw."""

_STYLES = {"closed": "red", "unproven": "yellow", "exhausted": "blue", "root": "bold"}
_MARKS = {"closed": "x", "unproven": "?", "exhausted": "="}
_LANGUAGES = {".cu": "cuda", ".cuh": "cuda", ".py": "python", ".cpp": "cpp", ".h": "cpp", ".cc": "cpp", ".hpp": "cpp"}
_UNITS = {"evaluations": "evaluations", "gpu_seconds": "GPU s", "usd": "USD", "tokens": "tokens", "wall_seconds": "seconds"}


# ---------------------------------------------------------------------------------------------- above the tree


def head_text(head: Head, reading: tuple[int, int] | None = None) -> Text:
    """`reading`: so many events of so many are read, and this is how the run stood then."""
    state = head.status if head.reason is None else f"{head.status} ({inert(head.reason)})"
    if reading is not None:
        state = f"reading the log: event {reading[0]:,} of {reading[1]:,}"
    text = Text.assemble(
        (named(head.run), "bold"), f"  {named(head.definition)} on {named(head.device_name)}  ", (state, "cyan"), f"  {head.nodes} plans\n"
    )
    best = head.incumbent
    if best is None:
        text.append("no incumbent yet\n", "yellow")
    else:
        timer = "" if head.timer is None else f", timer {inert(head.timer)}"
        text.append(f"incumbent {us(best.latency_us)} us, {ratio(best.speedup)} over {us(best.baseline_us)} us", "bold green")
        text.append(f"  #{best.node}, promoted on the full set{timer}\n")
    return text.append_text(Text("   ").join(_budget(name, row, head) for name, row in head.budget.items()))


def _budget(name: str, row: BudgetRecord, head: Head) -> Text:
    spent = head.evaluations if name == "evaluations" else row.spent
    if row.limit is None:
        return Text(f"{_UNITS.get(name, name)} {spent:,.4g}")
    share = 1.0 if row.limit <= 0 else min(1.0, spent / row.limit)
    return Text.assemble(f"{_UNITS.get(name, name)} ", (bar(share, 12), "cyan"), f" {spent:,.4g} of {row.limit:,.4g}")


def bar(share: float, width: int) -> str:
    """Filled to the eighth of a character."""
    eighths = round(max(0.0, min(1.0, share)) * width * 8)
    full, rest = divmod(eighths, 8)
    return ("█" * full + ("" if rest == 0 else " ▏▎▍▌▋▊▉"[rest])).ljust(width, "·")


def branch_label(branch: Branch) -> Text:
    style = "bold green" if branch.incumbent else _STYLES.get(branch.status, "")
    mark = "*" if branch.incumbent else _MARKS.get(branch.status, " ")
    numbers = "" if branch.latency_us is None else f"{us(branch.latency_us)} us "
    gain = "" if branch.gain is None else f"{nats(branch.gain)} "
    stage = f"  [{inert(branch.failed_stage or '')}]" if branch.status == "closed" else ""
    counts = f"  N {branch.N}{' …' if branch.O else ''}" if branch.N or branch.O else ""
    name, target = _step(branch.key)
    pieces = ((f"{mark}#{branch.node} ", style), (numbers, "cyan"), gain, (name, style), (stage, "red"), (counts, "dim"), (target, "dim"))
    return Text.assemble(*pieces, ("  pinned" if branch.pinned else "", "bold"), no_wrap=True)


def _step(key: str) -> tuple[str, str]:
    """What tells plans apart comes first: technique and parameter, then the target."""
    technique, _, rest = key.partition("|")
    target, _, parameter = rest.rpartition("|")
    return clipped(inert(f"{technique} {parameter}".rstrip()), 80), f"  {clipped(inert(target), 60)}" if target else ""


# ---------------------------------------------------------------------------------------------- one node


def node_pane(look: Look) -> RenderableType:
    return Group(*_spaced(_claim(look.node), _kernel(look), _latencies(look), _failures(look), _counts(look.node)))


def _spaced(*parts: Iterable[Text]) -> Iterator[Text]:
    for part in parts:
        lines = list(part)
        if lines:
            yield from lines
            yield Text()


def _claim(node: NodeRecord) -> Iterator[Text]:
    action = node.action
    if action is None:
        yield Text("root: the kernel that the search starts from", "bold")
        return
    yield Text(f"#{node.id} {inert(action.key)}", "bold")
    yield Text(inert(action.intent))
    yield Text(inert(action.rationale), "dim italic")
    yield Text()
    widest = max(abs(action.gain_mean), abs(node.gain or 0.0), 0.05)
    yield _gain_row("claim", action.gain_mean, widest, "yellow", f"give or take {action.gain_sd:.3f}, {action.p_success:.0%} to work")
    if node.gain is None:
        yield Text(f"{'outcome':<9} {_unmeasured(node)}", "yellow")
    else:
        short = node.gain - action.gain_mean
        yield _gain_row("outcome", node.gain, widest, "green" if node.gain > 0 else "red", f"{nats(short)} against the claim")


def _gain_row(name: str, gain: float, widest: float, style: str, note: str) -> Text:
    filled = bar(abs(gain) / widest, BAR)
    return Text.assemble(f"{name:<9} ", (filled, style), f" {nats(gain)} nats, {percent(gain)}  ", (note, "dim"))


def _unmeasured(node: NodeRecord) -> str:
    if node.status == "closed":
        return f"none of {node.attempts} attempts passed; the last failed at {inert(node.failed_stage or 'an unknown stage')}"
    return "not measured" if node.attempts else "not tried yet"


def _kernel(look: Look) -> Iterator[Text]:
    shown = look.shown
    if shown is None:
        return
    yield Text(f"candidate {shown.id}  {named(shown.language)}, by {named(shown.origin)}  {named(shown.name)}")
    if shown.twin is not None:
        yield Text(f"the same code as candidate {shown.twin}: its verdicts stand for both", "dim")
    if shown.forecast is not None:
        yield from _forecast(shown.forecast, shown.reward)
    others = len(look.candidates) - 1
    if others:
        yield Text(f"{others} more candidates were written for this plan", "dim")


def _forecast(said: ForecastRecord, measured: float | None) -> Iterator[Text]:
    widest = max(abs(said.reward), abs(measured or 0.0), 0.05)
    note = f"give or take {said.sigma:.3f}, {said.p_passes:.0%} to pass, by {inert(said.forecaster)}"
    yield _gain_row("forecast", said.reward, widest, "yellow", f"{note}{', an audit' if said.audit else ''}")
    if measured is not None:
        off = f"{nats(measured - said.reward)} against the forecast"
        yield _gain_row("measured", measured, widest, "green" if measured > 0 else "red", f"over the baseline; {off}")
    elif said.retired:
        yield Text(f"not measured: {inert(said.retired)}", "yellow")


def _latencies(look: Look) -> Iterator[Text]:
    timed = [evaluation for evaluation in (look.kernel.evaluations if look.kernel else ()) if evaluation.regimes]
    if not timed:
        return
    evaluation = timed[-1]
    where = "full set, promotion" if evaluation.kind == "promote" else "subset"
    timer = "" if evaluation.timer is None else f", timer {inert(evaluation.timer)}"
    yield Text(f"latency by regime ({where}{timer}; bars on a logarithmic scale)", "bold")
    low, high = _scale(evaluation.regimes)
    for regime in evaluation.regimes:
        yield Text(f"{inert(regime.regime)}  {regime.workloads} workloads, {regime.weight:.0%} of the objective")
        rows = (("baseline", regime.baseline_us, "dim"), ("kernel", regime.latency_us, "green"), ("floor", regime.floor_us, "blue"))
        for name, value, style in rows:
            yield _latency_row(name, value, style, low, high, regime)
    yield from _paired(evaluation)


def _scale(regimes: Iterable[RegimeLatency]) -> tuple[float, float]:
    known = [value for regime in regimes for value in (regime.baseline_us, regime.latency_us, regime.floor_us) if value]
    return min(known, default=1.0) / 2, max(known, default=2.0)


def _latency_row(name: str, value: float | None, style: str, low: float, high: float, regime: RegimeLatency) -> Text:
    if value is None:
        return Text(f"  {name:<9} {'not known'}", "dim")
    share = math.log(value / low) / math.log(high / low) if high > low and value > 0 else 1.0
    note = _against(regime) if name == "kernel" else ""
    return Text.assemble(f"  {name:<9} ", (bar(share, BAR), style), f" {us(value):>7} us", (note, "dim"))


def _against(regime: RegimeLatency) -> str:
    """The kernel beside the baseline and what the device allows."""
    if not regime.latency_us:
        return ""
    over = f"  {ratio(regime.baseline_us / regime.latency_us)}" if regime.baseline_us else ""
    return over + (f", {ratio(regime.latency_us / regime.floor_us)} the floor" if regime.floor_us else "")


def _paired(evaluation: EvaluationDetail) -> Iterator[Text]:
    if evaluation.paired is not None:
        paired = evaluation.paired
        interval = f"{nats(paired.low)} to {nats(paired.high)}, {paired.blocks} blocks"
        yield Text(f"against the incumbent of then: {nats(paired.mean)} nats, 95 % interval {interval}")


def _failures(look: Look) -> Iterator[Text]:
    for evaluation in look.kernel.evaluations if look.kernel else ():
        if evaluation.missing is not None:
            yield Text(f"{evaluation.kind}: the verdict can't be shown: {evaluation.missing}", "red")
        if evaluation.evidence is not None:
            yield from _evidence(evaluation.kind, evaluation.evidence)


def _evidence(kind: str, evidence: FailureEvidence) -> Iterator[Text]:
    yield Text(f"{kind} failed", "bold red")
    yield from (Text(line) for line in inert_lines(evidence.message))
    if evidence.workload is not None:
        yield Text(f"workload {inert(evidence.workload)}{'' if evidence.element is None else f', {inert(evidence.element)}'}")
    if evidence.reproduce is not None:
        yield Text(f"see it again: {inert(evidence.reproduce)}", "cyan")
    yield from (Text(line, "dim") for line in _bounded(evidence.log.rstrip()) if evidence.log.strip())


def _counts(node: NodeRecord) -> Iterator[Text]:
    share = "" if node.P is None else f"  P {node.P:.3f}"
    yield Text(f"N {node.N}  F {node.F}  O {node.O}  K {node.K}  Q {nats(node.Q)}  best {nats(node.best)}  V0 {nats(node.V0)}{share}")
    if node.score is not None:
        score = node.score
        terms = f"{score.total:.3f} = value {score.q_tilde:.3f} + exploration {score.exploration:.3f}"
        yield Text(f"score now {terms}, rank {score.rank} of {score.arms}{'' if score.legal else ', takes no attempt now'}")
    for queued in node.queued[:8]:
        yield Text(f"waiting: {inert(queued.key)}  claims {nats(queued.gain_mean)} at {queued.p_success:.0%}", "dim")
    for refused in node.refused[:8]:
        yield Text(f"refused: {inert(refused.action.key)}: {inert(refused.reason)}", "dim")


# ---------------------------------------------------------------------------------------------- code, diff, beliefs


def code_pane(look: Look) -> RenderableType:
    from rich.syntax import Syntax

    kernel = look.kernel
    if kernel is None:
        return Text("no code was written for this plan yet", "yellow")
    if kernel.missing is not None:
        return Text(f"the sources can't be shown: {kernel.missing}", "red")
    parts: list[RenderableType] = []
    for source in kernel.sources:
        parts.append(Text(inert(source.path), "bold"))
        language = next((name for suffix, name in _LANGUAGES.items() if source.path.endswith(suffix)), "text")
        text = "\n".join(_bounded(source.text))
        parts.append(Syntax(text, language, line_numbers=True, word_wrap=True, theme="ansi_dark", background_color="default"))
    return Group(*parts)


def diff_pane(look: Look) -> RenderableType:
    if look.diff is None:
        return Text("nothing to compare: it has no code, or no parent with code", "yellow")
    if not look.diff:
        return Text("the same code as its parent's", "yellow")
    text = Text()
    for line in _bounded(look.diff):
        text.append(f"{line}\n", _diff_style(line))
    return text


def _diff_style(line: str) -> str:
    if line.startswith(("+++", "---")):
        return "bold"
    return {"+": "green", "-": "red", "@": "cyan"}.get(line[:1], "")


def beliefs_pane(beliefs: Beliefs) -> RenderableType:
    from rich.table import Table

    honesty = "" if beliefs.honesty is None else f"; claims were believed at {beliefs.honesty:.2f} of their size"
    table = Table(box=None, pad_edge=False, header_style="bold")
    for number, heading in enumerate(("technique", "tries", "passed", "failed", "claimed", "measured", "of")):
        table.add_column(heading, justify="left" if number == 0 else "right")
    for row in sorted(beliefs.techniques, key=lambda row: (row.measured_gain is None, -(row.measured_gain or 0.0))):
        table.add_row(
            Text(inert(row.technique)), str(row.tries), str(row.successes), str(row.failures), nats(row.claimed_gain),
            nats(row.measured_gain), str(row.measured),
        )  # fmt: skip
    title = Text(f"before the search first turned to it: after {beliefs.evaluations} evaluations{honesty}", "bold")
    known = table if beliefs.techniques else Text("nothing was known yet: the catalogue's priors alone", "dim")
    return Group(title, Text(), known, Text(), *_document(beliefs))


_HEADINGS = {"hypothesis": "hypotheses", "lesson": "lessons", "question": "open questions"}


def _document(beliefs: Beliefs) -> Iterator[Text]:
    """What the planner had written down by then."""
    if not beliefs.document:
        yield Text("the planner had written no hypotheses, lessons or questions by then", "dim")
    for kind, heading in _HEADINGS.items():
        entries = [entry for entry in beliefs.document if entry.kind == kind]
        if entries:
            yield Text(heading, "bold")
        for entry in entries:
            rests = "".join(f" #{cited.node}" for cited in entry.evidence)
            yield Text.assemble((f"{inert(entry.id)} ", "cyan"), inert(entry.text), (f"  rests on{rests}" if rests else "", "dim"))
            if entry.refuted_by:
                yield Text(f"   refuted by: {inert(entry.refuted_by)}", "dim")


def story_pane(lines: Iterable[str]) -> Text:
    return Text("\n".join(lines))


def _bounded(text: str) -> list[str]:
    lines = inert_lines(text)
    return lines if len(lines) <= MOST_LINES else [*lines[:MOST_LINES], f"... {len(lines) - MOST_LINES} more lines"]
