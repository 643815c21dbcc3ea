"""One target as the scheduler keeps it: its timetable, its layouts, whether it is there, and the frames of its answers.

No socket and no clock: readings in, messages out. A target's `up` rides in the frames of its fastest signal; when the
target is gone its series end with one frame of stale markers.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import numpy as np

from bus.frames import FrameWriter, SeriesLayout
from bus.port import Message
from collectors.marks import Floats, Marked, Marks
from collectors.naming import labelled, target_labels
from collectors.pace import Pace
from collectors.poller import Poller
from devices.profiles import PROFILES
from devices.reading import STALE, Reading, Series
from fleet.model import Asset, Endpoint

GONE_AFTER = 2
"""Failed polls in a row after which a target counts as gone: one lost answer ends no series (default to tune)."""
UP: Series = ("up", ())


@dataclass(slots=True)
class Shape:
    """One signal's layout, made when it is first seen and used for every answer that looks the same."""

    seen: tuple[Series, ...]
    """The reading's own series: the same object means the same layout."""

    layout: SeriesLayout
    marks: Marks
    carries_up: bool


class Target:
    """One endpoint of the site."""

    def __init__(self, endpoint: Endpoint, asset: Asset, poller: Poller, pace: Pace) -> None:
        self.endpoint, self.asset, self.poller, self.pace = endpoint, asset, poller, pace
        self.source = endpoint.source
        self.failures = 0
        self.polling = False
        self.wakes_ms = 0
        """When its next turn is; an earlier entry in the wheel is out of date."""
        self._labels: Mapping[str, str] = target_labels(endpoint, asset)
        self._shapes: dict[str, Shape] = {}
        self._refresh_seconds = refresh_of(endpoint)
        self._up = SeriesLayout.of(labelled((UP,), self._labels))

    @property
    def gone(self) -> bool:
        return self.failures >= GONE_AFTER

    def answered(
        self, readings: tuple[Reading, ...], due: frozenset[str], writer: FrameWriter, now_ms: int
    ) -> list[Message]:
        """The frames of one answered poll. Raises `Malformed` when its labels cannot be used."""
        messages: list[Message] = []
        for reading in readings:
            messages += self._frame(reading, writer, now_ms)
        read = {reading.signal for reading in readings}
        for signal in (due - read) & self._shapes.keys():
            messages += self._ended(self._shapes.pop(signal), set(), writer, now_ms)
        if self.pace.fastest in due and self.pace.fastest not in read:
            messages += self._up_frame(1.0, writer, now_ms)
        if self.failures:
            self.failures = 0
        return messages

    def failed(self, writer: FrameWriter, now_ms: int) -> list[Message]:
        """`up` is 0; with the failure that makes the target gone, every other series ends."""
        self.failures += 1
        messages = self._up_frame(0.0, writer, now_ms)
        if self.failures == GONE_AFTER:
            messages += [message for end in self._ends(writer, now_ms) for message in end]
        return messages

    def _frame(self, reading: Reading, writer: FrameWriter, now_ms: int) -> list[Message]:
        shape = self._shapes.get(reading.signal)
        messages: list[Message] = []
        if shape is None or shape.seen is not reading.series:
            shape, messages = self._reshaped(reading, shape, writer, now_ms)
        quality = shape.marks.of(reading.values, reading.quality, reading.at_ms, now_ms)
        values = reading.values
        if shape.carries_up:
            values, quality = _with_up(values, quality)
        return messages + writer.messages(self.source, self.asset.zone, shape.layout, reading.at_ms, values, quality)

    def _reshaped(
        self, reading: Reading, before: Shape | None, writer: FrameWriter, now_ms: int
    ) -> tuple[Shape, list[Message]]:
        """The shape of a new layout, and the end of the series that it no longer has."""
        if before is not None and before.seen == reading.series:
            before.seen = reading.series
            return before, []
        carries_up = reading.signal == self.pace.fastest
        final = labelled((*reading.series, UP) if carries_up else reading.series, self._labels)
        shape = Shape(
            reading.series,
            SeriesLayout.of(final),
            Marks(reading.series, refresh_seconds=self._refresh_seconds),
            carries_up,
        )
        self._shapes[reading.signal] = shape
        if before is None:
            return shape, []
        return shape, self._ended(before, set(shape.layout.series), writer, now_ms)

    def _ended(self, shape: Shape, staying: set[Series], writer: FrameWriter, now_ms: int) -> list[Message]:
        """One frame of stale markers for the series of a layout that are no longer there."""
        left = [series for series in shape.layout.series if series not in staying and series[0] != "up"]
        if not left:
            return []
        layout = SeriesLayout.of(left)
        return writer.messages(self.source, self.asset.zone, layout, now_ms, np.full(len(left), STALE))

    def _ends(self, writer: FrameWriter, now_ms: int) -> Iterator[list[Message]]:
        """Every series of every signal ends; its layouts stay known for the return."""
        for shape in self._shapes.values():
            values = np.full(len(shape.layout.series), STALE)
            if shape.carries_up:
                values[-1] = 0.0
            shape.marks.forget()
            yield writer.messages(self.source, self.asset.zone, shape.layout, now_ms, values)

    def _up_frame(self, value: float, writer: FrameWriter, now_ms: int) -> list[Message]:
        return writer.messages(self.source, self.asset.zone, self._up, now_ms, np.array([value]))


def refresh_of(endpoint: Endpoint) -> float:
    """How old a value may be inside the device, in seconds: what the site says of this one, else its family."""
    own = endpoint.options.get("refresh_seconds")
    if isinstance(own, int | float):
        return float(own)
    profile = PROFILES.get(endpoint.profile)
    return 0.0 if profile is None else profile.refresh_seconds


def _with_up(values: Floats, quality: Marked | None) -> tuple[Floats, Marked | None]:
    longer = np.empty(len(values) + 1)
    longer[:-1] = values
    longer[-1] = 1.0
    if quality is None:
        return longer, None
    marks = np.zeros(len(quality) + 1, dtype=np.uint8)
    marks[:-1] = quality
    return longer, marks
