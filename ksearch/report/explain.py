"""`ksearch explain`: one node's story in words."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from ksearch.records.reading import StoredRun
from ksearch.report.page.model import EvaluationDetail, FailureEvidence
from ksearch.report.story import Attempt, Choice, Decision, OptionScore, Story, story_of
from ksearch.report.text import ascii_json, clipped, inert, inert_lines, named, nats, percent, seconds, table, us
from ksearch.store.journal import no_collections

ARMS_SHOWN = 8
LOG_LINES = 20


def print_story(run: str, runs_dir: Path | None, node: int, *, as_json: bool) -> None:
    with no_collections(), StoredRun.open(run, runs_dir) as opened:
        story = story_of(opened, node)
    print(ascii_json(story.model_dump_json()) if as_json else "\n".join(story_lines(story)))  # noqa: T201


def story_lines(story: Story) -> Iterator[str]:
    yield from _heading(story)
    yield "\nwhy it was chosen"
    yield from _indented(_why(story))
    yield "\nwhat happened"
    yield from _indented(_what(story))


def _indented(lines: Iterator[str]) -> Iterator[str]:
    return (f"  {line}" if line else "" for line in lines)


def _heading(story: Story) -> Iterator[str]:
    node, action = story.node, story.node.action
    standing = f"{' and is the incumbent' if story.incumbent else ''}{'; pinned: the search goes here first' if story.pinned else ''}"
    yield f"#{node.id} {'root' if action is None else inert(action.key)}: {_status(story)}{standing}"
    yield f"run       {named(story.run)}: {named(story.definition)} on {named(story.device_name)}"
    if action is None:
        yield "plan      the starting kernel: every other plan builds on it"
        return
    yield f"plan      {' > '.join(map(inert, node.plan))}"
    yield f"step      {inert(action.intent)}"
    yield f"because   {inert(action.rationale)}"
    regime = "" if action.regime is None else f", for {inert(action.regime)}"
    gain = f"{percent(action.gain_mean)} over its parent ({nats(action.gain_mean)} nats, give or take {action.gain_sd:.3f})"
    yield f"claim     {action.p_success:.0%} to work, and then {gain}; difficulty {action.difficulty}{regime}"
    yield f"outcome   {_outcome(story)}"
    yield from _scored(story)


def _status(story: Story) -> str:
    node = story.node
    match node.status:
        case "root":
            return "the root"
        case "unproven":
            return "no candidate has passed yet" if node.attempts else "not tried yet"
        case "closed":
            return f"closed after {node.attempts} attempts, failing at {inert(node.failed_stage or 'an unknown stage')}"
        case "exhausted":
            return "it passed; nothing is left to try below it"
        case _:
            return "it passed"


def _outcome(story: Story) -> str:
    node, action = story.node, story.node.action
    if node.gain is None or action is None:
        return "not measured"
    short = node.gain - action.gain_mean
    apart = "as claimed" if abs(short) < 0.01 else f"{abs(short):.3f} nats {'more' if short > 0 else 'less'} than claimed"
    spread = "" if action.gain_sd <= 0 else f", {abs(short) / action.gain_sd:.1f} of its standard deviations"
    return f"{percent(node.gain)} over its parent ({nats(node.gain)} nats): {apart}{spread}"


def _scored(story: Story) -> Iterator[str]:
    """The claim beside all claims of the run, and beside one who always claims the same."""
    scores = story.predictions
    if story.crps is None or scores is None or scores.crps is None or scores.constant_crps is None:
        return
    of_all = f"all {scores.claims} of the run have {scores.crps:.3f}, always claiming the mean of what came {scores.constant_crps:.3f}"
    yield f"scored    the claim's CRPS is {story.crps:.3f} nats, smaller is better; {of_all}"


def _why(story: Story) -> Iterator[str]:
    if not story.decisions:
        yield "the root is where a search starts" if story.node.parent is None else "it was opened but no attempt was asked for yet"
    for decision in story.decisions:
        yield from _decision(story, decision)


def _decision(story: Story, decision: Decision) -> Iterator[str]:
    ticket = decision.ticket
    what = f"attempt {ticket.attempt} ({ticket.mode})" if ticket.kind == "write" else "new ideas below it"
    yield f"{what}: ticket {ticket.ticket}, after {decision.evaluations} evaluations, {seconds(ticket.issued_s)} into the search"
    yield f"  {inert(ticket.why)}"
    yield from _indented(_believed(decision))
    if decision.pinned is not None:
        yield f"  node {decision.pinned} was pinned: the way down began there"
    if not decision.choices:
        if story.policy not in _VALUES and story.node.parent is not None:
            yield f"  policy {inert(story.policy)}: it compares no scores"
        return
    if not decision.agrees:
        yield "  the policy of this version would have gone another way: an earlier one searched, and its own word is the line above"
        return
    for choice in decision.choices:
        yield f"  {_chosen(choice, story.policy)}"
    if ticket.kind == "write":
        yield from _indented(_scores(_telling(decision), story.policy))


_VALUES = {"puct": "promise", "puct-mean": "value"}
"""What the policies that compare scores call their first term."""


def _telling(decision: Decision) -> Choice:
    """The last choice with more than one option, else the last."""
    return next((choice for choice in reversed(decision.choices) if len(choice.options) > 1), decision.choices[-1])


def _believed(decision: Decision) -> Iterator[str]:
    belief = decision.belief
    if belief is None:
        return
    known = f"tried {belief.tries} times before, {belief.measured} measured" if belief.tries else "not tried before"
    expected = f": {nats(belief.gain_mean)} nats expected, {belief.p_success:.0%} to pass" if belief.tries else ""
    yield f"{inert(belief.technique)} was {known}{expected}; claims were believed at {decision.honesty:.2f} of their size"


def _chosen(choice: Choice, policy: str) -> str:
    options = choice.options
    mine = next((option for option in options if option.chosen), None)
    if mine is None:
        return f"at #{choice.at} it went to #{choice.chosen}, which stood in no line of the policy's"
    place, score = f"at #{choice.at} it {_did(choice, mine)}", _sum(mine, policy)
    if len(options) == 1:
        return f"{place}, the only thing to do"
    ahead = [option for option in options if option.rank < mine.rank]
    if not ahead:
        following = options[1] if options[0].chosen else options[0]
        return f"{place}, the best of {len(options)} options: {score}; next {_named(following)} with {following.total:.3f}"
    barred = "took no attempt then" if not any(option.legal for option in ahead) else "were passed over"
    return f"{place}, rank {mine.rank} of {len(options)} options: {score}; the {len(ahead)} before it {barred}"


def _did(choice: Choice, mine: OptionScore) -> str:
    match mine.move:
        case "arm":
            return f"went to #{mine.node}{', opened just then from its queue' if choice.opened_for_it else ''}"
        case "open":
            return f"opened #{choice.chosen} from its queue"
        case "write":
            return "was given another attempt"
        case "ask":
            return "was asked for new ideas"


def _named(option: OptionScore) -> str:
    match option.move:
        case "arm":
            return f"#{option.node}"
        case "open":
            return f"to open {clipped(inert(option.key), 60)}"
        case "write":
            return "another attempt"
        case "ask":
            return "to ask for ideas"


def _sum(option: OptionScore, policy: str) -> str:
    return f"score {option.total:.3f} = {_VALUES[policy]} {option.value:.3f} + exploration {option.exploration:.3f}"


def _scores(choice: Choice, policy: str) -> Iterator[str]:
    options = choice.options
    shown = [option for number, option in enumerate(options) if option.chosen or number < ARMS_SHOWN]
    yield f"weighed at #{choice.at}"
    rows = [_score_row(option) for option in shown]
    yield from table(("", "option", "rank", "score", _VALUES[policy], "exploration", "prior", "N", "O", "K", "legal"), rows, left=2)
    if len(options) > len(shown):
        yield f"and {len(options) - len(shown)} more options with lower scores"
    if policy == "puct":
        yield "promise: expected improvement on the incumbent, relative to that of the best option"


def _score_row(option: OptionScore) -> tuple[str, ...]:
    arm = f"{_named(option)} {clipped(inert(option.key), 60)}" if option.move == "arm" else _named(option)
    visits = ("" if count is None else str(count) for count in (option.N, option.O, option.K))
    return (
        ">" if option.chosen else "", arm, str(option.rank), f"{option.total:.3f}", f"{option.value:.3f}", f"{option.exploration:.3f}",
        f"{option.prior:.2f}", *visits, "yes" if option.legal else "no",
    )  # fmt: skip


def _what(story: Story) -> Iterator[str]:
    for decision in story.decisions:
        ticket = decision.ticket
        if ticket.kind == "propose":
            count = "no answer yet" if ticket.proposals is None else f"{ticket.proposals} ideas came"
            yield f"ticket {ticket.ticket}: {count}"
        elif ticket.candidate is None:
            yield f"ticket {ticket.ticket}: {_nothing(ticket.outcome, ticket.reason)}"
    for attempt in story.attempts:
        yield from _attempt(story, attempt)
    if not story.attempts and not story.decisions:
        yield "nothing yet"
    node = story.node
    if node.children or node.queued or node.refused:
        waiting = f"{len(node.queued)} ideas waiting, {len(node.refused)} refused"
        yield f"below it: {len(node.children)} plans opened, {waiting}; best {nats(node.best)}"
    yield f"cost: {seconds(story.device_seconds)} on the device, {seconds(story.wall_seconds)} of judging"


def _nothing(outcome: str | None, reason: str | None) -> str:
    if outcome is None:
        return "still open"
    return f"{outcome}{'' if reason is None else f' ({inert(reason)})'}, no code was written"


def _attempt(story: Story, attempt: Attempt) -> Iterator[str]:
    candidate = attempt.candidate
    twin = "" if candidate.twin is None else f"; the same code as candidate {candidate.twin}, whose verdicts stand for it"
    yield f"candidate {candidate.id} {named(candidate.name)} ({named(candidate.language)}, {inert(candidate.origin)}){twin}"
    if attempt.missing is not None:
        yield f"  its sources can't be shown: {attempt.missing}"
    if attempt.diff is not None:
        diff = attempt.diff
        where = ", ".join(map(inert, diff.files)) if diff.files else "no file"
        yield f"  diff: +{diff.added} -{diff.removed} lines in {where}, against candidate {diff.against}"
    if candidate.latency_us is not None and candidate.baseline_us is not None:
        ratio = f"{candidate.baseline_us / candidate.latency_us:.2f}x over the baseline's {us(candidate.baseline_us)} us"
        timer = "" if story.timer is None else f", timer {inert(story.timer)}"
        yield f"  {us(candidate.latency_us)} us, {ratio} ({candidate.standing}{timer})"
    if candidate.forecast is not None:
        said = candidate.forecast
        measured = "" if candidate.reward is None else f"; measured {nats(candidate.reward)}"
        retired = f"; {inert(said.retired)}, so not measured" if said.retired else ""
        expected = f"{said.p_passes:.0%} to pass, reward {nats(said.reward)} give or take {said.sigma:.3f}"
        yield f"  forecast ({inert(said.forecaster)}): {expected}{measured}{retired}{', an audit' if said.audit else ''}"
    if not attempt.evaluations:
        yield "  not judged yet" if candidate.outcome is None else f"  {candidate.outcome}"
    for evaluation in attempt.evaluations:
        yield from _indented(_evaluation(evaluation))


def _evaluation(evaluation: EvaluationDetail) -> Iterator[str]:
    if evaluation.missing is not None:
        yield f"{evaluation.kind}: the verdict can't be shown: {evaluation.missing}"
        return
    yield f"{evaluation.kind}: {'passed' if evaluation.evidence is None else 'failed'}"
    for regime in evaluation.regimes:
        baseline = "" if regime.baseline_us is None else f", baseline {us(regime.baseline_us)} us"
        floor = "" if regime.floor_us is None else f", floor {us(regime.floor_us)} us"
        latency = "-" if regime.latency_us is None else f"{us(regime.latency_us)} us"
        yield f"  {inert(regime.regime)} ({regime.workloads} workloads): {latency}{baseline}{floor}"
    if evaluation.paired is not None:
        paired = evaluation.paired
        interval = f"95 % interval {nats(paired.low)} to {nats(paired.high)}, {paired.blocks} blocks"
        yield f"  against the incumbent of then: {nats(paired.mean)} nats, {interval}"
    if evaluation.evidence is not None:
        yield from _indented(_evidence(evaluation.evidence))


def _evidence(evidence: FailureEvidence) -> Iterator[str]:
    yield from inert_lines(evidence.message)
    if evidence.workload is not None:
        yield f"workload {inert(evidence.workload)}{'' if evidence.element is None else f', {inert(evidence.element)}'}"
    log = inert_lines(evidence.log.rstrip()) if evidence.log.strip() else []
    if len(log) > LOG_LINES:
        yield f"last {LOG_LINES} of {len(log)} lines of its log:"
    yield from (f"| {line}" for line in log[-LOG_LINES:])
    if evidence.reproduce is not None:
        yield f"see it again: {inert(evidence.reproduce)}"
