"""What this machine offers a search: facts gathered by probes (`examine`), and what will work with them (`Report.outlook`)."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from pathlib import Path

from ksearch.doctor import accelerator, access, isolation, machine, software, storage
from ksearch.doctor.checks import Check, Status, run_all
from ksearch.doctor.outlook import Ability, Outlook, outlook

__all__ = ["Ability", "Check", "Outlook", "Report", "Status", "examine"]


@dataclass(frozen=True, slots=True)
class Report:
    checks: tuple[Check, ...]
    outlook: Outlook

    def as_json(self) -> dict[str, object]:
        """For scripts: `checks` is a list of {name, status, value, advice}; `summary` has cpu_search, cuda_search, language_model and modal,
        each {works, reason}, and the sentence and exit_code."""
        summary = {**asdict(self.outlook), "sentence": self.outlook.sentence, "exit_code": self.outlook.exit_code}
        return {"checks": [asdict(check) for check in self.checks], "summary": summary}


def examine(dataset: Path | None = None, runs_dir: Path | None = None) -> Report:
    """Ask this machine everything; takes as long as its slowest probe, as a rule importing torch.

    `dataset`: a FlashInfer-Trace folder to read whole. `runs_dir`: where runs would go (else KSEARCH_RUNS, else ./runs).
    Leaves nothing behind and raises nothing: what goes wrong is a check with status error.
    """
    probes = (*software.PROBES, *accelerator.PROBES, *machine.PROBES, *isolation.PROBES, *access.PROBES, *storage.probes(dataset, runs_dir))
    checks = run_all(probes)
    return Report(checks, outlook(checks))
