"""Keys and tokens: whether each is there. No value is ever read into a check."""

from __future__ import annotations

import os
from pathlib import Path

from ksearch.doctor.checks import Check, Probe, Status

KEYS = ("ANTHROPIC_API_KEY", "OPENAI_API_KEY")
MODAL = "modal token"


def key(name: str) -> list[Check]:
    if not os.environ.get(name, "").strip():
        return [Check(name, Status.MISSING, "not set", "set it to have that provider's models plan and write; the playbook needs none")]
    return [Check(name, Status.OK, "set")]


def modal_token() -> list[Check]:
    """In the environment, which wins, or in Modal's own file (MODAL_CONFIG_PATH, else ~/.modal.toml)."""
    given = [name for name in ("MODAL_TOKEN_ID", "MODAL_TOKEN_SECRET") if os.environ.get(name, "").strip()]
    if len(given) == 2:
        return [Check(MODAL, Status.OK, "present, in the environment")]
    if given:
        advice = "set MODAL_TOKEN_ID and MODAL_TOKEN_SECRET, or neither"
        return [Check(MODAL, Status.ERROR, f"{given[0]} is set without its other half", advice)]
    path = Path(os.environ.get("MODAL_CONFIG_PATH") or "~/.modal.toml").expanduser()
    if path.is_file():
        return [Check(MODAL, Status.OK, f"present, in {path.name}")]
    return [Check(MODAL, Status.MISSING, "not present", "modal token new, to evaluate on Modal's GPUs")]


def _key_probe(name: str) -> Probe:
    return Probe((name,), lambda: key(name))


PROBES = (*(_key_probe(name) for name in KEYS), Probe((MODAL,), modal_token))
