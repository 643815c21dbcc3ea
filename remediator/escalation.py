"""Which rung comes next: reversible ones first, then the cheapest in GPU-seconds times how often it did not help here. Pure.

The price of a rung is what it costs when it does not help: the GPU-seconds that its target stands, times one minus the
share of earlier uses of this rung on this model of hardware after which the node was healed. Until a site has measured
that, the playbook's own guess counts like a few uses.
"""

from collections.abc import Callable, Collection, Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from fleet.model import AssetId
from remediator.playbook import Ends, Playbook, Rung
from remediator.records import Remediation
from remediator.transitions import Phase

GUESS_USES = 4.0
"""As how many measured uses the playbook's guess counts (default to tune)."""
MEASURED_DAYS = 90
"""Uses of a rung count so long."""

Tally = Mapping[tuple[str, str], tuple[int, int]]
"""By model of hardware and rung: how often it was used, and how often it helped."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Price:
    """One rung's price, and what it is made of."""

    rung: str
    gpus: int
    seconds: float
    success: float
    used: int

    @property
    def gpu_seconds(self) -> float:
        """Expected to be lost without help."""
        return self.gpus * self.seconds * (1 - self.success)

    @property
    def text(self) -> str:
        """For the decision record."""
        how = f"measured over {self.used} uses" if self.used else "guessed, never used on this hardware"
        return (
            f"rung {self.rung}: {self.gpu_seconds:.0f} GPU-seconds = {self.gpus} GPUs x {self.seconds:.0f} s"
            f" x (1 - {self.success:.2f} {how})"
        )


def tally(ended: Iterable[Remediation], model: Callable[[AssetId], str]) -> Tally:
    """How rungs did, from remediations that ended: the last one of each helped if the node was healed, all before did not."""
    found: dict[tuple[str, str], tuple[int, int]] = {}
    for state in ended:
        rungs = [str(line["rung"]) for line in state.memory.get("ladder", ())]
        for place, rung in enumerate(rungs):
            last = place == len(rungs) - 1
            if last and state.phase not in _JUDGED:
                continue
            used, helped = found.get((model(state.target), rung), (0, 0))
            found[model(state.target), rung] = (used + 1, helped + int(last and state.phase is Phase.SUCCEEDED))
    return found


_JUDGED = frozenset({Phase.SUCCEEDED, Phase.ESCALATED, Phase.FAILED})


def price_of(rung: Rung, gpus: int, model: str, measured: Tally) -> Price:
    """What a rung costs on this hardware."""
    used, helped = measured.get((model, rung.rung), (0, 0))
    success = (helped + GUESS_USES * rung.success) / (used + GUESS_USES)
    return Price(rung=rung.rung, gpus=gpus, seconds=rung.seconds, success=success, used=used)


def next_rung(
    playbook: Playbook, tried: Collection[str], prices: Mapping[str, Price], *, start: str | None = None
) -> int | None:
    """The place of the rung to go on with; None when they are used up.

    `start` is the rung that the fault's code names: what stands before it in the file is too weak and left out.
    """
    names = [rung.rung for rung in playbook.ladder]
    first = names.index(start) if start in names else 0
    left = [
        place
        for place, rung in enumerate(playbook.ladder)
        if place >= first and rung.rung not in tried and _reached(rung, tried, names[first:])
    ]
    return min(left, key=lambda place: _rank(playbook.ladder[place], prices, place), default=None)


def _reached(rung: Rung, tried: Collection[str], names: Collection[str]) -> bool:
    return all(name in tried for name in rung.after if name in names)


def _rank(rung: Rung, prices: Mapping[str, Price], place: int) -> tuple[bool, bool, float, int]:
    """People last; reversible first, in the file's order; then by price."""
    price = 0.0 if rung.reversible else prices[rung.rung].gpu_seconds
    return rung.ends is Ends.HANDED_OVER, not rung.reversible, price, place


def line_of(price: Price, place: int, now_ms: int) -> dict[str, Any]:
    """What a remediation remembers of a choice."""
    return {"rung": price.rung, "place": place, "at_ms": now_ms, "gpu_seconds": price.gpu_seconds, "text": price.text}
