"""What this machine offers a search: facts gathered by probes (`examine`), and what will work with them (`Report.outlook`)."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from pathlib import Path

from ksearch.doctor import accelerator, access, isolation, machine, software, storage
from ksearch.doctor.checks import Check, Probe, Status, run_all
from ksearch.doctor.outlook import Ability, Outlook, outlook

__all__ = ["Ability", "Check", "Outlook", "Report", "Status", "examine", "probes"]


@dataclass(frozen=True, slots=True)
class Report:
    checks: tuple[Check, ...]
    outlook: Outlook

    def as_json(self) -> dict[str, object]:
        """For scripts: `checks`, a list of {name, status, value, advice}, and `summary`: cpu_search, cuda_search, language_model and modal
        (each {works, reason}), sentence and exit_code."""
        summary = {**asdict(self.outlook), "sentence": self.outlook.sentence, "exit_code": self.outlook.exit_code}
        return {"checks": [asdict(check) for check in self.checks], "summary": summary}


def probes(dataset: Path | None = None, runs_dir: Path | None = None) -> tuple[Probe, ...]:
    """What `examine` asks, in the order of its checks."""
    fixed = (*software.PROBES, *accelerator.PROBES, *machine.PROBES, *isolation.PROBES, *access.PROBES)
    return (*fixed, *storage.probes(dataset, runs_dir))


def examine(dataset: Path | None = None, runs_dir: Path | None = None) -> Report:
    """Ask this machine everything; takes as long as its slowest probe, as a rule importing torch.

    `dataset`: a FlashInfer-Trace folder to read whole. `runs_dir`: where runs would go (else KSEARCH_RUNS, else ./runs).
    Leaves nothing behind and raises nothing: what goes wrong is a check with status error.
    """
    checks = run_all(probes(dataset, runs_dir))
    return Report(checks, outlook(checks))
