"""A look at all instruments in array calls: what `remediator.around` and `remediator.usual` do sample by sample, to the bit.

A look at the 4,200 instruments of 640 nodes costs a tenth of what it costs one by one. `tests/unit/replay` compares both.
"""

import math
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt

from fleet.model import AssetId, Site
from fleet.quality import Quality, quality_of
from hallkeeper.replay.window import Newest, SharedWindow
from remediator.around import KEEP_FRESH_MS, LEARN_MS, SIGHTING_FLOOR_MS, Around
from remediator.freeze import INSTRUMENTS, Sighting, vanished_together, whole_again
from remediator.sight import Signal
from remediator.usual import SETTLED_SECONDS, TIME_CONSTANT_SECONDS, UsualDraw

Numbers = npt.NDArray[np.int64]
Floats = npt.NDArray[np.float64]
GOOD = np.array([quality_of(byte) is Quality.GOOD for byte in range(256)])


class QuickUsual(UsualDraw):
    """Mean watts per outlet, fed many at a time."""

    def __init__(self) -> None:
        super().__init__()
        self._index: dict[AssetId, int] = {}
        self._mean: Floats = np.empty(0)
        self._first: Numbers = np.empty(0, dtype=np.int64)
        self._last: Numbers = np.empty(0, dtype=np.int64)
        self._known = np.zeros(0, dtype=np.bool_)

    def places(self, outlets: Iterable[AssetId]) -> Numbers:
        """Where they are kept, from now on."""
        found = np.array([self._index.setdefault(outlet, len(self._index)) for outlet in outlets], dtype=np.int64)
        more = len(self._index) - len(self._mean)
        self._mean = np.concatenate([self._mean, np.zeros(more)])
        self._first, self._last = (np.concatenate([old, np.zeros(more, np.int64)]) for old in (self._first, self._last))
        self._known = np.concatenate([self._known, np.zeros(more, np.bool_)])
        return found

    def feed_all(self, places: Numbers, watts: Floats, at_ms: Numbers) -> None:
        """One reading of each of some outlets."""
        known = self._known[places]
        mean = np.where(known, self._mean[places], watts)
        first, last = np.where(known, self._first[places], at_ms), np.where(known, self._last[places], at_ms)
        gone = np.maximum(0.0, (at_ms - last) / 1000)
        steps, which = np.unique(gone, return_inverse=True)
        weight = np.array([1 - math.exp(-step / TIME_CONSTANT_SECONDS) for step in steps.tolist()])[which]
        young = (at_ms - first < TIME_CONSTANT_SECONDS * 1000) & (gone > 0)
        plain = gone * 1000 / np.maximum(1, at_ms - first)
        weight = np.where(young & (plain > weight), plain, weight)
        self._mean[places] = mean + weight * (watts - mean)
        self._first[places], self._last[places] = first, np.maximum(last, at_ms)
        self._known[places] = True

    def feed(self, outlet: AssetId, watts: float, at_ms: int) -> None:
        """Take one reading of a living node's outlet."""
        self.feed_all(self.places([outlet]), np.array([watts]), np.array([at_ms]))

    def __call__(self, outlet: AssetId) -> float | None:
        """The usual draw in watts; None until enough was seen."""
        place = self._index.get(outlet)
        if place is None or not self._known[place] or self._last[place] - self._first[place] < SETTLED_SECONDS * 1000:
            return None
        return float(self._mean[place])

    def forget(self, outlets: Iterable[AssetId]) -> None:
        """The machine behind them changed."""
        for outlet in outlets:
            if outlet in self._index:
                self._known[self._index[outlet]] = False


@dataclass(slots=True)
class _Outlets:
    """Which outlet each row of the meters is, and which of the beats' assets its node is; -1 for none."""

    meters: object
    beats: object
    assets: Numbers
    """Of each row of the beats."""
    places: Numbers
    nodes: Numbers


@dataclass(slots=True)
class _Seen:
    """What each row of `up` is about, and what it said at the last look; -1 before the first."""

    labels: object
    names: list[tuple[str, str]]
    said: npt.NDArray[np.int8]


class QuickAround(Around):
    """The surroundings, looked at in array calls where each series is an instrument of its own."""

    def __init__(self, site: Site, window: SharedWindow, signal: Callable[[str], Signal]) -> None:
        super().__init__(site, window, signal)
        self._shared = window
        self._quick = QuickUsual()
        self.usual = self._quick
        self._meters: _Outlets | None = None
        self._seen: _Seen | None = None
        self._silent: dict[str, int] = {}
        """Instruments that do not answer, by kind."""

    def look(self, now_ms: int) -> None:
        """Learn what is usual, and see what fell silent."""
        if abs(now_ms - self._learned_ms) >= LEARN_MS:
            self._learned_ms = now_ms
            self._learn(now_ms)
        self._sight(now_ms)
        kinds = {
            kind: list(self._sightings[kind].values())
            for kind in [kind for kind in self._sightings if self._silent.get(kind, 0) >= INSTRUMENTS]
        }
        for kind in [kind for kind in self.vanished if whole_again(list(self._sightings[kind].values()), now_ms)]:
            del self.vanished[kind]
        for kind, alarm in vanished_together(kinds, now_ms).items():
            self.vanished.setdefault(kind, alarm)

    def _learn(self, now_ms: int) -> None:
        beats, meters = (
            self._shared.newest(name) for name in ("agent_heartbeat_timestamp_seconds", "pdu_outlet_power_watts")
        )
        if beats is None or meters is None:
            return
        map_ = self._outlet_map(beats, meters)
        alive = np.zeros(int(map_.assets.max(initial=-1)) + 2, dtype=np.bool_)  # the last stands for no node
        alive[map_.assets[beats.held & (now_ms - beats.at <= KEEP_FRESH_MS)]] = True
        fed = meters.held & (now_ms - meters.at <= KEEP_FRESH_MS) & GOOD[meters.states] & alive[map_.nodes]
        rows = np.flatnonzero(fed & (map_.places >= 0))
        if len(set(map_.places[rows].tolist())) < len(rows):  # one outlet twice: in their order
            for row in rows.tolist():
                self._quick.feed_all(map_.places[[row]], meters.values[[row]], meters.at[[row]])
        elif len(rows):
            self._quick.feed_all(map_.places[rows], meters.values[rows], meters.at[rows])

    def _outlet_map(self, beats: Newest, meters: Newest) -> _Outlets:
        known = self._meters
        if known is not None and known.beats is beats.labels and known.meters is meters.labels:
            return known
        numbers: dict[str | None, int] = {}
        assets = [numbers.setdefault(labels.get("asset"), len(numbers)) for labels in beats.labels]
        outlets = [self._outlets.get((labels.get("asset", ""), labels.get("outlet", ""))) for labels in meters.labels]
        there = self._quick.places([outlet[0] for outlet in outlets if outlet is not None])
        places = np.full(len(outlets), -1, dtype=np.int64)
        places[[place for place, outlet in enumerate(outlets) if outlet is not None]] = there
        nodes = [-1 if outlet is None else numbers.get(str(outlet[1]), -1) for outlet in outlets]
        self._meters = _Outlets(
            meters.labels, beats.labels, np.array(assets, dtype=np.int64), places, np.array(nodes, dtype=np.int64)
        )
        return self._meters

    def _sight(self, now_ms: int) -> None:
        ups = self._shared.newest("up")
        if ups is None:
            return
        if self._seen is None or self._seen.labels is not ups.labels:
            names = [(one.get("job", ""), f"{one.get('asset')}/{one.get('instance')}") for one in ups.labels]
            self._seen = _Seen(ups.labels, names, np.full(len(names), -1, dtype=np.int8))
        if len(set(self._seen.names)) < len(self._seen.names):
            super()._sight(now_ms)
            self._silent = {
                kind: sum(not one.answers for one in seen.values()) for kind, seen in self._sightings.items()
            }
            return
        limit_ms = 2 * self._signal("up").interval_ms + SIGHTING_FLOOR_MS
        answers = (ups.values >= 0.5) & (now_ms - ups.at <= limit_ms)
        news = np.flatnonzero(ups.held & (answers != self._seen.said))
        self._seen.said[news] = answers[news]
        for row in news.tolist():
            self._note(self._seen.names[row], ups.labels[row], bool(answers[row]), now_ms)

    def _note(self, named: tuple[str, str], labels: Mapping[str, str], answers: bool, now_ms: int) -> None:
        """An instrument is seen for the first time, or answers otherwise than before."""
        job, name = named
        kind = self._sightings[job]
        before = kind.get(name)
        if before is None:
            asset = AssetId(labels.get("asset", ""))
            kind[name] = Sighting(answers, now_ms if answers else 0, asset if asset in self._site.assets else None)
        elif before.answers is not answers:
            kind[name] = replace(before, answers=answers, since_ms=now_ms)
        else:
            return
        was_silent = before is not None and not before.answers
        self._silent[job] = self._silent.get(job, 0) + (not answers) - was_silent
