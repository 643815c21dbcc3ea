"""What an engine keeps over a restart, and when: its alerts, what it looks back on, and a picture of its window."""

from collections.abc import Callable, Iterator, Mapping
from functools import partial
from pathlib import Path
from time import perf_counter
from typing import Final

import structlog

from bus.port import NOWHERE
from fleet.clock import Clock
from fleet.errors import Malformed
from rules.engine import Engine
from rules.forked import Pieces, Writer
from rules.keeping import Keeping, sealed
from rules.meters import Tally
from rules.picture_file import pieces, read_back

ALERTS_FILE: Final = "rules-alerts.state"
LOOK_BACKS_FILE: Final = "rules-rollups.state"
WINDOW_FILE: Final = "rules-window.state"

log = structlog.get_logger("rules.memory")


class Memory:
    """The files of one engine. Where engines share a folder only the one that speaks writes; else each keeps its window."""

    def __init__(
        self,
        engine: Engine,
        keeping: Keeping,
        clock: Clock,
        tally: Tally,
        *,
        bus: str,
        writer: Writer,
        now: Callable[[], int],
        positions: Callable[[], Mapping[tuple[str, int], int]],
    ) -> None:
        """`now` is evaluation time; `positions` says what of the bus is in the window."""
        self._engine, self._keeping, self._clock, self._tally = engine, keeping, clock, tally
        self._bus, self._writer, self._now, self._positions = bus, writer, now, positions
        self._changed = False

    def changed(self) -> None:
        """Alerts are other than those that were kept."""
        self._changed = True

    def restore(self) -> Mapping[tuple[str, int], int]:
        """What was before: window, alerts, look-backs; where on the bus to go on. What cannot be used is named and left aside."""
        positions = self._window()
        now_ms = self._clock.now_ms()
        restored = self._keeping.read(ALERTS_FILE, lambda state: self._engine.restore(state, now_ms))
        if restored is not None:
            log.info("alerts restored", alerts=restored)
        self._keeping.read(LOOK_BACKS_FILE, self._engine.restore_look_backs)
        return positions

    def _window(self) -> Mapping[tuple[str, int], int]:
        path, began = self._keeping.path(WINDOW_FILE), perf_counter()
        try:
            place = read_back(path, self._engine, now_ms=self._clock.now_ms(), bus=self._bus)
        except FileNotFoundError:
            return NOWHERE
        except (Malformed, OSError, ValueError) as error:
            log.warning("the window is read from the bus, its picture is not taken", file=str(path), why=str(error))
            return NOWHERE
        log.info(
            "window restored from its picture",
            series=self._engine.window.series,
            age_seconds=(self._clock.now_ms() - place.at_ms) / 1000,
            seconds=round(perf_counter() - began, 3),
        )
        return place.positions

    async def keep(self, speaks: Callable[[], bool]) -> None:
        """Alerts soon after a change and each second while `for` runs; everything once a minute; and the window's housekeeping."""
        rhythm, slow = self._keeping.rhythm(self._ticks()), self._keeping.rhythm(self._ticks())
        while True:
            await self._clock.sleep(1.0)
            now = self._ticks()
            if speaks() and rhythm.due(now, changed=self._changed or self._engine.pending):
                self._changed = False
                began = perf_counter()
                state = self._engine.state(self._now())
                rhythm.took(now, perf_counter() - began)
                await self._keeping.write(ALERTS_FILE, state)
            if slow.due(now, changed=False):
                await self._keep_large(speaks=speaks())
                slow.took(self._ticks(), 0.0)
            if rhythm.collects(now):
                self._engine.collect(self._now())

    async def _keep_large(self, *, speaks: bool) -> None:
        """What is too large for the loop, at one moment."""
        files: list[tuple[Path, Pieces]] = []
        if speaks and self._engine.window.rollups is not None:
            files.append((self._keeping.path(LOOK_BACKS_FILE), self._look_backs))
        if speaks or self._bus != "embedded":
            at_ms, positions = self._clock.now_ms(), dict(self._positions())
            picture = partial(pieces, self._engine, at_ms=at_ms, bus=self._bus, positions=positions)
            files.append((self._keeping.path(WINDOW_FILE), picture))
        if not files:
            return
        try:
            self._tally.held_seconds = max(self._tally.held_seconds, await self._writer(files))
        except OSError as error:
            log.error("window and look-backs cannot be kept, try space and permissions", why=str(error))

    def _look_backs(self) -> Iterator[bytes]:
        yield sealed(self._engine.look_backs() or b"")

    def last_words(self) -> None:
        """At the end, when nothing else waits; the window's picture of a minute ago is good enough. Raises `OSError`."""
        self._keeping.write_now(ALERTS_FILE, self._engine.state(self._now()))
        if (kept := self._engine.look_backs()) is not None:
            self._keeping.write_now(LOOK_BACKS_FILE, kept)

    def _ticks(self) -> int:
        return self._clock.boottime_ns() // 1_000_000
