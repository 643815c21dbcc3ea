"""What the shape of a scenario file cannot say: names that the site does not have, faults that do not exist, order of times."""

from collections.abc import Iterator, Sequence

from fleet.document import Document, Loc
from fleet.errors import Problem
from fleet.nearest import nearest
from simulator.faults import KINDS
from simulator.scenarios.assets import layout_of, names_of
from simulator.scenarios.bounds import QUANTITIES
from simulator.scenarios.schema import Bound, Scenario, ScenarioFile

NAMED = (
    ("faults", "targets"),
    ("expect_action", "assets"),
    ("forbid", "assets"),
    ("forbid", "but"),
    ("bounds", "assets"),
    ("bites", "assets"),
    ("people", "about"),
)


def check(file: ScenarioFile, scenarios: Sequence[Scenario], document: Document) -> Iterator[Problem]:
    """Every mistake of a file that has the right shape; a variant's own keys at their own places."""
    for scenario, variant in zip(scenarios, (None, *file.variants), strict=True):
        base: Loc = () if variant is None else ("variants", scenarios.index(scenario) - 1)
        own = frozenset(Scenario.model_fields) if variant is None else variant.model_fields_set
        yield from _Checking(document, base, own).all(scenario)


class _Checking:
    def __init__(self, document: Document, base: Loc, own: frozenset[str] | set[str]) -> None:
        self._document = document
        self._base = base
        self._own = own

    def all(self, scenario: Scenario) -> Iterator[Problem]:
        try:
            names = names_of(layout_of(scenario.site))
        except ValueError as error:
            yield self._wrong(("site",), str(error), "")
            return
        for key, field in NAMED:
            yield from self._names(scenario, key, field, names)
        for place, expected in enumerate(scenario.expect.alerts if "expect" in self._own else ()):
            if expected.asset is not None and expected.asset not in names:
                yield self._unknown(("expect", "alerts", place, "asset"), expected.asset, names)
        yield from self._faults(scenario)
        for key in ("bounds", "bites"):
            for place, bound in enumerate(getattr(scenario, key) if key in self._own else ()):
                yield from self._bound(bound, (key, place))

    def _names(self, scenario: Scenario, key: str, field: str, names: frozenset[str]) -> Iterator[Problem]:
        if key not in self._own and "site" not in self._own:
            return
        for place, entry in enumerate(getattr(scenario, key)):
            for index, name in enumerate(getattr(entry, field)):
                if name not in names:
                    yield self._unknown((key, place, field, index), name, names)

    def _faults(self, scenario: Scenario) -> Iterator[Problem]:
        if "faults" not in self._own:
            return
        for place, fault in enumerate(scenario.faults):
            at: Loc = ("faults", place)
            kind = KINDS.get(fault.fault)
            if kind is None:
                yield self._unknown((*at, "fault"), fault.fault, frozenset(KINDS))
                continue
            if fault.until is not None and fault.until <= fault.at:
                yield self._wrong((*at, "until"), "is not after `at`", "a later second")
            for name, message, suggestion in kind.mistakes(fault.settings):
                yield self._wrong((*at, "settings", name), message, suggestion)

    def _bound(self, bound: Bound, at: Loc) -> Iterator[Problem]:
        if bound.quantity not in QUANTITIES:
            yield self._unknown((*at, "quantity"), bound.quantity, frozenset(QUANTITIES))
        if (bound.at_most, bound.at_least, bound.below) == (None, None, None):
            yield self._wrong(at, "sets no limit", "at_most, at_least or below")

    def _unknown(self, at: Loc, name: str, known: frozenset[str]) -> Problem:
        near = nearest(name, sorted(known))
        return self._wrong(at, f"{name!r} is not known here", repr(near) if near else f"one such as {min(known)}")

    def _wrong(self, at: Loc, message: str, suggestion: str) -> Problem:
        return self._document.problem((*self._base, *at), message, suggestion)
