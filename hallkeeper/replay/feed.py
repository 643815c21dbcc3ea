"""Recorded frames into the window, in the order in which the bus took them, up to a moment."""

from collections.abc import Sequence
from typing import Final

import numpy as np

from bus.frames import Frame, SeriesTable, encode_table
from historian.recording.reader import Batch
from rules.window.window import Window

FUTURE_MS: Final = 60_000
"""A frame further ahead of the bus's clock than this was dropped by the rule service, and is here."""
OWN: Final = "rules/"
"""Sources of frames that rules made: they are made again."""


class Feed:
    """Places one batch after the other."""

    def __init__(self, window: Window) -> None:
        self._window = window
        self._batch: Batch | None = None
        self._taken: Sequence[int] = ()
        self._next = 0
        self.names: set[str] = set()
        """Every metric that was ever named."""
        self.frames = 0
        self.points = 0

    def learn(self, table: SeriesTable) -> None:
        """Which series a layout stands for."""
        if not table.source.startswith(OWN):
            self.names.update([name for name, _ in table.series])
            self._window.append_table(encode_table(table))

    def take(self, batch: Batch | None) -> None:
        """The next minute; what is left of the one before is placed first."""
        if self._batch is not None:
            self._place(len(self._batch))
        self._batch, self._next = batch, 0
        if batch is not None:
            own = np.array([source.startswith(OWN) for source in batch.source], dtype=np.bool_)
            self._skipped = (own | (batch.at > batch.taken + FUTURE_MS)).tolist()

    def until(self, at_ms: int) -> None:
        """Place every frame that the bus had taken by then."""
        if self._batch is not None:
            self._place(int(np.searchsorted(self._batch.taken, at_ms, side="right")))

    def _place(self, end: int) -> None:
        batch = self._batch
        assert batch is not None
        values, append = batch.values.data.cast("B"), self._window.append_frame
        for row in range(self._next, end):
            if self._skipped[row]:
                continue
            quality = batch.quality[row]
            first, last = int(batch.starts[row]) << 3, int(batch.ends[row]) << 3
            append(
                Frame(
                    source=batch.source[row],
                    boot=int(batch.boot[row]),
                    sequence=int(batch.sequence[row]),
                    layout=int(batch.layout[row]),
                    at=int(batch.at[row]),
                    values=bytes(values[first:last]),
                    quality=None if quality is None else quality.tobytes(),
                )
            )
            self.frames += 1
            self.points += (last - first) >> 3
        self._next = max(self._next, end)
