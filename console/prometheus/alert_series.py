"""`ALERTS` and `ALERTS_FOR_STATE` from the alerts topic: in Prometheus, alerts are series too."""

from collections.abc import Iterable
from typing import Final

import numpy as np

from bus.event_types import AlertEvent
from bus.frames import STALE, FrameWriter, SeriesLayout, SeriesName

SOURCE: Final = "console/alerts"
ACTIVE: Final = frozenset({"pending", "firing"})
_STALE_FLOAT: Final = float(np.array([STALE], dtype="<u8").view("<f8")[0])


class AlertSeries:
    """The series of the alerts that are pending or firing; one that ends is marked stale once."""

    def __init__(self) -> None:
        self._writer = FrameWriter(0)
        self._now: dict[SeriesName, float] = {}
        self._said: dict[SeriesName, float] = {}

    def changed(self, alerts: Iterable[AlertEvent]) -> bool:
        """Take the alerts as they are; whether their series are others than were said last."""
        self._now = {}
        for alert in alerts:
            if str(alert.state) in ACTIVE:
                labels = tuple(sorted(alert.labels.items()))
                self._now["ALERTS", tuple(sorted((*labels, ("alertstate", str(alert.state)))))] = 1.0
                self._now["ALERTS_FOR_STATE", labels] = alert.active_since_ms // 1000
        return self._now != self._said

    def frames(self, at_ms: int) -> list[bytes]:
        """The frame of this time; nothing where nothing is active and nothing has ended."""
        ended = dict.fromkeys(self._said.keys() - self._now.keys(), _STALE_FLOAT)
        whole = {**self._now, **ended}
        self._said = self._now
        if not whole:
            return []
        layout, values = SeriesLayout.of(list(whole)), np.array(list(whole.values()), dtype=np.float64)
        return [message.value for message in self._writer.messages(SOURCE, 0, layout, at_ms, values)]
