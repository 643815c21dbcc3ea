"""Many seeds over several processes: what they did, what refused, what broke, and how fast time went."""

import logging
import shutil
import tempfile
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from pathlib import Path
from typing import Any, Final

import structlog

from hallkeeper.world.hall import Ground
from hallkeeper.world.seeds import Run, Verdict, campaign_ground

IN_MEMORY: Final = Path("/dev/shm")  # noqa: S108 - a run's data folder is not meant to survive the run
_GROUND: dict[str, Ground] = {}
"""A worker's own: made once, used for every seed."""


def workplace() -> Path:
    """A new folder, in memory where there is such a place: a run syncs hundreds of times and survives nothing."""
    return Path(tempfile.mkdtemp(prefix="hallkeeper-world-", dir=IN_MEMORY if IN_MEMORY.is_dir() else None))


def run_seed(seed: int) -> Verdict:
    """One seed in this process."""
    silence()
    ground = _GROUND.get("campaign")
    folder = workplace()
    try:
        if ground is None:
            ground = _GROUND["campaign"] = campaign_ground(workplace() / "ground")
        return Run(ground, seed, folder / "data").verdict()
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def silence() -> None:
    """What the services log of injected faults is nobody's news."""
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.CRITICAL))
    logging.getLogger("asyncio").setLevel(logging.CRITICAL + 1)


def leave() -> None:
    """Give the ground of this process back."""
    ground = _GROUND.pop("campaign", None)
    if ground is not None:
        shutil.rmtree(ground.folder.parent, ignore_errors=True)


def verdicts(seeds: Sequence[int], *, jobs: int, run: Callable[[int], Verdict] = run_seed) -> Iterator[Verdict]:
    """Each seed's verdict, in their order."""
    if jobs <= 1:
        try:
            yield from map(run, seeds)
        finally:
            leave()
        return
    with ProcessPoolExecutor(jobs, mp_context=get_context("spawn")) as pool:
        yield from pool.map(run, seeds)


def report(found: Iterable[Verdict]) -> dict[str, Any]:
    """The campaign in numbers; every failure with the seed that replays it."""
    all_of_them = list(found)
    simulated = sum(verdict.simulated_seconds for verdict in all_of_them)
    cpu = sum(verdict.cpu_seconds for verdict in all_of_them)
    return {
        "seeds": len(all_of_them),
        "violations": sum(len(verdict.violations) for verdict in all_of_them),
        "times_real_time": round(simulated / cpu, 1) if cpu else 0.0,
        "failures": [
            {"seed": verdict.seed, "acts": verdict.acts, "violations": list(verdict.violations)}
            for verdict in all_of_them
            if verdict.failed
        ],
        "acts": sum(verdict.acts for verdict in all_of_them),
        "refusals_by_gate": _sum(verdict.refusals for verdict in all_of_them),
        "faults_injected": _sum(verdict.injected for verdict in all_of_them),
    }


def _sum(counts: Iterable[dict[str, int]]) -> dict[str, int]:
    total: Counter[str] = Counter()
    for one in counts:
        total.update(one)
    return dict(sorted(total.items()))
