"""`python -m ksearch.judge.sandbox.confine PLAN PARENT -- COMMAND...`: run a command (a compiler) behind the wall.

PLAN is a WallPlan as JSON, PARENT the process that it must not outlive: told, since one that is gone by the time this program has
started can't be asked for any more. The command's children die with it: where a pid namespace is to be had they live in it, and its
end is theirs. Exit 125 when the wall can't be raised, else the command's own status.
"""

from __future__ import annotations

import os
import signal
import sys

from ksearch.judge.process import die_with_parent
from ksearch.judge.sandbox import namespaces
from ksearch.judge.sandbox.wall import WallPlan, WallRefused, raise_wall

REFUSED = 125


def main(arguments: list[str]) -> int:
    parent, command = int(arguments[1]), arguments[3:]
    die_with_parent(parent)
    plan = WallPlan.model_validate_json(arguments[0])
    os.chdir(plan.scratch)
    entered = () if "namespaces" in plan.without else namespaces.enter()
    die_with_parent(parent)  # again: the signal is lost on the way into namespaces
    child = os.fork()
    if child == 0:
        _run(plan, entered, command)
    status = os.waitpid(child, 0)[1]
    return os.waitstatus_to_exitcode(status) if os.WIFEXITED(status) else 128 + os.WTERMSIG(status)


def _run(plan: WallPlan, entered: tuple[str, ...], command: list[str]) -> None:
    die_with_parent()
    os.setsid()
    try:
        layers = raise_wall(plan, entered)
    except (WallRefused, OSError) as error:
        os.write(2, f"{error}\n".encode())
        os._exit(REFUSED)
    signal.signal(signal.SIGPIPE, signal.SIG_DFL)
    if plan.unsafe:
        os.write(2, f"unsafe: {', '.join(layers)}\n".encode())
    try:
        os.execvp(command[0], command)  # noqa: S606 - no shell: the command is a list
    except OSError as error:
        os.write(2, f"{command[0]}: {error}\n".encode())
        os._exit(127)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
