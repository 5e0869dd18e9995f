"""The small part of Modal that is used to have jobs judged, and what its errors mean here."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from ksearch.errors import Unavailable

FUNCTION = "judge"
VOLUME = "ksearch-datasets"
TOKEN_HELP = "`modal token new` makes one; or set MODAL_TOKEN_ID and MODAL_TOKEN_SECRET"  # noqa: S105 - says how to get one


class CallLost(Exception):
    """Modal lost a call, or can't be reached: the machine's fault, never a kernel's."""


class RemoteCall(Protocol):
    """As `modal.FunctionCall`."""

    @property
    def object_id(self) -> str: ...

    def get(self, timeout: float | None = None) -> str:
        """Raises TimeoutError while there is no answer yet."""
        ...

    def cancel(self) -> None: ...


class RemoteFunction(Protocol):
    """As a deployed `modal.Function`."""

    def spawn(self, line: str, /) -> RemoteCall: ...


@dataclass(frozen=True)
class DeployedJudge:
    """The judge deployed for one kind of GPU. Handles are Modal's names of calls, good for a week and in any process."""

    function: RemoteFunction
    join: Callable[[str], RemoteCall]

    def begin(self, line: str) -> str:
        """Hand a line over; the call's handle. Raises CallLost."""
        try:
            return str(self.function.spawn(line).object_id)
        except Exception as error:
            raise CallLost(_reason(error)) from error

    def result(self, handle: str, wait_s: float) -> str | None:
        """The answer, None when there is none yet after `wait_s`. Raises CallLost."""
        try:
            answer = self.join(handle).get(timeout=wait_s)
        except TimeoutError:
            return None
        except Exception as error:
            raise CallLost(_reason(error)) from error
        if not isinstance(answer, str):
            raise CallLost(f"answered with {type(answer).__name__}, not with a line of text")
        return answer

    def cancel(self, handle: str) -> None:
        """Best effort: a call that can't be cancelled ends by the function's own time limit."""
        try:
            self.join(handle).cancel()
        except Exception:  # noqa: BLE001 - nothing waits for it any more
            return


def _reason(error: Exception) -> str:
    text = " ".join(str(error).split())
    return f"{type(error).__name__}: {text}" if text else type(error).__name__


def app_name(gpu: str) -> str:
    """One app for each kind of GPU, so that deploying for another leaves the first as it is."""
    return "ksearch-" + gpu.lower().replace("!", "")


def require_token() -> None:
    """Raises Unavailable when there is no token to try, before anything is written or built."""
    from ksearch.doctor.access import modal_token

    (check,) = modal_token()
    if not check.usable:
        raise Unavailable(f"--evaluator modal: Modal token {check.value}; {TOKEN_HELP}")


def deployed(gpu: str) -> DeployedJudge:
    """The deployed judge; nothing is asked of Modal yet. Raises Unavailable without a token."""
    require_token()
    import modal

    return DeployedJudge(modal.Function.from_name(app_name(gpu), FUNCTION), modal.FunctionCall.from_id)


WHOLE = ".whole"
"""A file of a dataset's name with this ending is written last: a dataset without it is still on its way, or its upload broke off."""


def whole_datasets() -> frozenset[str]:
    """Names of the datasets that were uploaded to the end. Raises CallLost."""
    import modal

    try:
        entries = modal.Volume.from_name(VOLUME, create_if_missing=True).listdir("/")
    except Exception as error:
        raise CallLost(_reason(error)) from error
    return frozenset(Path(entry.path).name.removesuffix(WHOLE) for entry in entries if entry.path.endswith(WHOLE))
