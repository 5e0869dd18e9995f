"""What `ksearch modal` does."""

from __future__ import annotations

from pathlib import Path

from ksearch.definitions.schema import Frozen
from ksearch.doctor.access import modal_token
from ksearch.errors import BadInput, Unavailable
from ksearch.evaluators.modal.rental import gpu_named, price_text
from ksearch.evaluators.modal.service import FUNCTION, TOKEN_HELP, CallLost, app_name, require_token, whole_datasets


class Status(Frozen):
    """`waiting` jobs and running `containers` are None when the judge is not deployed or can't be asked; `problem` says why."""

    gpu: str
    app: str
    token: str
    price: str
    waiting: int | None = None
    containers: int | None = None
    datasets: tuple[str, ...] = ()
    problem: str | None = None

    @property
    def usable(self) -> bool:
        return self.problem is None

    @property
    def text(self) -> str:
        running = "-" if self.containers is None else f"{self.containers} containers, {self.waiting} jobs waiting"
        rows = {"gpu": f"{self.gpu}, {self.price}", "token": self.token, "app": self.app, "running": running}
        rows |= {"datasets": ", ".join(self.datasets) or "-", "problem": self.problem or "-"}
        return "\n".join(f"{name:<10}{value}" for name, value in rows.items())


def deploy(gpu: str, least: int, most: int, idle_s: int, dataset: Path | None) -> str:
    """Raises BadInput, or Unavailable when Modal refuses or can't be reached."""
    from ksearch.evaluators.modal import app

    name = gpu_named(gpu)
    if least > most:
        raise BadInput(f"--min-containers {least}: more than --max-containers {most}")
    if dataset is not None and not dataset.is_dir():
        raise BadInput(f"--dataset {dataset}: no such folder")
    require_token()
    try:
        uploaded = None if dataset is None else app.upload(dataset)
        app.deploy(app.Deployment(name, least, most, idle_s))
    except CallLost as error:
        raise Unavailable(f"ksearch modal deploy: {error}") from error
    kept = f"; {least} kept running all the time" if least else ""
    data = "" if uploaded is None else f"; dataset {uploaded} is on the volume"
    return f"deployed {app_name(name)}: {price_text(name, None)}{kept}{data}. Use it with --evaluator modal:{name.rstrip('!')}"


def status(gpu: str) -> Status:
    """Asks nothing of a GPU: no container is started. Raises BadInput for a GPU that is none."""
    name = gpu_named(gpu)
    (token,) = modal_token()
    found = Status(gpu=name, app=app_name(name), token=token.value, price=price_text(name, None))
    if not token.usable:
        return found.model_copy(update={"problem": f"no token: {TOKEN_HELP}"})
    import modal

    try:
        now = modal.Function.from_name(app_name(name), FUNCTION).get_current_stats()
        datasets = tuple(sorted(whole_datasets()))
    except modal.exception.NotFoundError:
        return found.model_copy(update={"problem": f"not deployed: `ksearch modal deploy --gpu {name.rstrip('!')}`"})
    except (modal.exception.Error, CallLost, OSError) as error:
        return found.model_copy(update={"problem": " ".join(f"{type(error).__name__}: {error}".split())})
    return found.model_copy(update={"waiting": now.backlog, "containers": now.num_total_runners, "datasets": datasets})
