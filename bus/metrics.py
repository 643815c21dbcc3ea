"""The bus's counters for Prometheus: read at the scrape, so that nothing is counted twice and nothing costs in between."""

from collections.abc import Iterator
from typing import Final, Protocol

from prometheus_client import CollectorRegistry
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

MEANINGS: Final = {
    "published": "Messages accepted: durable on the bus, or in the spool in front of it.",
    "spooled": "Messages that went through the spool because the broker was away.",
    "dropped_frames": "Telemetry frames that the spool's ring gave up; no other class is ever dropped.",
    "outages": "How often the broker was lost.",
    "fetched": "Records handed to consumers of this process.",
    "missed": "Records that retention took before a consumer of this process fetched them.",
    "lost": "Partitions that went to another member with records fetched and not committed.",
    "failed_commits": "Commits that the broker did not take.",
    "rebuilt": "Kafka clients replaced because they had fallen silent.",
}
"""Counters; `pending` is a gauge beside them."""


class Metered(Protocol):
    """A bus that tells its counters."""

    def meters(self) -> dict[str, int]: ...


class BusCollector(Collector):
    """Shows one process's bus as `hallkeeper_bus_*`."""

    def __init__(self, bus: Metered) -> None:
        self._bus = bus

    def describe(self) -> Iterator[Metric]:
        """Nothing in advance: names depend on the adapter."""
        return iter(())

    def collect(self) -> Iterator[Metric]:
        """The counters as they are now."""
        meters = self._bus.meters()
        for name, meaning in MEANINGS.items():
            if name in meters:
                yield CounterMetricFamily(f"hallkeeper_bus_{name}", meaning, value=meters[name])
        waiting = "Accepted messages that are not on the bus yet."
        yield GaugeMetricFamily("hallkeeper_bus_pending", waiting, value=meters.get("pending", 0))


def show(bus: Metered, registry: CollectorRegistry) -> None:
    """Put the bus's counters on the page of this registry."""
    registry.register(BusCollector(bus))


def add_up(closed: dict[str, int], counted: object) -> None:
    """Add an object's counters to those of others."""
    for name in MEANINGS:
        value = getattr(counted, name, None)
        if value is not None:
            closed[name] = closed.get(name, 0) + int(value)
