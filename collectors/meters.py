"""What the collectors say of themselves, in Prometheus's form.

Polls are counted in plain numbers and become metrics when somebody asks: at a thousand polls a second the client
library's own counters would cost more than the quality marks.
"""

from bisect import bisect_left
from collections.abc import Callable, Iterator
from enum import StrEnum
from typing import Protocol

from prometheus_client import CollectorRegistry
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily, Metric

SECONDS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0)


class Outcome(StrEnum):
    """How a poll ended."""

    ANSWERED = "answered"
    UNREACHABLE = "unreachable"
    REFUSED = "refused"
    MALFORMED = "malformed"
    FAILED = "failed"
    """A fault of ours: the log has its trace."""


class Presence(Protocol):
    """A target, as far as it is counted."""

    @property
    def gone(self) -> bool: ...


class JobMeters:
    """The counts of one kind of target."""

    __slots__ = ("buckets", "points", "polls", "refused", "seconds", "skipped", "targets")

    def __init__(self) -> None:
        self.polls = dict.fromkeys(Outcome, 0)
        self.buckets = [0] * (len(SECONDS) + 1)
        self.seconds = 0.0
        self.points = 0
        self.skipped = 0
        """Turns left out because the last poll still ran."""
        self.targets: list[Presence] = []
        self.refused = 0
        """Targets that cannot be asked until a person changes something."""

    def polled(self, outcome: Outcome, seconds: float, points: int) -> None:
        """Count one poll."""
        self.polls[outcome] += 1
        self.buckets[bisect_left(SECONDS, seconds)] += 1
        self.seconds += seconds
        self.points += points

    def cumulated(self) -> list[tuple[str, float]]:
        """The buckets as Prometheus counts them: each with all below it."""
        total = 0
        found = []
        for bound, count in zip((*map(str, SECONDS), "+Inf"), self.buckets, strict=True):
            total += count
            found.append((bound, float(total)))
        return found


class Meters:
    """Every count of the service; a collector of its registry."""

    def __init__(self, registry: CollectorRegistry) -> None:
        self.dropped = 0
        self._jobs: dict[str, JobMeters] = {}
        registry.register(self)

    def of(self, job: str) -> JobMeters:
        """The counts of a kind of target."""
        found = self._jobs.get(job)
        if found is None:
            found = self._jobs[job] = JobMeters()
        return found

    def drop(self, count: int) -> None:
        """Count messages with frames that were given up."""
        self.dropped += count

    def describe(self) -> Iterator[Metric]:
        """Registering asks for no values."""
        return iter(())

    def collect(self) -> Iterator[Metric]:
        """Every metric, as `prometheus_client` wants it."""
        polls = CounterMetricFamily("hallkeeper_polls", "Polls of targets by how they ended", labels=["job", "outcome"])
        seconds = HistogramMetricFamily(
            "hallkeeper_poll_seconds", "From asking a target to its whole answer", labels=["job"]
        )
        targets = GaugeMetricFamily("hallkeeper_targets", "Targets by state", labels=["job", "state"])
        for job, meters in self._jobs.items():
            for outcome, count in meters.polls.items():
                polls.add_metric([job, outcome.value], count)
            seconds.add_metric([job], meters.cumulated(), meters.seconds)
            gone = sum(target.gone for target in meters.targets)
            for state, count in (("gone", gone), ("here", len(meters.targets) - gone), ("refused", meters.refused)):
                targets.add_metric([job, state], count)
        yield from (polls, seconds, targets)
        yield self._counted("hallkeeper_points", "Values read", lambda meters: meters.points)
        yield self._counted(
            "hallkeeper_polls_skipped", "Turns left out because the last poll still ran", lambda meters: meters.skipped
        )
        yield CounterMetricFamily(
            "hallkeeper_frames_dropped", "Messages with frames given up because the bus was away", value=self.dropped
        )

    def _counted(self, name: str, text: str, count: Callable[[JobMeters], int]) -> Metric:
        family = CounterMetricFamily(name, text, labels=["job"])
        for job, meters in self._jobs.items():
            family.add_metric([job], count(meters))
        return family
