"""The tree's changes as events, and back. The tree's own types know nothing of JSON."""

from __future__ import annotations

from dataclasses import asdict

from ksearch.store.events import (
    ArmOpenedEvent,
    BoundsKnown,
    EditRecord,
    IdeaBanned,
    IdeaUnbanned,
    KnowledgeRecalled,
    NodePinned,
    NodeUnpinned,
    RecalledLesson,
    RecalledTechnique,
    TicketIssued,
    TicketSettled,
)
from ksearch.tree.types import (
    ArmOpened,
    Banned,
    Cancelled,
    Change,
    Failed,
    Foreseen,
    Issued,
    Measured,
    NodeId,
    Outcome,
    Pinned,
    Plan,
    Propose,
    Proposed,
    Refuted,
    Settled,
    Skipped,
    Ticket,
    TicketId,
    Unbanned,
    Unpinned,
    Write,
    WriteMode,
)
from ksearch.worldmodel.document import Edit, Insert, Kind, Merge, OperatorFacts, Prune, RegimeFact, Split, Update
from ksearch.worldmodel.memory import Class, Knowledge, KnownLesson, KnownTechnique, Tally

_UNMEASURED: dict[str, type[Failed] | type[Skipped] | type[Cancelled]] = {"failed": Failed, "skipped": Skipped, "cancelled": Cancelled}

Wish = NodePinned | NodeUnpinned | IdeaBanned | IdeaUnbanned
TreeEvent = ArmOpenedEvent | TicketIssued | TicketSettled | Wish


def to_event(change: Change, gpu_seconds: float = 0.0, evaluations: int = 1, usd: float = 0.0) -> TreeEvent:
    """`gpu_seconds`, `evaluations` and `usd` are what a Write ticket reserves of the budget."""
    match change:
        case ArmOpened(node, parent, action):
            return ArmOpenedEvent(node=node, parent=parent, action=action)
        case Issued(ticket, why):
            return _issued_to_event(ticket, why, gpu_seconds, evaluations, usd)
        case Settled(ticket_id, outcome):
            return _settled_to_event(ticket_id, outcome)
        case Pinned(node):
            return NodePinned(node=node)
        case Unpinned(node):
            return NodeUnpinned(node=node)
        case Banned(idea):
            return IdeaBanned(idea=idea)
        case Unbanned(idea):
            return IdeaUnbanned(idea=idea)
        case Foreseen() | Refuted():
            raise TypeError("logged as forecast_made and plan_refuted, which the tree's changes follow from")


def _issued_to_event(ticket: Ticket, why: str, gpu_seconds: float, evaluations: int, usd: float) -> TicketIssued:
    if isinstance(ticket, Propose):
        return TicketIssued(
            ticket=ticket.ticket, node=ticket.node, kind="propose", mode=None, attempt=None,
            failed_stage=None, count=ticket.count, gpu_seconds=0.0, why=why,
        )  # fmt: skip
    return TicketIssued(
        ticket=ticket.ticket, node=ticket.node, kind="write", mode=ticket.mode, attempt=ticket.attempt,
        failed_stage=ticket.failed_stage, count=None, gpu_seconds=gpu_seconds, why=why, evaluations=evaluations, usd=usd,
    )  # fmt: skip


def _settled_to_event(ticket: TicketId, outcome: Outcome) -> TicketSettled:
    match outcome:
        case Measured(reward):
            return TicketSettled(ticket=ticket, outcome="measured", reward=reward)
        case Failed(stage):
            return TicketSettled(ticket=ticket, outcome="failed", reason=stage)
        case Skipped(reason):
            return TicketSettled(ticket=ticket, outcome="skipped", reason=reason)
        case Cancelled(reason):
            return TicketSettled(ticket=ticket, outcome="cancelled", reason=reason)
        case Proposed(actions):
            return TicketSettled(ticket=ticket, outcome="proposed", actions=actions)


def to_change(event: TreeEvent, plan: Plan) -> Change:
    """`plan` is the plan at the event's node (needed by issued tickets only; the log stores the node alone)."""
    match event:
        case ArmOpenedEvent():
            return ArmOpened(NodeId(event.node), NodeId(event.parent), event.action)
        case TicketIssued(kind="write"):
            if event.mode is None or event.attempt is None:
                raise ValueError(f"write ticket {event.ticket} without mode or attempt")
            write = Write(TicketId(event.ticket), NodeId(event.node), plan, WriteMode(event.mode), event.attempt, event.failed_stage)
            return Issued(write, event.why)
        case TicketIssued():
            if event.count is None:
                raise ValueError(f"propose ticket {event.ticket} without count")
            return Issued(Propose(TicketId(event.ticket), NodeId(event.node), plan, event.count), event.why)
        case TicketSettled():
            return Settled(TicketId(event.ticket), _outcome(event))
        case _:
            return _wish(event)


def _wish(event: Wish) -> Change:
    match event:
        case NodePinned():
            return Pinned(NodeId(event.node))
        case NodeUnpinned():
            return Unpinned(NodeId(event.node))
        case IdeaBanned():
            return Banned(event.idea)
        case IdeaUnbanned():
            return Unbanned(event.idea)


def _outcome(event: TicketSettled) -> Outcome:
    if event.outcome == "proposed":
        return Proposed(event.actions)
    if event.outcome == "measured":
        if event.reward is None:
            raise ValueError(f"ticket {event.ticket}: measured without a reward")
        return Measured(event.reward)
    return _UNMEASURED[event.outcome](event.reason or "")


def edit_record(edit: Edit) -> EditRecord:
    match edit:
        case Insert(kind, text, refuted_by, nodes):
            return EditRecord(op="insert", kind=kind, texts=(text,), refuted_by=refuted_by, nodes=nodes)
        case Update(id, text, refuted_by, nodes):
            return EditRecord(op="update", ids=(id,), texts=(text,), refuted_by=refuted_by, nodes=nodes)
        case Split(id, first, second):
            return EditRecord(op="split", ids=(id,), texts=(first, second))
        case Merge(ids, text):
            return EditRecord(op="merge", ids=ids, texts=(text,))
        case Prune(id):
            return EditRecord(op="prune", ids=(id,))


def facts_of(event: BoundsKnown) -> OperatorFacts:
    """Bounds as the world model's document has them."""
    regimes = tuple(RegimeFact(row.regime, row.weight, row.floor_us, row.binds) for row in event.regimes)
    return OperatorFacts(event.op_class, event.floor_us, event.binds, event.source, regimes)


def to_edit(record: EditRecord) -> Edit:
    nodes = tuple(NodeId(node) for node in record.nodes)
    match record.op:
        case "insert":
            return Insert(Kind(record.kind), record.texts[0], record.refuted_by, nodes)
        case "update":
            return Update(record.ids[0], record.texts[0], record.refuted_by, nodes)
        case "split":
            return Split(record.ids[0], record.texts[0], record.texts[1])
        case "merge":
            return Merge(record.ids, record.texts[0])
        case "prune":
            return Prune(record.ids[0])


def recalled_event(base: str, known: Knowledge) -> KnowledgeRecalled:
    techniques = (RecalledTechnique(**asdict(one.tally), runs=one.runs) for one in known.techniques)
    lessons = (RecalledLesson(text=one.text, run=one.run, definition=one.definition, **asdict(one.about)) for one in known.lessons)
    return KnowledgeRecalled(base=base, techniques=tuple(techniques), lessons=tuple(lessons))


def to_knowledge(event: KnowledgeRecalled) -> Knowledge:
    techniques = (KnownTechnique(Tally(**one.model_dump(exclude={"runs"})), one.runs) for one in event.techniques)
    lessons = (
        KnownLesson(one.text, one.run, one.definition, Class(one.operator, one.hardware, one.bottleneck)) for one in event.lessons
    )
    return Knowledge(tuple(techniques), tuple(lessons))
