"""Plans worth trying of a catalogue: a greedy path, random walks, and a few that use every technique between them."""

from __future__ import annotations

import random

from ksearch.tree.types import Plan
from ksearch.worldmodel.catalogue import Catalogue


def greedy(catalogue: Catalogue) -> Plan:
    """Always the step with the highest claim, while one claims anything."""
    plan: Plan = ()
    while legal := [technique for technique in catalogue.legal(plan) if technique.gain_mean > 0]:
        plan = (*plan, max(legal, key=lambda technique: technique.gain_mean * technique.p_success).action())
    return plan


def walk(catalogue: Catalogue, rng: random.Random, longest: int = 14) -> Plan:
    plan: Plan = ()
    for _ in range(rng.randint(2, longest)):
        if not (legal := catalogue.legal(plan)):
            break
        plan = (*plan, rng.choice(legal).action())
    return plan


def covering(catalogue: Catalogue, seed: int = 0, walks: int = 2000) -> tuple[Plan, ...]:
    """Random walks, the root first, that use every technique. Raises ValueError when `walks` of them don't reach one."""
    rng = random.Random(seed)
    pool = [walk(catalogue, rng, longest=24) for _ in range(walks)]
    missing = {technique.key for technique in catalogue.techniques}
    chosen: list[Plan] = [()]
    while missing:
        best = max(pool, key=lambda plan: len(missing & {action.key for action in plan}))
        if not (new := missing & {action.key for action in best}):
            raise ValueError(f"{catalogue.name}: {sorted(missing)} were not reached by {walks} walks")
        missing -= new
        chosen.append(best)
    return tuple(chosen)
