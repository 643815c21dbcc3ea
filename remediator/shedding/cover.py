"""The cheapest set of jobs that relieves every place as needed: an exact 0/1 covering knapsack by branch and bound.

Minimise the sum of prices over the chosen, so that at every place the chosen relieve at least the need. Jobs are tried from
the best price per watt; a branch is left when even its cheapest completion, jobs divisible, is no better than what was found.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

LOOKS = 200_000
"""Branches looked at before the best found so far is taken, and said to be that: a default of ours, about a second."""
SLACK = 1e-9
"""Relative: sums of floats in another order are the same relief."""


@dataclass(frozen=True, slots=True)
class Candidate:
    """Something that may be taken, as a whole."""

    name: str
    price: float
    relief: Mapping[str, float]


@dataclass(frozen=True, slots=True)
class Cover:
    """What is taken, and whether nothing cheaper exists."""

    chosen: tuple[str, ...]
    price: float
    optimal: bool


def cheapest(candidates: Sequence[Candidate], need: Mapping[str, float], looks: int = LOOKS) -> Cover | None:
    """The cheapest cover of what is needed (watts by place); None where all of them together are not enough."""
    needy = {place: watts for place, watts in need.items() if watts > 0}
    if not needy:
        return Cover((), 0.0, optimal=True)
    useful = [each for each in candidates if any(each.relief.get(place, 0.0) > 0 for place in needy)]
    search = _Search(useful, needy, looks)
    return search.run()


class _Search:
    """Depth first with the better branch (take it) first; `_rest[i]` is what all candidates from i on relieve."""

    def __init__(self, candidates: Sequence[Candidate], need: Mapping[str, float], looks: int) -> None:
        self._places = tuple(need)
        self._need = tuple(need.values())
        self._slack = tuple(SLACK * watts for watts in self._need)
        total = {place: sum(each.relief.get(place, 0.0) for each in candidates) for place in need}

        def worth(each: Candidate) -> float:
            return sum(each.relief.get(place, 0.0) / max(need[place], total[place] * SLACK) for place in need)

        self._order = sorted(candidates, key=lambda each: (each.price / max(worth(each), 1e-12), each.name))
        self._relief = [tuple(each.relief.get(place, 0.0) for place in self._places) for each in self._order]
        self._rest = self._suffixes()
        self._ranked = [
            sorted(
                (at for at in range(len(self._order)) if self._relief[at][place] > 0),
                key=lambda at, place=place: self._order[at].price / self._relief[at][place],  # type: ignore[misc]
            )
            for place in range(len(self._places))
        ]
        self._looks = looks
        self._best: tuple[float, tuple[int, ...]] | None = None

    def _suffixes(self) -> list[tuple[float, ...]]:
        rest = [tuple(0.0 for _ in self._places)]
        for relief in reversed(self._relief):
            rest.append(tuple(left + own for left, own in zip(rest[-1], relief, strict=True)))
        return rest[::-1]

    def run(self) -> Cover | None:
        stack: list[tuple[int, float, tuple[int, ...], tuple[float, ...]]] = [(0, 0.0, (), self._need)]
        while stack and self._looks > 0:
            self._looks -= 1
            at, price, taken, left = stack.pop()
            if self._met(left):
                if self._best is None or price < self._best[0]:
                    self._best = (price, taken)
            elif self._hopeful(at, price, left):
                stack.append((at + 1, price, taken, left))
                less = tuple(watts - own for watts, own in zip(left, self._relief[at], strict=True))
                stack.append((at + 1, price + self._order[at].price, (*taken, at), less))
        if self._best is None:
            return None
        price, taken = self._best
        return Cover(tuple(sorted(self._order[at].name for at in taken)), price, optimal=not stack)

    def _met(self, left: Sequence[float]) -> bool:
        return all(watts <= slack for watts, slack in zip(left, self._slack, strict=True))

    def _hopeful(self, at: int, price: float, left: Sequence[float]) -> bool:
        if any(watts > rest + slack for watts, rest, slack in zip(left, self._rest[at], self._slack, strict=True)):
            return False
        if self._best is None:
            return True
        return price + max(self._bound(place, at, left[place]) for place in range(len(left))) < self._best[0]

    def _bound(self, place: int, at: int, left: float) -> float:
        """The least that relieving one place alone costs, jobs divisible, from candidate `at` on."""
        price = 0.0
        for each in self._ranked[place]:
            if left <= 0:
                break
            if each >= at:
                part = min(1.0, left / self._relief[each][place])
                price += part * self._order[each].price
                left -= part * self._relief[each][place]
        return price
