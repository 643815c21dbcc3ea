"""How many data loaders a training job needs: by its queue and by how its GPUs wait for input. Pure; the verb is `scale`.

More at once when the queue runs dry or GPUs wait, fewer slowly when nobody does; never beyond the owner's bounds, never
within the cool-down, and never on a reading that is missing.
"""

from dataclasses import dataclass

GROW_SHARE, SHRINK_SHARE = 0.5, 0.1
"""How far one step grows and shrinks the group (defaults to tune): too few loaders idle GPUs, too many idle CPUs."""
WAITING_RATIO = 0.05
"""GPUs that wait for input more than this share of the time are starved (a default to tune)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Loaders:
    """A group of data loaders and what it serves, as read now; None where a reading is missing."""

    replicas: int
    least: int
    most: int
    queue_items: float | None
    """Batches that are ready; 0 starves the job."""
    wanted_items: float
    """Batches that should be ready: the job's own prefetch."""
    gpu_wait_ratio: float | None
    """Share of the time in which GPUs wait for input."""
    since_scaled_seconds: float
    cool_down_seconds: float = 300.0


@dataclass(frozen=True, slots=True)
class Wanted:
    """The replicas that fit, and why."""

    replicas: int
    why: str


def wanted_replicas(loaders: Loaders) -> Wanted:
    """As many as now, unless readings and time allow a step. A group outside its bounds is brought inside at once."""
    bounded = min(max(loaders.replicas, loaders.least), loaders.most)
    if bounded != loaders.replicas:
        return Wanted(bounded, "outside its owner's bounds")
    if loaders.queue_items is None or loaders.gpu_wait_ratio is None:
        return Wanted(bounded, "a reading is missing")
    if loaders.since_scaled_seconds < loaders.cool_down_seconds:
        return Wanted(bounded, "scaled a moment ago")
    starved = loaders.gpu_wait_ratio > WAITING_RATIO
    if starved and loaders.queue_items < loaders.wanted_items:
        grown = min(loaders.most, bounded + max(1, round(bounded * GROW_SHARE)))
        return Wanted(grown, f"GPUs wait {loaders.gpu_wait_ratio:.0%} of the time and the queue is short")
    if not starved and loaders.queue_items >= 2 * loaders.wanted_items:
        shrunk = max(loaders.least, bounded - max(1, round(bounded * SHRINK_SHARE)))
        return Wanted(shrunk, "the queue is twice as long as it need be")
    return Wanted(bounded, "the queue fits")
