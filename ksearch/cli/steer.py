"""`ksearch pin`, `ban`, `budget`, `stop` and `requests`: steering a search from outside, while it goes or before it is resumed."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from ksearch.cli.options import Json, RunName, RunsDir

if TYPE_CHECKING:
    from pathlib import Path

    from ksearch.asking import RequestStatus
    from ksearch.store.requests import Request

Node = Annotated[int, typer.Argument(metavar="NODE", help="A node's number, as `ksearch tree` prints it.")]
Idea = Annotated[str, typer.Argument(metavar="IDEA", help="A technique, or one action by its key: technique|target|parameter (in quotes).")]
Wait = Annotated[float, typer.Option("--wait", min=0.0, help="Seconds to wait for the search's answer (0: leave it there and go).")]


def register(app: typer.Typer) -> None:
    app.command("pin", help="Search at and below a node first.")(pin_command)
    app.command("unpin", help="Take a pin back.")(unpin_command)
    app.command("ban", help="Propose and try no more of a technique or an action. What was measured with it stands.")(ban_command)
    app.command("unban", help="Take a ban back; what it removed is offered again.")(unban_command)
    app.command("budget", help="Change a run's limits while it goes.")(budget_command)
    app.command("stop", help="End a running search cleanly, as Ctrl-C does.")(stop_command)
    app.command("requests", help="List what was asked of a run, and the answers.")(requests_command)


def pin_command(run: RunName, node: Node, wait: Wait = 10.0, runs_dir: RunsDir = None, json: Json = False) -> None:
    from ksearch.store.requests import Pin

    _ask(run, Pin(node=_positive(node)), runs_dir, wait, json)


def unpin_command(run: RunName, node: Node, wait: Wait = 10.0, runs_dir: RunsDir = None, json: Json = False) -> None:
    from ksearch.store.requests import Unpin

    _ask(run, Unpin(node=_positive(node)), runs_dir, wait, json)


def ban_command(run: RunName, idea: Idea, wait: Wait = 10.0, runs_dir: RunsDir = None, json: Json = False) -> None:
    _ask(run, _validated({"kind": "ban", "idea": idea}), runs_dir, wait, json)


def unban_command(run: RunName, idea: Idea, wait: Wait = 10.0, runs_dir: RunsDir = None, json: Json = False) -> None:
    _ask(run, _validated({"kind": "unban", "idea": idea}), runs_dir, wait, json)


def budget_command(
    run: RunName,
    assignments: Annotated[list[str], typer.Option("--set", help="LIMIT=value, such as max_evaluations=80; null lifts one.")],
    wait: Wait = 10.0,
    runs_dir: RunsDir = None,
    json: Json = False,
) -> None:
    from ksearch.settings import merge, parse_assignment

    limits = merge(parse_assignment(text.removeprefix("budget.")) for text in assignments)
    _ask(run, _validated({"kind": "budget", "limits": limits}), runs_dir, wait, json)


def stop_command(run: RunName, wait: Wait = 10.0, runs_dir: RunsDir = None, json: Json = False) -> None:
    from ksearch.store.requests import Stop

    _ask(run, Stop(), runs_dir, wait, json)


def requests_command(run: RunName, runs_dir: RunsDir = None, json: Json = False) -> None:
    from json import dumps

    from ksearch.asking import requests_of

    found = requests_of(run, runs_dir)
    if json:
        typer.echo(dumps({"requests": [status.model_dump(mode="json") for status in found]}))
        return
    if not found:
        typer.echo("nothing was asked of this run")
    for status in found:
        typer.echo(f"{status.number:>4}  {_line(status)}  ({status.origin})")


def _positive(node: int) -> int:
    from ksearch.errors import BadInput

    if node < 0:
        raise BadInput(f"there is no node {node}; `ksearch tree` lists them")
    return node


def _validated(fields: dict[str, object]) -> Request:
    from pydantic import ValidationError

    from ksearch.errors import BadInput
    from ksearch.store.requests import REQUEST

    try:
        return REQUEST.validate_python(fields)
    except ValidationError as error:
        first = error.errors()[0]
        raise BadInput(f"{fields['kind']}: {first['msg']} (got {first['input']!r})") from error


def _ask(run: str, request: Request, runs_dir: Path | None, wait: float, json: bool) -> None:
    from ksearch.asking import ask

    status = ask(run, request, runs_dir, wait_s=wait)
    typer.echo(status.model_dump_json() if json else _line(status))
    if status.note is not None:
        typer.echo(f"note: {status.note}", err=True)
    if status.outcome == "refused":
        raise typer.Exit(2)


def _line(status: RequestStatus) -> str:
    if status.outcome == "waiting":
        return f"{status.request}: waits for the search in {status.run} (`ksearch resume {status.run}` if none goes)"
    return f"{status.request}: {status.outcome}" + ("" if status.reason is None else f": {status.reason}")
