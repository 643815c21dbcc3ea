"""`ALERTS` and `ALERTS_FOR_STATE`: alerts as series, for rules that read other rules' alerts."""

from collections.abc import Sequence
from typing import Final

import numpy as np

from bus.frames import FrameWriter, SeriesLayout, SeriesName
from bus.port import Message
from rules.alerts.alert import Alert, AlertState
from rules.publication import STALE_FLOAT, ZONE

ALERTS: Final = "ALERTS"
ALERTS_FOR_STATE: Final = "ALERTS_FOR_STATE"
ALERT_SERIES: Final = frozenset({ALERTS, ALERTS_FOR_STATE})


class AlertSeries:
    """The series of one rule's alerts; one that ends is marked stale once."""

    def __init__(self, source: str) -> None:
        self._source = source
        self._active: dict[SeriesName, float] = {}

    def frame(self, alerts: Sequence[Alert], at_ms: int, writer: FrameWriter) -> list[Message]:
        """The frame of this evaluation; nothing where nothing is active and nothing has ended."""
        active: dict[SeriesName, float] = {}
        for alert in alerts:
            labels = tuple(alert.labels.items())
            state = str(AlertState.FIRING if alert.state is AlertState.FIRING else AlertState.PENDING)
            active[ALERTS, tuple(sorted((*labels, ("alertstate", state))))] = 1.0
            active[ALERTS_FOR_STATE, labels] = alert.active_since_ms // 1000
        ended = dict.fromkeys(self._active.keys() - active.keys(), STALE_FLOAT)
        self._active = active
        whole = {**active, **ended}
        if not whole:
            return []
        return writer.messages(self._source, ZONE, SeriesLayout.of(list(whole)), at_ms, np.array(list(whole.values())))
