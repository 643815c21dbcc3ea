"""What the bus counts, as Prometheus reads it."""

from prometheus_client import CollectorRegistry, generate_latest

from bus.embedded import EmbeddedBus
from bus.metrics import show
from bus.port import open_bus
from bus.topics import ALERTS, EVENTS, FRAMES
from fleet.clock import SystemClock
from tests.contract.bus.harness import numbered


def shown(registry: CollectorRegistry) -> dict[str, float]:
    lines = [line.split() for line in generate_latest(registry).decode().splitlines() if not line.startswith("#")]
    return {name.removeprefix("hallkeeper_bus_"): float(value) for name, value in lines}


async def test_the_embedded_bus_shows_what_it_accepted_and_handed_out(tmp_path):
    bus = await EmbeddedBus.open(tmp_path / "bus.sqlite", clock=SystemClock(), partitions=1)
    registry = CollectorRegistry()
    show(bus, registry)
    await bus.publish(numbered(EVENTS, 5))
    for _ in range(2):
        reader = await bus.reader(topics=[EVENTS])
        await reader.fetch()
        await reader.close()
    await bus.consumer(group="g", topics=[EVENTS])
    assert shown(registry) == {
        "published_total": 5,
        "fetched_total": 10,
        "missed_total": 0,
        "lost_total": 0,
        "pending": 0,
    }
    await bus.close()


async def test_a_bus_whose_broker_is_away_shows_what_waits(tmp_path, monkeypatch):
    monkeypatch.setattr("bus.spooled.START_SECONDS", 0.0)
    bus = await open_bus("kafka://127.0.0.1:1", data=tmp_path, clock=SystemClock(), partitions=1)
    registry = CollectorRegistry()
    show(bus, registry)
    assert shown(registry) == {"pending": 0}
    await (await bus.publisher()).publish(numbered(ALERTS, 3) + numbered(FRAMES, 4))
    now = shown(registry)
    assert (now["pending"], now["spooled_total"], now["published_total"], now["dropped_frames_total"]) == (7, 7, 7, 0)
    await bus.close()
