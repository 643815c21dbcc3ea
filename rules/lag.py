"""Whether the bus keeps up: while it does not, silence means nothing. Pure."""

from collections.abc import Sequence
from typing import Final

from bus.port import Record

LAGGING_MS: Final = 5_000
"""Age on arrival from which the bus counts as lagging (catalogue E01)."""
QUIET_MS: Final = 3_000
"""After so long without any record somebody should ask the bus whether it is still there."""


class Lag:
    """How far behind the newest records of each partition are."""

    def __init__(self, now_ms: int) -> None:
        self._behind: dict[tuple[str, int], int] = {}
        self._last_ms = now_ms
        self._unreachable = False
        self._stalled = False
        """Records wait and none are given out."""

    def took(self, records: Sequence[Record], now_ms: int) -> None:
        """Records have come."""
        self._unreachable = False
        if records:
            self._last_ms = now_ms
            self._stalled = False
            newest = {(record.topic, record.partition): record.at_ms for record in records}
            self._behind = {place: now_ms - at_ms for place, at_ms in newest.items()}
        else:  # an empty answer: nothing waits
            self._behind = {}

    def asked(self, records_behind: int | None, now_ms: int) -> None:
        """What the bus says of its backlog; None when it does not answer."""
        self._last_ms = now_ms
        self._unreachable = records_behind is None
        self._stalled = bool(records_behind)

    def quiet(self, now_ms: int) -> bool:
        """Whether it is time to ask."""
        return now_ms - self._last_ms >= QUIET_MS

    @property
    def milliseconds(self) -> int:
        """The age of the newest record of the slowest partition."""
        return max(self._behind.values(), default=0)

    @property
    def lagging(self) -> bool:
        """Whether rules on absence are to be left out."""
        return self._unreachable or self._stalled or self.milliseconds > LAGGING_MS
