"""Every action there is, one file each with what takes it back beside it. Data only: nothing here commands anything.

A new action is a new module here with `ACTIONS`; nothing else lists it.
"""

from collections.abc import Iterator, Mapping
from importlib import import_module
from pkgutil import iter_modules
from types import MappingProxyType

from remediator.actions.action import EVERY_ACT, Action, Fence
from remediator.actions.terms import Verb

__all__ = ["ACTIONS", "EVERY_ACT", "Action", "Fence"]


def _declared() -> Iterator[Action]:
    for module in iter_modules(__path__, prefix=f"{__name__}."):
        yield from getattr(import_module(module.name), "ACTIONS", ())


ACTIONS: Mapping[Verb, Action] = MappingProxyType({action.verb: action for action in _declared()})
"""By verb."""
