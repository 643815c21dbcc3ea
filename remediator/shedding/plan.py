"""The plan: the least that must be taken from those who matter most, then the least from the next, down to the first rung.

Lexicographic over the rungs, from the highest down: a rung is used only where all rungs before it, taken in full, are not
enough; of those on it the cheapest set is chosen; and what that leaves to relieve is sought below in the same way.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from remediator.shedding.cover import Candidate, cheapest
from remediator.shedding.options import RUNGS, Option, Prices, Rung, options
from remediator.shedding.survey import Place, Survey

TARGET_SHARE = 0.95
"""A place over its limit is brought down to this share of it (design, section 10; Dynamo's middle band)."""
MARGIN = 1.1
"""What is relieved against what a place over its limit needs (`remediation.md`, section 6)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Step:
    """One job or machine taken to one depth, with what it gives in all."""

    what: str
    rung: Rung
    relief: Mapping[str, float]
    """Watts at each place, with the depths on the way."""
    lost_gpu_seconds: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """What would be done, in order, and what it would leave."""

    steps: tuple[Step, ...]
    need: Mapping[str, float]
    """Watts to relieve at each place."""
    relief: Mapping[str, float]
    lost_gpu_seconds: float
    optimal: bool
    """False where the search was cut short: what stands here relieves enough, and something cheaper may exist."""

    @property
    def unmet(self) -> Mapping[str, float]:
        """Watts still missing, by place; empty where the plan is enough."""
        left = {place: watts - self.relief.get(place, 0.0) for place, watts in self.need.items()}
        return {place: watts for place, watts in left.items() if watts > 1e-6 * self.need[place]}

    @property
    def approval(self) -> bool:
        """Whether a person must allow part of it."""
        return any(step.rung.approval for step in self.steps)


def needs(places: Sequence[Place], target: Mapping[str, float]) -> dict[str, float]:
    """Watts to relieve: what was asked for, and at every place over its limit what brings it to the middle band."""
    found = dict(target)
    for place in places:
        if place.limit_watts is not None and place.watts > place.limit_watts:
            over = MARGIN * (place.watts - TARGET_SHARE * place.limit_watts)
            found[place.name] = max(over, found.get(place.name, 0.0))
    return found


def plan(survey: Survey, need: Mapping[str, float], prices: Prices, rungs: Sequence[Rung] = RUNGS) -> Plan:
    """The lexicographic optimum; where even everything is not enough, everything, and `unmet` says what is missing."""
    choices = options(survey, prices, rungs)
    top = _top(choices, need)
    taken: dict[str, int] = {}
    optimal = True
    for rung in range(top, -1, -1):
        free = [option for option in choices[rung] if option.what not in taken]
        below = _relief(option for each in choices[:rung] for option in each if option.what not in taken)
        so_far = _relief(_subsumed(choices, taken))
        left = {place: watts - so_far.get(place, 0.0) - below.get(place, 0.0) for place, watts in need.items()}
        found = cheapest([Candidate(each.what, each.lost_gpu_seconds, each.relief) for each in free], left)
        chosen = _useful(free, need) if found is None else found.chosen
        optimal &= found is None or found.optimal
        taken.update(dict.fromkeys(chosen, rung))
    return _written(choices, taken, need, rungs, optimal=optimal)


def _top(choices: Sequence[Sequence[Option]], need: Mapping[str, float]) -> int:
    """The lowest rung up to which all together are enough; the last one where nothing is."""
    for rung in range(len(choices)):
        have = _relief(option for each in choices[: rung + 1] for option in each)
        if all(have.get(place, 0.0) >= watts for place, watts in need.items()):
            return rung
    return len(choices) - 1


def _useful(free: Sequence[Option], need: Mapping[str, float]) -> tuple[str, ...]:
    """Everything that relieves a place in need: what is taken where it does not help is taken for nothing."""
    needy = {place for place, watts in need.items() if watts > 0}
    return tuple(option.what for option in free if any(option.relief.get(place, 0.0) > 0 for place in needy))


def _relief(chosen: Iterable[Option]) -> dict[str, float]:
    found: dict[str, float] = {}
    for option in chosen:
        for place, watts in option.relief.items():
            found[place] = found.get(place, 0.0) + watts
    return found


def _subsumed(choices: Sequence[Sequence[Option]], taken: Mapping[str, int]) -> list[Option]:
    """What is taken at a depth was taken at every depth on the way."""
    return [option for each in choices for option in each if option.rung <= taken.get(option.what, -1)]


def _written(
    choices: Sequence[Sequence[Option]],
    taken: Mapping[str, int],
    need: Mapping[str, float],
    rungs: Sequence[Rung],
    *,
    optimal: bool,
) -> Plan:
    parts: dict[str, list[Option]] = {}
    for option in _subsumed(choices, taken):
        parts.setdefault(option.what, []).append(option)
    steps = [
        Step(
            what=what,
            rung=rungs[taken[what]],
            relief=_relief(given),
            lost_gpu_seconds=sum(option.lost_gpu_seconds for option in given),
        )
        for what, given in parts.items()
    ]
    steps.sort(key=lambda step: (taken[step.what], step.lost_gpu_seconds, step.what))
    relief = _relief(_subsumed(choices, taken))
    lost = sum(step.lost_gpu_seconds for step in steps)
    return Plan(steps=tuple(steps), need=dict(need), relief=relief, lost_gpu_seconds=lost, optimal=optimal)
