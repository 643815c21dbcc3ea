"""A window is rebuilt from what the bus held when that began, on a bus on which there is always more."""

import asyncio
from types import SimpleNamespace

from rules.service import RulesService


class Endless:
    """A feed whose bus gets one more record for each that is taken."""

    def __init__(self, *waiting: int | None) -> None:
        self.fetched = 0
        self._waiting = list(waiting)

    async def backlog(self, _frames: object) -> int | None:
        return self._waiting.pop(0) if len(self._waiting) > 1 else self._waiting[0]

    async def fetch(self, _frames: object, _wait: float) -> None:
        self.fetched += 10

    def refilled(self) -> None:
        pass


async def rebuilt(feed: Endless) -> int:
    """How many records were taken before the window counted as rebuilt."""
    counts = SimpleNamespace(frames=0)
    engine = SimpleNamespace(window=SimpleNamespace(series=0, counts=counts))
    service = SimpleNamespace(_feed=feed, progress=0, engine=engine)
    async with asyncio.timeout(5):
        await RulesService._rebuild(service, None)
    assert service._rebuilt
    return feed.fetched


async def test_what_comes_meanwhile_does_not_put_it_off() -> None:
    assert await rebuilt(Endless(25, 25)) == 30


async def test_a_bus_that_does_not_answer_yet_is_asked_again() -> None:
    assert await rebuilt(Endless(None, None, 5, 5)) == 30


async def test_an_empty_bus_has_nothing_to_wait_for() -> None:
    assert await rebuilt(Endless(0)) == 0
