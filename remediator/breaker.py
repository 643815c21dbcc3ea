"""Circuit breakers per failure domain and class: remedies that stop working there stop being tried there."""

from collections.abc import Sequence

from fleet.model import Domain, PlantGraph
from remediator.facts import Breaker, BreakerState
from remediator.records import Intent
from remediator.verbs import ActionClass

WINDOW_MS = 600_000
"""Failures count for ten minutes towards opening (default to tune)."""
UNPROVEN_TO_OPEN = 3
FAILED_SHARE_TO_OPEN = 0.05
"""Of a domain's members within the window, and at least three: a share of a small domain is one node."""
COOL_MS = 1_800_000
"""After half an hour without another failure one probe is let by (default to tune)."""
_FAILED = frozenset({"Unproven", "Ambiguous", "PermanentFailure"})


def breakers_of(
    domains: Sequence[Domain], class_: ActionClass, intents: Sequence[Intent], graph: PlantGraph, now_ms: int
) -> tuple[Breaker, ...]:
    """The breaker of each domain for a class, from how its acts ended."""
    ended = [intent for intent in intents if intent.class_ == class_]
    return tuple(_breaker(domain, class_, ended, graph, now_ms) for domain in domains)


def _breaker(domain: Domain, class_: ActionClass, intents: Sequence[Intent], graph: PlantGraph, now_ms: int) -> Breaker:
    if not intents:
        return Breaker(domain=domain, class_=class_, state=BreakerState.CLOSED)
    inside = graph.nodes_in(domain.id) | {domain.id}
    here = [intent for intent in intents if intent.target in inside]
    failures = sorted(i.closed_at_ms or 0 for i in here if i.outcome in _FAILED and not _settled_since(i, here))
    opened_ms = _opened_at(failures, len(inside))
    if opened_ms is None:
        return Breaker(domain=domain, class_=class_, state=BreakerState.CLOSED)
    text = f"{len(failures)} acts failed"
    if now_ms - failures[-1] < COOL_MS:
        return Breaker(domain=domain, class_=class_, state=BreakerState.OPEN, text=text)
    probing = any(intent.outcome is None for intent in here)
    return Breaker(domain=domain, class_=class_, state=BreakerState.HALF_OPEN, text=text, probing=probing)


def _opened_at(failures: Sequence[int], members: int) -> int | None:
    """When enough failures fell into one window; None where they never did."""
    needed = max(UNPROVEN_TO_OPEN, round(FAILED_SHARE_TO_OPEN * members))
    for first, last in zip(failures, failures[needed - 1 :], strict=False):
        if last - first <= WINDOW_MS:
            return last
    return None


def _settled_since(failure: Intent, intents: Sequence[Intent]) -> bool:
    """A success after it, in the same domain and past the cool time, closes the breaker again."""
    failed_ms = failure.closed_at_ms or 0
    return any(i.outcome == "Succeeded" and (i.created_at_ms - failed_ms) >= COOL_MS for i in intents)
