"""Physical limits: what the plant itself knows of each asset, judged at every step, whatever any sensor says."""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from simulator.jobs import JobRun
from simulator.machines import NodeState
from simulator.plant import Plant
from simulator.scenarios.assets import nodes_behind
from simulator.scenarios.schema import Bound

Values = NDArray[np.float64]
Measure = Callable[[Plant], Values]


@dataclass(frozen=True, slots=True)
class Quantity:
    """Something that the plant knows of each asset of a group."""

    meaning: str
    group: str
    """The group of names in the layout that the values go by; `site` for a single value."""
    measure: Measure
    """One value for each asset of the group, in its order."""


def _of_jobs(plant: Plant, value: Callable[[JobRun], float]) -> Values:
    """Of each job of the layout; 0 for one that was never placed."""
    runs = (plant.job_runs.get(key) for key in plant.layout.job_keys)
    return np.array([0.0 if run is None else value(run) for run in runs])


QUANTITIES: Mapping[str, Quantity] = {
    "gpu-celsius": Quantity("hottest GPU of a node", "nodes", lambda plant: plant.machines.gpu_celsius.max(axis=1)),
    "gpu-watts": Quantity("highest GPU power of a node", "nodes", lambda plant: plant.machines.gpu_watts.max(axis=1)),
    "node-watts": Quantity("power of a node", "nodes", lambda plant: plant.machines.watts),
    "node-state": Quantity(
        "0 off, 1 booting, 2 running, 3 hung", "nodes", lambda plant: plant.machines.state.astype(np.float64)
    ),
    "node-boots": Quantity(
        "times that a node has started", "nodes", lambda plant: plant.machines.boots.astype(np.float64)
    ),
    "gpus-present": Quantity("GPUs on a node's bus", "nodes", lambda plant: plant.machines.present.sum(axis=1) * 1.0),
    "phase-load-ratio": Quantity(
        "most loaded phase of a PDU, of its rating", "pdus", lambda plant: plant.power.load_ratio().max(axis=2).ravel()
    ),
    "loop-flow": Quantity("flow of a CDU in L/min", "cdus", lambda plant: plant.cooling.flow),
    "supply-celsius": Quantity("supply of a CDU", "cdus", lambda plant: plant.cooling.supply_celsius),
    "return-celsius": Quantity("return of a CDU", "cdus", lambda plant: plant.cooling.return_celsius),
    "site-watts": Quantity("power of all nodes", "site", lambda plant: plant.machines.watts.sum(keepdims=True)),
    "bess-charge": Quantity("state of charge", "site", lambda plant: np.array([plant.battery.charge_ratio])),
    "bess-hottest-celsius": Quantity("hottest cell", "site", lambda plant: np.array([plant.battery.hottest_celsius])),
    "bess-transfer-seconds": Quantity(
        "last transfer", "site", lambda plant: np.array([plant.battery.transfer_seconds])
    ),
    "frequency": Quantity("frequency in Hz", "site", lambda plant: np.array([plant.sources.frequency_hertz])),
    "source-load-ratio": Quantity(
        "what the site draws, of what grids and strings that are there can give, the battery apart",
        "site",
        lambda plant: np.array([plant.sources.demand().sum() / max(plant.sources.capacity_watts(), 1.0)]),
    ),
    "strings-running": Quantity(
        "generator strings that run", "site", lambda plant: np.array([plant.sources.generators.running().sum() * 1.0])
    ),
    "grid-watts": Quantity("power from the grid", "site", lambda plant: plant.sources.grid_watts.sum(keepdims=True)),
    "nox-4h-ppm": Quantity(
        "NOx, mean of four hours", "site", lambda plant: np.array([plant.sources.emissions.four_hours_ratio * 1e6])
    ),
    "breaker-trips": Quantity(
        "breakers of PDUs and busbars that have tripped",
        "site",
        lambda plant: np.array([float(plant.power.breakers.trips + plant.power.busbar_breakers.trips)]),
    ),
    "rack-flow": Quantity(
        "flow through a rack in L/min", "racks", lambda plant: plant.cooling.rack_liters_per_minute()
    ),
    "reservoir-level": Quantity("reservoir of a CDU in percent", "cdus", lambda plant: plant.cooling.level),
    "nodes-hung": Quantity(
        "hosts that hang", "site", lambda plant: (plant.machines.state == NodeState.HUNG).sum(keepdims=True) * 1.0
    ),
    "job-idle-seconds": Quantity(
        "time since a job's last step",
        "job_keys",
        lambda plant: _of_jobs(plant, lambda run: plant.now - run.last_step_at),
    ),
    "job-step-seconds": Quantity(
        "duration of a job's step", "job_keys", lambda plant: _of_jobs(plant, lambda run: run.step_seconds)
    ),
    "job-restarts": Quantity(
        "restarts of a job from its checkpoint",
        "job_keys",
        lambda plant: _of_jobs(plant, lambda run: float(run.restarts)),
    ),
}


@dataclass(frozen=True, slots=True)
class Broken:
    """A bound that did not hold: the first moment, the asset, the value."""

    bound: Bound
    at_seconds: float
    asset: str
    value: float

    def __str__(self) -> str:
        return f"{self.bound.quantity} of {self.asset} is {self.value:.4g} at {self.at_seconds:.1f} s, {limit_text(self.bound)}"


def limit_text(bound: Bound) -> str:
    """The limit in words."""
    limits = (("at most", bound.at_most), ("at least", bound.at_least), ("below", bound.below))
    return " and ".join(f"must be {word} {limit:g}" for word, limit in limits if limit is not None)


@dataclass(slots=True)
class Watch:
    """Judges bounds as the plant goes; notes the first moment at which each is broken."""

    plant: Plant
    bounds: tuple[Bound, ...]
    begun_at: float
    """Plant time of the first moment of the scenario."""
    broken: list[Broken] = field(default_factory=list)
    _places: dict[int, NDArray[np.intp]] = field(default_factory=dict)
    _noted: set[int] = field(default_factory=set)

    def look(self) -> None:
        """Judge the plant as it is now; to be called after every step."""
        now = self.plant.now - self.begun_at
        measured: dict[str, Values] = {}
        for number, bound in enumerate(self.bounds):
            if number in self._noted or now < bound.at - 1e-9 or (bound.until is not None and now > bound.until):
                continue
            values = measured.get(bound.quantity)
            if values is None:
                values = measured[bound.quantity] = QUANTITIES[bound.quantity].measure(self.plant)
            self._judge(number, bound, values[self._chosen(number, bound)], now)

    def _judge(self, number: int, bound: Bound, values: Values, now: float) -> None:
        wrong = np.zeros(len(values), dtype=np.bool_)
        if bound.at_most is not None:
            wrong |= values > bound.at_most
        if bound.at_least is not None:
            wrong |= values < bound.at_least
        if bound.below is not None:
            wrong |= values >= bound.below
        if wrong.any():
            worst = int(np.flatnonzero(wrong)[0])
            self._noted.add(number)
            name = group_of(self.plant, bound.quantity)[int(self._chosen(number, bound)[worst])]
            self.broken.append(Broken(bound, now, name, float(values[worst])))

    def _chosen(self, number: int, bound: Bound) -> NDArray[np.intp]:
        places = self._places.get(number)
        if places is None:
            names = group_of(self.plant, bound.quantity)
            wanted = set(expanded(self.plant, bound)) if bound.assets else set(names)
            places = self._places[number] = np.flatnonzero([name in wanted for name in names])
        return places


def group_of(plant: Plant, quantity: str) -> tuple[str, ...]:
    """The names that a quantity's values go by."""
    group = QUANTITIES[quantity].group
    return ("site",) if group == "site" else tuple(getattr(plant.layout, group))


def expanded(plant: Plant, bound: Bound) -> Iterable[str]:
    """The assets of a bound; for quantities of nodes racks, rows and so on stand for theirs."""
    is_of_nodes = QUANTITIES[bound.quantity].group == "nodes"
    return nodes_behind(plant.layout, bound.assets) if is_of_nodes else bound.assets
