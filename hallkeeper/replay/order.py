"""Which recorded frames were seen before: sources that number theirs without a gap are judged together."""

import numpy as np
import numpy.typing as npt

from rules.window.sequences import Sequences

Numbers = npt.NDArray[np.int64]
Unsigned = npt.NDArray[np.uint64]
Bools = npt.NDArray[np.bool_]


class Order:
    """Frames seen so far. A source is orderly until a number of it is missing or comes twice; then its frames go one by one."""

    def __init__(self) -> None:
        self._sequences = Sequences()
        self._runs: dict[int, tuple[int, int, int]] = {}
        """Boot, first and last number of sources that have been orderly so far."""
        self._loose: set[int] = set()

    def new(self, sources: Numbers, boots: Unsigned, numbers: Unsigned, skipped: Bools) -> Bools:
        """Whether each of some frames is new; those that are skipped are not, and count for nothing."""
        found = ~skipped
        rows = np.argsort(sources, kind="stable")
        rows = rows[~skipped[rows]]
        if not len(rows):
            return found
        owners, boot, number = sources[rows], boots[rows], numbers[rows]
        begins = np.flatnonzero(np.concatenate([[True], owners[1:] != owners[:-1]]))
        follows = np.concatenate([[True], (boot[1:] == boot[:-1]) & (number[1:] == number[:-1] + np.uint64(1))])
        follows[begins] = True
        orderly = np.logical_and.reduceat(follows, begins)
        ends = np.concatenate([begins[1:], [len(rows)]])
        for place, (begin, end) in enumerate(zip(begins.tolist(), ends.tolist(), strict=True)):
            owner = int(owners[begin])
            first, last = (int(boot[begin]), int(number[begin])), int(number[end - 1])
            if not (orderly[place] and self._goes_on(owner, *first, last)):
                mine = rows[begin:end]
                found[mine] = self._one_by_one(owner, boots[mine].tolist(), numbers[mine].tolist())
        return found

    def _goes_on(self, owner: int, boot: int, first: int, last: int) -> bool:
        """Note a run of an orderly source; False, and nothing noted, where it does not go on from what was seen."""
        run = self._runs.get(owner)
        if owner in self._loose or (run is not None and (run[0] != boot or run[2] + 1 != first)):
            return False
        self._runs[owner] = boot, first if run is None else run[1], last
        return True

    def _one_by_one(self, owner: int, boots: list[int], numbers: list[int]) -> list[bool]:
        add, source = self._sequences.add, str(owner)
        run = self._runs.pop(owner, None)
        self._loose.add(owner)
        if run is not None:
            for number in range(run[1], run[2] + 1):
                add(source, run[0], number)
        return [add(source, boot, number) for boot, number in zip(boots, numbers, strict=True)]
