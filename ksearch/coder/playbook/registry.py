"""Which families of templates cover a definition on a target.

A family lives in a subpackage of this one and is found there: `FAMILIES`, a tuple of `Family` objects. Nothing else
needs to know that it exists.
"""

from __future__ import annotations

import importlib
import pkgutil
from functools import cache

from ksearch.coder.playbook.generic import GenericFamily
from ksearch.coder.playbook.mechanism import Family
from ksearch.coder.playbook.union import UnionFamily
from ksearch.coder.types import Target
from ksearch.definitions.schema import Definition

PACKAGE = "ksearch.coder.playbook"


@cache
def all_families() -> tuple[Family, ...]:
    """Every family with templates, by name. Raises ValueError when two share a name or a package has none."""
    package = importlib.import_module(PACKAGE)
    found: list[Family] = []
    for module in pkgutil.iter_modules(package.__path__):
        if module.ispkg:
            found.extend(_families_of(f"{PACKAGE}.{module.name}"))
    names = [family.name for family in found]
    if len(names) != len(set(names)):
        raise ValueError(f"two template families share a name: {sorted(names)}")
    return tuple(sorted(found, key=lambda family: family.name))


def _families_of(package: str) -> tuple[Family, ...]:
    module = importlib.import_module(package)
    families: tuple[Family, ...] | None = getattr(module, "FAMILIES", None)
    if families is None:
        raise ValueError(f"{package} must set FAMILIES, the tuple of its template families")
    return families


def families_for(definition: Definition, target: Target) -> tuple[Family, ...]:
    """Families with templates for the definition, preferred language first; empty when there are none."""
    covering = [family for family in all_families() if family.covers(definition, target)]
    return tuple(sorted(covering, key=lambda family: (_root_preference(family, definition, target), family.name)))


def family_for(definition: Definition, target: Target) -> Family:
    """The one family a search runs on: the only one that covers, the union of several, or the generic one.

    `has_templates` tells the last case apart, so that a run can say that it has no templates.
    """
    covering = families_for(definition, target)
    if not covering:
        return GenericFamily()
    return covering[0] if len(covering) == 1 else UnionFamily(covering)


def has_templates(family: Family) -> bool:
    return not isinstance(family, GenericFamily)


def _root_preference(family: Family, definition: Definition, target: Target) -> int:
    """Rank of the language of the family's plainest kernel among the target's languages."""
    catalogue = family.catalogue(definition, target)
    language = family.render(definition, target, catalogue.defaults).language
    return target.languages.index(language) if language in target.languages else len(target.languages)
