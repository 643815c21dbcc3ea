"""NOx of the generator strings: what the analysers show, and the mean of four hours that a permit limits."""

from collections import deque

import numpy as np
from numpy.typing import NDArray

from simulator.generators import Generators

WINDOW_MINUTES = 240
VALID_SHARE = 0.75
"""Three of four hours have to be valid for a mean of four [recalled, 40 CFR 60.4380]."""
NOMINAL_LOAD = 0.88
"""Load at which a string's NOx is what it is set to."""
FLAT_SHARE = 0.5
"""Of NOx that does not fall with the load: a default of ours."""


class Emissions:
    """Minutes of operation of the whole plant of strings; minutes without a valid value leave a gap."""

    def __init__(self, generators: Generators) -> None:
        self._generators = generators
        self._minutes: deque[float] = deque(maxlen=WINDOW_MINUTES)
        self._sum = self._seconds = self._valid_seconds = 0.0
        self.four_hours_ratio = 0.0
        """The mean of the last four hours; 0 where too few of them are valid or there were not four yet."""

    def shown_ratio(self) -> NDArray[np.float64]:
        """NOx of each string at 15 % oxygen, by its load; 0 where it does not run."""
        strings = self._generators
        by_load = FLAT_SHARE + (1.0 - FLAT_SHARE) * strings.watts / strings.rated_watts / NOMINAL_LOAD
        return np.asarray(strings.nox_ratio * by_load * strings.running())

    def step(self, seconds: float) -> None:
        """Gather a minute; whatever runs counts by its power."""
        running = self._generators.running()
        self._seconds += seconds
        if running.any() and self._generators.analyser_valid[running].all():
            watts = self._generators.watts + 1.0
            self._sum += float(np.average(self.shown_ratio()[running], weights=watts[running])) * seconds
            self._valid_seconds += seconds
        if self._seconds >= 60.0:
            self._minutes.append(self._sum / self._valid_seconds if self._valid_seconds > 0.0 else float("nan"))
            self._sum = self._seconds = self._valid_seconds = 0.0
            self.four_hours_ratio = self._mean()

    def _mean(self) -> float:
        minutes = np.array(self._minutes)
        valid = minutes[~np.isnan(minutes)]
        enough = len(minutes) == WINDOW_MINUTES and len(valid) >= VALID_SHARE * WINDOW_MINUTES
        return float(valid.mean()) if enough else 0.0
