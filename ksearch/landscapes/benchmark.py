"""`ksearch bench policy`: from names to fields, from fields to a comparison."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from ksearch.errors import BadInput
from ksearch.landscapes.comparison import Field, Same, recorded_field, run_tasks, synthetic_field, tasks_of
from ksearch.landscapes.landscape import SUFFIX, LandscapeError, load
from ksearch.landscapes.measured_run import ground_of
from ksearch.landscapes.replay import settings_of
from ksearch.landscapes.summary import Comparison, compare, plot
from ksearch.landscapes.synthetic import HELD_OUT, TUNING
from ksearch.tree import POLICIES


def fields_of(names: Sequence[str], runs_dir: Path | None) -> list[Field]:
    """Landscape files, folders of them, synthetic families, stored runs; without names the held-out synthetic families."""
    if not names:
        return [synthetic_field(family, "held-out") for family in HELD_OUT]
    return [field for name in names for field in _fields(name, runs_dir)]


def _fields(name: str, runs_dir: Path | None) -> list[Field]:
    path = Path(name)
    if name in TUNING or name in HELD_OUT:
        return [synthetic_field(name, "held-out")]
    files = sorted(path.glob(f"*{SUFFIX}")) if path.is_dir() else [path] if name.endswith(SUFFIX) else []
    if files:
        return [_recorded(file) for file in files]
    from ksearch.session import open_state

    ground = ground_of(open_state(name, runs_dir))
    return [Field(ground.name, "held-out", Same(ground))]


def _recorded(path: Path) -> Field:
    try:
        return recorded_field(load(path), "held-out")
    except (LandscapeError, OSError) as error:
        raise BadInput(f"{path}: {error}") from error


def policies_of(text: str) -> tuple[str, ...]:
    """Comma-separated names of policies, each with settings of a run behind it. Raises BadInput for an unknown one."""
    named = tuple(part.strip() for part in text.split(",") if part.strip())
    unknown = [name for name in named if name.split("+")[0] not in POLICIES]
    if unknown or not named:
        raise BadInput(f"--policies {text}: unknown {', '.join(unknown) or 'nothing'}; choose among {', '.join(POLICIES)}")
    for name in named:
        settings_of(name)
    return named


def bench_policies(
    fields: Sequence[Field], policies: Sequence[str], seeds: int, budget: int, evaluators: int, processes: int, picture: Path | None
) -> Comparison:
    scores = run_tasks(tasks_of(fields, policies, seeds, budget, evaluators), processes)
    if picture is not None:
        plot(scores, picture)
    return compare(scores, "puct" if "puct" in policies else policies[0])
