"""What the site draws from: two grid supplies, four generator strings and the battery; who carries what, to the last watt."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from simulator.battery import TRANSFER_SECONDS, Battery
from simulator.emissions import Emissions
from simulator.generators import Generators
from simulator.power import PowerTree
from simulator.settings import PlantSettings

FloatArray = NDArray[np.float64]
BoolArray = NDArray[np.bool_]
AUXILIARY_RATIO = 0.13
"""Cooling, air and light, of the power of IT: PUE 1.15 with the losses below [site document]."""
LOSS_RATIO = 0.02
"""Transformers and cables, of what goes through them: a default of ours."""
HERTZ = 50.0
DROOP_RATIO = 0.04
"""Fall of the frequency of an island for every 100 % that its generators carry beyond their rating: a default of ours."""
FREQUENCY_SECONDS = 2.0
LOWEST_RATIO = 0.95
"""Below 95 % of nominal frequency generators disconnect: 47.5 Hz in Europe's grid codes [recalled]."""


@dataclass(frozen=True, slots=True)
class Curtailment:
    """A demand-response event: so much from the grid at most, from when to when; times are the plant's."""

    target_watts: float
    start_seconds: float
    end_seconds: float


class Sources:
    """Grid (2), strings (4) and battery in front of the two sides of the tree."""

    def __init__(self, settings: PlantSettings, power: PowerTree, battery: Battery) -> None:
        self.power, self.battery = power, battery
        self.generators = Generators(rated_watts=settings.generator_watts, running=settings.island)
        self.grid_rated_watts = settings.grid_watts
        self.grid_live: BoolArray = np.full(2, not settings.island, dtype=np.bool_)
        self.side_faulty: BoolArray = np.zeros(2, dtype=np.bool_)
        """A substation that is dead in itself, whatever could feed it."""
        self.grid_watts: FloatArray = np.zeros(2)
        self.frequency_hertz = HERTZ
        self.auxiliary_watts: FloatArray = np.zeros(2)
        self.loss_watts: FloatArray = np.zeros(2)
        self.sags = np.zeros(2, dtype=np.int64)
        self.emissions = Emissions(self.generators)
        self.curtailment: Curtailment | None = None
        """What the utility has asked for."""
        self.unserved_watts = 0.0
        """What was asked for in the last step and nobody could give; whoever asked for it is dark now."""
        self._dark_watts = 0.0
        """What an island could not carry: it stays dark until its sources can."""
        self._fed: BoolArray = self.grid_live.copy()

    @property
    def island(self) -> bool:
        """Whether nothing comes from any grid."""
        return not self.grid_live.any()

    def demand(self) -> FloatArray:
        """What each side draws, with its share of everything that is not IT, and losses."""
        it = self.power.side_watts
        first, second = self.power.side_live.tolist()
        auxiliary = float(it[0] + it[1]) * AUXILIARY_RATIO / max(1, first + second)
        self.auxiliary_watts[:] = (auxiliary * first, auxiliary * second)
        delivered = it + self.auxiliary_watts
        np.multiply(delivered, LOSS_RATIO / (1.0 - LOSS_RATIO), out=self.loss_watts)
        return np.asarray(delivered + self.loss_watts)

    def step(self, seconds: float) -> None:
        """Share the demand of this moment: each side's own grid, then strings and battery, then what is beyond their rating."""
        demand = self.demand()
        if self._calm():
            self.battery.step(seconds, 0.0)
            self.grid_watts[:] = demand
            return
        self._transfer()
        own = self.grid_live & ~self.side_faulty
        with_grid, alone = float(demand[own].sum()), float(demand[~own].sum())
        planned = self.battery.planned_watts(seconds)
        if with_grid == 0.0:
            planned = min(planned, alone)
        for_island = min(planned, alone) if planned > 0.0 or with_grid == 0.0 else 0.0
        left = self.generators.step(seconds, max(0.0, alone - for_island))
        self.battery.step(seconds, planned + left)
        bridged = min(left + for_island, max(0.0, self.battery.watts)) if with_grid > 0.0 else self.battery.watts
        excess = alone - float(self.generators.watts.sum()) - bridged
        self.unserved_watts = self.generators.correct(excess, seconds)
        self.grid_watts[:] = 0.0
        if with_grid > 0.0:
            self.grid_watts[own] = demand[own] * (1.0 - (self.battery.watts - bridged) / with_grid)
        self.emissions.step(seconds)
        self._swing(seconds, alone)
        self._dead_or_alive(alone)

    def _calm(self) -> bool:
        """Whether both grids carry everything and nothing else moves: nearly always, and then it costs little."""
        calm = not self.generators.state.any() and not self.battery.set_point_enabled and self.unserved_watts == 0.0
        return bool(calm and self.grid_live.all() and self._fed.all() and not self.side_faulty.any())

    def _transfer(self) -> None:
        """A side that has lost its grid: the battery takes over, and strings are asked to start."""
        lost = self._fed & ~self.grid_live
        if lost.any():
            self.battery.transfer_seconds = TRANSFER_SECONDS if self.battery.available_watts > 0.0 else 0.0
            self.generators.start()
        self._fed = self.grid_live.copy()

    def _swing(self, seconds: float, alone: float) -> None:
        """The frequency of an island sinks with what its strings carry beyond their rating; a grid holds it."""
        target = HERTZ
        rated = float(self.generators.rated_watts[self.generators.running()].sum())
        if self.island and rated > 0.0 and alone > 0.0:
            over = max(0.0, float(self.generators.watts.sum()) / rated - 1.0)
            target = HERTZ * (1.0 - DROOP_RATIO * over)
        blend = 1.0 - float(np.exp(-seconds / FREQUENCY_SECONDS))
        self.frequency_hertz += (target - self.frequency_hertz) * blend

    def _dead_or_alive(self, alone: float) -> None:
        """A side lives on its grid, or where strings and battery carry it; an island that sinks too low goes dark."""
        self.generators.trip_overloaded()
        strings = float(self.generators.rated_watts[self.generators.running()].sum())
        carried = strings + self.battery.available_watts
        if self.unserved_watts > 1.0 or (self.island and self.frequency_hertz < LOWEST_RATIO * HERTZ):
            self._dark_watts = alone
        if carried > self._dark_watts:
            self._dark_watts = 0.0
        islands = carried > 0.0 and self._dark_watts == 0.0
        self.power.side_live[:] = (self.grid_live | islands) & ~self.side_faulty

    def capacity_watts(self) -> float:
        """What the sources that are there can give together, the battery apart."""
        grids = float((self.grid_live & ~self.side_faulty).sum()) * self.grid_rated_watts
        return grids + float(self.generators.rated_watts[self.generators.running()].sum())

    def given_watts(self) -> float:
        """What all sources give together; below zero for none."""
        return float(self.grid_watts.sum()) + float(self.generators.watts.sum()) + self.battery.watts
