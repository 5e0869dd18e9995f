"""The app that Modal runs: a pinned image with this ksearch in it, a volume of datasets, one function on one kind of GPU."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass
from importlib import resources, util
from pathlib import Path
from typing import TYPE_CHECKING

from ksearch.errors import BadInput
from ksearch.evaluators.modal.container import IDLE_VARIABLE, judge_line
from ksearch.evaluators.modal.rental import CORES, MEMORY_GIB
from ksearch.evaluators.modal.service import FUNCTION, VOLUME, WHOLE, CallLost, app_name

if TYPE_CHECKING:
    import modal

CUDA_IMAGE = "nvidia/cuda:13.0.1-devel-ubuntu24.04"
"""With nvcc, and of the CUDA version that the pinned torch is built for."""
PYTHON = "3.12"
DATASETS = "/datasets"
CODE = "/root/ksearch"
"""Modal's own folder of importable code is /root."""
CALL_LIMIT_S = 3600
"""Longest that one call may run; the judge's own limits end it much earlier."""
LINKED = ("tree", "worldmodel", "surrogates", "configs")
"""Parts of the package whose folders lie elsewhere in a checkout."""
LEFT_OUT = ("**/__pycache__", "**/*.pyc", "**/.*")


@dataclass(frozen=True)
class Deployment:
    """`least` containers are kept running, and paid for, all the time; others end `idle_s` seconds after their last job."""

    gpu: str
    least: int = 0
    most: int = 4
    idle_s: int = 120


def pins() -> tuple[str, ...]:
    """Exact versions of what the judge needs in the container: those of constraints.txt, with CUPTI for the timer."""
    return tuple((resources.files(__package__) / "pins.txt").read_text("utf-8").split())


def image() -> modal.Image:
    import modal

    built = (
        modal.Image.from_registry(CUDA_IMAGE, add_python=PYTHON)
        .apt_install("build-essential")
        .pip_install(*pins())
        .env({"CUDA_HOME": "/usr/local/cuda"})
    )
    for local, remote in sorted(code_folders().items()):
        built = built.add_local_dir(local, remote, ignore=list(LEFT_OUT))
    return built


def code_folders() -> dict[str, str]:
    """Folders of the installed package and where they go: each part from where it really lies, since links are not followed."""
    folders = {str(_folder_of("ksearch")): CODE}
    for name in LINKED:
        folder = _folder_of(f"ksearch.{name}")
        if folder != _folder_of("ksearch") / name:
            folders[str(folder)] = f"{CODE}/{name}"
    return folders


def _folder_of(package: str) -> Path:
    spec = util.find_spec(package)
    if spec is None or not spec.submodule_search_locations:
        raise BadInput(f"package {package} has no folder of its own to copy: install ksearch as files, not from an archive")
    return Path(next(iter(spec.submodule_search_locations))).resolve()


def build(deployment: Deployment) -> tuple[modal.App, modal.Function]:
    """The app and its one function, as objects: nothing is sent."""
    import modal

    app = modal.App(app_name(deployment.gpu), include_source=False)
    volume = modal.Volume.from_name(VOLUME, create_if_missing=True)
    function = app.function(
        name=FUNCTION,
        image=image(),
        gpu=deployment.gpu,
        cpu=CORES,
        memory=MEMORY_GIB * 1024,
        volumes={DATASETS: volume.read_only()},
        env={IDLE_VARIABLE: str(deployment.idle_s)},
        min_containers=deployment.least,
        max_containers=deployment.most,
        scaledown_window=deployment.idle_s,
        timeout=CALL_LIMIT_S,
        restrict_modal_access=True,  # what a candidate that broke out of its wall would find: nothing of the account
        include_source=False,  # the package is in the image already, with its data files
    )(judge_line)
    return app, function


def deploy(deployment: Deployment) -> None:
    """Build the image where it is new and make the function callable. Prints Modal's own progress. Raises CallLost."""
    import modal

    app, _ = build(deployment)
    try:
        with modal.enable_output():
            app.deploy()
    except modal.exception.Error as error:
        raise CallLost(f"{type(error).__name__}: {' '.join(str(error).split())}") from error


def recorded_files(root: Path) -> Iterator[Path]:
    """The files of a dataset that jobs read: recorded tensors. All else of a job is in the job itself."""
    return (path for path in sorted(root.rglob("*.safetensors")) if path.is_file())


def dataset_name(root: Path) -> str | None:
    """A dataset's name on the volume, by the names and sizes of its recorded files; None when it has none.

    Not by their content: datasets have many gigabytes, and are read only where they are measured.
    """
    listing = [f"{path.relative_to(root).as_posix()} {path.stat().st_size}" for path in recorded_files(root)]
    return hashlib.sha256("\n".join(listing).encode()).hexdigest()[:24] if listing else None


def upload(root: Path) -> str:
    """A dataset's recorded files to the volume, unless they are there. Raises BadInput without any, and CallLost."""
    import modal

    from ksearch.evaluators.modal.service import whole_datasets

    name = dataset_name(root)
    if name is None:
        raise BadInput(f"--dataset {root}: holds no recorded tensors (*.safetensors); runs on it need no upload")
    if name in whole_datasets():
        return name
    volume = modal.Volume.from_name(VOLUME, create_if_missing=True)
    try:
        with volume.batch_upload(force=True) as batch:
            for path in recorded_files(root):
                batch.put_file(path, f"/{name}/{path.relative_to(root).as_posix()}")
        _mark_whole(volume, name)
    except modal.exception.Error as error:
        raise CallLost(f"{type(error).__name__}: {' '.join(str(error).split())}") from error
    return name


def _mark_whole(volume: modal.Volume, name: str) -> None:
    """In a batch of its own: it must not arrive before the files."""
    import io

    with volume.batch_upload(force=True) as batch:
        batch.put_file(io.BytesIO(b"\n"), f"/{name}{WHOLE}")
