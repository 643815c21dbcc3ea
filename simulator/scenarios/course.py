"""The course of a scenario: its site, and its faults as virtual time passes."""

import heapq
from collections.abc import Iterator
from dataclasses import dataclass, field

from simulator.faults import Faults
from simulator.plant import Plant
from simulator.scenarios.assets import layout_of
from simulator.scenarios.schema import Happening, Scenario, SiteSize
from simulator.settings import PlantSettings

Order = dict[str, object]


def plant_of(scenario: Scenario) -> Plant:
    """The plant of a scenario's site, cold: whoever places the jobs lets it settle."""
    site = scenario.site
    return Plant(layout_of(site), seed=site.seed, settings=settings_of(site))


def settings_of(site: SiteSize) -> PlantSettings:
    """What the site's file says of its plant, over the simulator's own defaults."""
    given = {
        "generator_watts": site.generator_watts,
        "grid_watts": site.grid_watts,
        "bess_watts": site.bess_watts,
        "bess_watt_hours": site.bess_watt_hours,
    }
    return PlantSettings(
        coolant_celsius=site.coolant_celsius,
        die_joules_per_kelvin=site.plate.die_joules_per_kelvin,
        trapped_kilograms=site.plate.trapped_kilograms,
        standby_pumps=site.standby_pumps,
        bess_charge=site.bess_charge,
        island=site.island,
        gang_stall=True,
        **{name: value for name, value in given.items() if value is not None},
    )


def orders_of(happening: Happening) -> Iterator[tuple[float, float | None, Order]]:
    """When to begin, when to heal, and the order that begins it; one for all targets, or each apart."""
    order: Order = {"fault": happening.fault, **happening.settings}
    if not happening.apart_seconds:
        yield happening.at, happening.until, {**order, "targets": list(happening.targets)}
        return
    for place, target in enumerate(happening.targets):
        yield happening.at + place * happening.apart_seconds, happening.until, {**order, "targets": [target]}


@dataclass(slots=True)
class Course:
    """Begins and heals each fault at its moment; `begun_at` is the plant's time of the scenario's first moment."""

    scenario: Scenario
    faults: Faults
    begun_at: float
    _due: list[tuple[float, int, Order | int]] = field(default_factory=list)
    _numbers: dict[int, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        orders = [one for happening in self.scenario.faults for one in orders_of(happening)]
        for key, (at, until, order) in enumerate(orders):
            heapq.heappush(self._due, (at, 2 * key, order))
            if until is not None:
                heapq.heappush(self._due, (until, 2 * key + 1, 2 * key))

    @property
    def next_seconds(self) -> float | None:
        """Plant time of the next beginning or healing; None where there is none any more."""
        return self.begun_at + self._due[0][0] if self._due else None

    def step(self) -> None:
        """Begin and heal what is due at the plant's time; call it before each step of the plant."""
        now = self.faults.reach.plant.now - self.begun_at + 1e-9
        while self._due and self._due[0][0] <= now:
            _, key, what = heapq.heappop(self._due)
            if isinstance(what, int):
                self.faults.heal(self._numbers[what])
            else:
                self._numbers[key] = self.faults.begin(what).number
