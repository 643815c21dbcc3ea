"""The faults that are on: begins them, lists them, heals them."""

import itertools
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from simulator.faults.kind import FaultError, Heal, Kind, Target
from simulator.faults.known import KINDS
from simulator.reach import Reach

MOST_FAULTS = 1_000
"""At once; a test that injects more has lost its way."""


@dataclass(frozen=True, slots=True)
class Fault:
    """One active fault."""

    number: str
    kind: str
    targets: tuple[str, ...]
    arguments: Mapping[str, object]
    begun_at_seconds: float
    heal: Heal

    def as_json(self) -> dict[str, object]:
        return {
            "id": self.number,
            "fault": self.kind,
            "targets": list(self.targets),
            "arguments": dict(self.arguments),
            "seconds": self.begun_at_seconds,
        }


@dataclass(slots=True)
class Faults:
    """Begins, lists and heals faults."""

    reach: Reach
    active: dict[str, Fault] = field(default_factory=dict)
    house: Callable[[str, tuple[str, ...], Mapping[str, object]], Heal] | None = None
    """Carries out faults of the product's own parts; whoever runs the product sets it."""
    _numbers: "itertools.count[int]" = field(default_factory=lambda: itertools.count(1))

    def begin(self, order: Mapping[str, object]) -> Fault:
        """Inject what `order` asks for: `fault`, `target` or `targets`, and the fault's own arguments. Raises `FaultError`."""
        name = order.get("fault")
        kind = KINDS.get(name) if isinstance(name, str) else None
        if kind is None or not isinstance(name, str):
            raise FaultError(f"fault is {name!r}, try one of {', '.join(sorted(KINDS))}")
        if len(self.active) >= MOST_FAULTS:
            raise FaultError(f"{MOST_FAULTS} faults are active, try healing some")
        targets = self._targets(order, kind)
        given = {key: value for key, value in order.items() if key not in ("fault", "target", "targets")}
        arguments = kind.filled(given)
        heal = self._begun(name, kind, targets, arguments)
        fault = Fault(f"f{next(self._numbers)}", name, targets, arguments, self.reach.plant.now, heal)
        self.active[fault.number] = fault
        return fault

    def _begun(self, name: str, kind: Kind, targets: tuple[str, ...], arguments: Mapping[str, object]) -> Heal:
        if kind.on is not Target.HOUSE:
            return kind.begin(self.reach, targets, arguments)
        if self.house is None:
            raise FaultError(f"{name} strikes the product, which does not run here, try `hallkeeper scenario run`")
        return self.house(name, targets, arguments)

    def heal(self, number: str) -> Fault | None:
        """End a fault; None where there is none of that number."""
        fault = self.active.pop(number, None)
        if fault:
            fault.heal()
        return fault

    def _targets(self, order: Mapping[str, object], kind: Kind) -> tuple[str, ...]:
        """Names as given; for a fault of nodes a rack or row stands for its nodes."""
        given = order.get("targets", order.get("target"))
        names = [given] if isinstance(given, str) else given
        if not isinstance(names, list | tuple) or not names or not all(isinstance(name, str) for name in names):
            raise FaultError("target is missing, try a node, rack, row, PDU, CDU, bess-1, k8s-1 or a list in targets")
        if kind.on is Target.HOUSE:
            return tuple(names)
        unknown = [name for name in names if name not in self.reach.plant.layout.assets]
        if unknown:
            raise FaultError(f"{unknown[0]} is no asset of this site, try one of GET /state")
        whole = kind.on in (Target.NODE, Target.ANY)
        return tuple(one for name in names for one in (self._expand(name) if whole else [name]))

    def _expand(self, name: str) -> list[str]:
        layout = self.reach.plant.layout
        if name in layout.racks:
            return [layout.nodes[node] for node in layout.nodes_of_rack(layout.racks.index(name))]
        if name in layout.rows:
            return [layout.nodes[node] for node in layout.nodes_of_row(layout.rows.index(name))]
        return [name]
