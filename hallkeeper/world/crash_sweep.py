"""A crash before and after every durable write and every send: the run goes on after a restart, and every promise must hold.

The points of a story are counted in one undisturbed run; then each of them is run anew with the process that reaches it killed
there, and started again soon or late. No hand is lent.
"""

import shutil
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass, field
from multiprocessing import get_context
from typing import Any, Final

from hallkeeper.world.campaign import silence, workplace
from hallkeeper.world.hall import Ground
from hallkeeper.world.seeds import Run, Verdict
from hallkeeper.world.stories import BEGUN, STORIES, small_ground

RESTARTS: Final = (1.0, 9.0)
"""Seconds after which the dead process is started again."""
EXTRA_SECONDS: Final = 60.0
"""So much longer a story goes on when somebody died in it."""
SEED: Final = 5
_GROUND: dict[str, Ground] = {}


@dataclass(frozen=True, slots=True)
class Point:
    """One instant of one story."""

    story: str
    number: int
    process: str
    name: str
    restart: float


@dataclass(slots=True)
class Counting:
    """Counts the points of a run, and kills at one of them."""

    run: Run
    at: int | None = None
    restart: float = 1.0
    reached: list[tuple[str, str]] = field(default_factory=list)

    def __call__(self, process: str, name: str) -> None:
        """A point is reached."""
        if self.run.hall.loop.time() < BEGUN:
            return
        self.reached.append((process, name))
        if len(self.reached) == self.at:
            self.run.troubles.kill(process, self.restart)


def _ground() -> Ground:
    if "small" not in _GROUND:
        _GROUND["small"] = small_ground(workplace() / "ground")
    return _GROUND["small"]


def story_run(name: str, at: int | None = None, restart: float = 1.0) -> tuple[Verdict, list[tuple[str, str]]]:
    """One run of a story, with a crash at one of its points or with none."""
    silence()
    story, folder = STORIES[name], workplace()
    seconds = story.seconds if at is None else story.seconds + restart + EXTRA_SECONDS
    try:
        run = Run(_ground(), SEED, folder / "data", plan=story.plan, seconds=seconds)
        counting = Counting(run, at, restart)
        run.hall.point = counting
        return run.verdict(), counting.reached
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def points_of(names: Sequence[str] = tuple(STORIES)) -> Iterator[Point]:
    """Every point of the stories."""
    for name in names:
        _, reached = story_run(name)
        for number, (process, what) in enumerate(reached, start=1):
            for restart in RESTARTS:
                yield Point(name, number, process, what, restart)


def tried(point: Point) -> tuple[Point, Verdict]:
    """One point."""
    verdict, _ = story_run(point.story, point.number, point.restart)
    return point, verdict


def evenly(points: Sequence[Point], most: int) -> Sequence[Point]:
    """At most so many, spread over all of them; all where `most` is 0."""
    if not most or len(points) <= most:
        return points
    return [points[index * len(points) // most] for index in range(most)]


def sweep(*, jobs: int, points: int = 0, told: Callable[[str], None] = lambda _: None) -> dict[str, Any]:
    """Run all points; what broke, by story and point."""
    known = list(points_of())
    chosen = evenly(known, points)
    told(f"{len(known)} points in {len(STORIES)} stories, {len(chosen)} are tried")
    failures, by_name, cpu = [], Counter[str](), 0.0
    for number, (point, verdict) in enumerate(_all(chosen, jobs), start=1):
        by_name[f"{point.process} {point.name}"] += 1
        cpu += verdict.cpu_seconds
        if verdict.violations:
            failures.append({"point": str(point), "violations": list(verdict.violations)})
            told(f"{point}: {verdict.violations}")
        if number % 100 == 0:
            told(f"{number} of {len(chosen)}, {len(failures)} failed, {cpu:.0f} CPU-seconds")
    return {
        "points": len(known),
        "tried": len(chosen),
        "violations": sum(len(one["violations"]) for one in failures),
        "failures": failures,
        "by_point": dict(sorted(by_name.items())),
    }


def _all(points: Sequence[Point], jobs: int) -> Iterator[tuple[Point, Verdict]]:
    if jobs <= 1:
        yield from map(tried, points)
        return
    with ProcessPoolExecutor(jobs, mp_context=get_context("spawn")) as pool:
        yield from pool.map(tried, points, chunksize=4)
