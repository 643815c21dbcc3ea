"""Strings of gas turbines or engines: they start in seconds, take load by a ramp, and protect themselves."""

from collections.abc import Sequence
from enum import IntEnum

import numpy as np
from numpy.typing import NDArray

FloatArray = NDArray[np.float64]
STRINGS = 4
START_SECONDS = 10.0
"""NFPA 110, type 10: load within ten seconds [recalled from the standard]."""
STOP_SECONDS = 60.0
"""Cooling down without load: a default of ours."""
RAMP_RATIO_PER_SECOND = 0.10
"""Of its rating: ten seconds from nothing to full. A default of ours."""
OVERLOAD_RATIO, OVERLOAD_SECONDS = 1.10, 60.0
"""ISO 8528 allows 110 % for an hour in twelve; a controller that trips after a minute above it is a default of ours."""
NOX_RATIO = 15e-6
"""At 15 % oxygen; permits for new gas turbines are at 25 ppm [recalled, 40 CFR 60 KKKK]."""


class StringState(IntEnum):
    """As the generic generator map of ours says it."""

    STOPPED = 0
    STARTING = 1
    RUNNING = 2
    STOPPING = 3
    FAILED = 4
    TRIPPED = 5


class Generators:
    """Arrays over strings; the sources decide what they carry."""

    def __init__(self, *, rated_watts: float, running: bool) -> None:
        self.rated_watts: FloatArray = np.full(STRINGS, rated_watts)
        first = StringState.RUNNING if running else StringState.STOPPED
        self.state = np.full(STRINGS, first, dtype=np.int8)
        self.in_state_seconds: FloatArray = np.full(STRINGS, 3_600.0)
        self.watts: FloatArray = np.zeros(STRINGS)
        self.ready_watts: FloatArray = np.full(STRINGS, rated_watts if running else 0.0)
        """What its ramp lets each carry now."""
        self.fuel_ratio: FloatArray = np.ones(STRINGS)
        self.fuel_pressure_pascals: FloatArray = np.full(STRINGS, 2.0e6)
        self.nox_ratio: FloatArray = np.full(STRINGS, NOX_RATIO)
        self.analyser_valid = np.ones(STRINGS, dtype=np.bool_)
        self.starts_refused = np.zeros(STRINGS, dtype=np.bool_)
        """A string that will not start when it is asked to."""
        self.starts = np.zeros(STRINGS, dtype=np.int64)
        self.start_failures = np.zeros(STRINGS, dtype=np.int64)
        self.running_seconds: FloatArray = np.full(STRINGS, 4_000.0 * 3_600.0)
        self.joules: FloatArray = np.full(STRINGS, 1e13)
        self._overloaded_seconds: FloatArray = np.zeros(STRINGS)

    def running(self) -> NDArray[np.bool_]:
        """Strings that carry load, or could."""
        return np.asarray(self.state == StringState.RUNNING)

    def start(self, strings: Sequence[int] | None = None) -> None:
        """Ask strings that stand to start; others are left as they are."""
        for number in range(STRINGS) if strings is None else strings:
            if self.state[number] in (StringState.STOPPED, StringState.STOPPING):
                self._enter(number, StringState.STARTING)
                self.starts[number] += 1

    def stop(self) -> None:
        """Let running strings cool down and stop."""
        for number in np.flatnonzero(self.running()).tolist():
            self._enter(number, StringState.STOPPING)

    def trip(self, number: int) -> None:
        """A string is gone at once; people reset it."""
        self._enter(number, StringState.TRIPPED)

    def reset(self, number: int) -> None:
        """After a trip or a failed start it may be started again."""
        if self.state[number] in (StringState.TRIPPED, StringState.FAILED):
            self._enter(number, StringState.STOPPED)

    def _enter(self, number: int, state: StringState) -> None:
        self.state[number] = state
        self.in_state_seconds[number] = 0.0
        if state != StringState.RUNNING:
            self.ready_watts[number] = self.watts[number] = 0.0

    def step(self, seconds: float, load_watts: float) -> float:
        """Carry as much of a load as ramps allow, shared by what each can; what is left over. At rest it costs nothing."""
        if not self.state.any():
            return load_watts
        self.in_state_seconds += seconds
        for number in np.flatnonzero(self.state != StringState.RUNNING).tolist():
            self._advance(number)
        running = self.running()
        most = np.where(running, self.rated_watts, 0.0)
        self.ready_watts[:] = np.minimum(most, self.ready_watts + most * (RAMP_RATIO_PER_SECOND * seconds))
        ready = float(self.ready_watts.sum())
        share = min(1.0, load_watts / ready) if ready > 0.0 else 0.0
        self.watts[:] = self.ready_watts * share
        return load_watts - float(self.watts.sum())

    def correct(self, excess_watts: float, seconds: float) -> float:
        """Carry what nobody else does, beyond the rating too, or less where others carry more; what no string is there for."""
        running = self.running()
        total = float(self.rated_watts[running].sum())
        if not self.state.any():
            return max(0.0, excess_watts)
        if excess_watts and total > 0.0:
            self.watts += np.where(running, self.rated_watts, 0.0) * (excess_watts / total)
        over = self.watts > OVERLOAD_RATIO * self.rated_watts
        self._overloaded_seconds[:] = np.where(over, self._overloaded_seconds + seconds, 0.0)
        self.joules += self.watts * seconds
        self.running_seconds[running] += seconds
        return max(0.0, excess_watts) if total <= 0.0 else 0.0

    def trip_overloaded(self) -> None:
        """Trip what has been overloaded for too long: after the step, so that power is booked before it is gone."""
        for number in np.flatnonzero(self._overloaded_seconds >= OVERLOAD_SECONDS).tolist():
            self._overloaded_seconds[number] = 0.0
            self.trip(number)

    def _advance(self, number: int) -> None:
        long, state = self.in_state_seconds[number], self.state[number]
        if state == StringState.STARTING and long >= START_SECONDS:
            refused = bool(self.starts_refused[number]) or self.fuel_ratio[number] <= 0.0
            self._enter(number, StringState.FAILED if refused else StringState.RUNNING)
            self.start_failures[number] += refused
        elif state == StringState.STOPPING and long >= STOP_SECONDS:
            self._enter(number, StringState.STOPPED)
