"""What instruments show instead of the truth: stuck, offset, wrong by a factor, or out of any range."""

from dataclasses import dataclass
from enum import StrEnum

import numpy as np
from numpy.typing import NDArray

FloatArray = NDArray[np.float64]
Place = tuple[int, ...]


class Lie(StrEnum):
    """How an instrument is wrong."""

    FIXED = "fixed"
    """It shows one value, whatever is true."""
    STUCK = "stuck"
    """It shows what was true when it stopped."""
    OFFSET = "offset"
    FACTOR = "factor"


@dataclass(frozen=True, slots=True)
class Distortion:
    """One wrong instrument."""

    lie: Lie
    value: float


class Sensors:
    """Distortions by quantity and place; whoever shows a quantity asks for what is seen of it."""

    def __init__(self) -> None:
        self._wrong: dict[str, dict[Place, Distortion]] = {}

    def distort(self, quantity: str, place: Place, lie: Lie, value: float) -> None:
        """Make an instrument wrong. `STUCK` with the value that it stands at."""
        self._wrong.setdefault(quantity, {})[place] = Distortion(lie, value)

    def mend(self, quantity: str, place: Place) -> None:
        """It shows the truth again."""
        self._wrong.get(quantity, {}).pop(place, None)
        if not self._wrong.get(quantity):
            self._wrong.pop(quantity, None)

    def seen(self, quantity: str, truth: FloatArray) -> FloatArray:
        """What instruments show of an array; the array itself where all are right. A shorter place stands for all below it."""
        wrong = self._wrong.get(quantity)
        if not wrong:
            return truth
        shown = np.array(truth)
        for place, distortion in wrong.items():
            match distortion.lie:
                case Lie.OFFSET:
                    shown[place] += distortion.value
                case Lie.FACTOR:
                    shown[place] *= distortion.value
                case _:
                    shown[place] = distortion.value
        return shown
