"""The collectors' promises: one answer one frame, stable layouts, final labels, events, hurry, readiness, draining."""

from bus.errors import BusError
from bus.events import DeviceEvent, IncidentEvent, IncidentState, decode_event, encode_event
from bus.frames import SeriesTable, decode, values_of
from bus.port import Record
from bus.topics import FRAMES, INCIDENTS
from collectors.poller import Poll
from fleet.clock import VirtualClock
from fleet.model import Asset, AssetId, Kind
from fleet.quality import Quality, Reason, quality_of, reason_of
from tests.peers.collecting import ScriptedPoller, collecting, reading
from tests.peers.targets import exporter_endpoint, node, pdu_endpoint, site_of

SOURCE = "dgx-001/dcgm"


def one_node(clock: VirtualClock, answer, signals=None):
    site = site_of(node(exporter_endpoint("http://10.0.0.1:9400/metrics")))
    return site, {"dgx-001": ScriptedPoller(clock, answer, signals or {"gpu": 1.0})}


async def test_one_answer_is_one_frame_and_the_layout_is_told_once() -> None:
    clock = VirtualClock()
    values = iter(range(100))
    same = reading(clock, {"DCGM_FI_DEV_GPU_TEMP": 0.0, "DCGM_FI_DEV_POWER_USAGE": 0.0}).series

    def answer(due):
        found = reading(clock, {"DCGM_FI_DEV_GPU_TEMP": next(values), "DCGM_FI_DEV_POWER_USAGE": 200.0})
        return Poll(readings=(type(found)(series=same, values=found.values, at_ms=found.at_ms, signal="gpu"),))

    site, pollers = one_node(clock, answer)
    async with collecting(site, clock, pollers) as (_, bus, _registry):
        await clock.advance(30.5)
    frames = bus.frames(SOURCE)
    assert len(frames) == len(pollers["dgx-001"].asked)
    assert [frame.sequence for frame, _ in frames] == list(range(len(frames)))
    assert {frame.layout for frame, _ in frames} == {frames[0][0].layout}
    tables = [
        m for m in bus.messages if m.topic == FRAMES and m.key == SOURCE and isinstance(decode(m.value), SeriesTable)
    ]
    assert len(tables) == 1
    assert values_of(frames[3][0]).tolist() == [3.0, 200.0, 1.0], "the page's values, and up"


async def test_series_carry_the_inventorys_labels_and_a_colliding_one_becomes_exported() -> None:
    clock = VirtualClock()
    site, pollers = one_node(
        clock,
        lambda due: Poll(readings=(reading(clock, {"m_total": 1.0}, gpu="0", instance="10.9.9.9", job="theirs"),)),
    )
    async with collecting(site, clock, pollers) as (_, bus, _registry):
        await clock.advance(2)
    ((name, labels), up) = bus.frames(SOURCE)[0][1].series
    assert name == "m_total"
    assert dict(labels) == {
        "asset": "dgx-001",
        "exported_instance": "10.9.9.9",
        "exported_job": "theirs",
        "gpu": "0",
        "instance": "http://10.0.0.1:9400/metrics",
        "job": "dcgm",
        "node": "dgx-001",
        "rack": "r01",
        "zone": "1",
    }
    assert up[0] == "up"
    assert {message.partition for message in bus.messages if message.key == SOURCE} == {1}


async def test_a_series_that_leaves_the_page_ends_and_the_others_go_on() -> None:
    clock = VirtualClock()
    pages = iter([{"a": 1.0, "b": 2.0}, {"a": 1.0, "b": 2.0}, {"a": 1.0}, {"a": 1.0, "c": 3.0}])
    site, pollers = one_node(clock, lambda due: Poll(readings=(reading(clock, next(pages, {"a": 9.0})),)))
    async with collecting(site, clock, pollers) as (_, bus, _registry):
        await clock.advance(7)
    assert bus.history(SOURCE, "b") == [2.0, 2.0, "stale"]
    assert bus.history(SOURCE, "c") == [3.0, "stale"]
    assert "stale" not in bus.history(SOURCE, "a")


async def test_each_signal_is_read_at_its_own_interval_and_up_rides_with_the_fastest() -> None:
    clock = VirtualClock()

    def answer(due):
        return Poll(readings=tuple(reading(clock, {f"{signal}_value": 1.0}, signal=signal) for signal in sorted(due)))

    site = site_of(node(pdu_endpoint("127.0.0.1:161")))
    pollers = {"pdu-1": ScriptedPoller(clock, answer, {"inlet": 1.0, "outlet": 10.0, "energy": 60.0})}
    async with collecting(site, clock, pollers, inlet=1.0, outlet=5.0) as (_, bus, _registry):
        await clock.advance(120.5)
    counts = {s: len(bus.history("pdu-1/snmp", f"{s}_value")) for s in ("inlet", "outlet", "energy")}
    assert 119 <= counts["inlet"] <= 121
    assert 24 <= counts["outlet"] <= 26, "the settings' 5 s count, not the profile's 10 s"
    assert 2 <= counts["energy"] <= 4
    assert len(bus.history("pdu-1/snmp", "up")) == counts["inlet"]


async def test_device_events_are_published_under_their_asset() -> None:
    clock = VirtualClock()
    event = DeviceEvent(
        asset="dgx-001", source=SOURCE, kind="xid", code="79", severity="critical", text="fell off the bus", at_ms=1
    )
    events = iter([(event,)])
    site, pollers = one_node(clock, lambda due: Poll(readings=(reading(clock, {"a": 1.0}),), events=next(events, ())))
    async with collecting(site, clock, pollers) as (_, bus, _registry):
        await clock.advance(5)
    (message,) = bus.events()
    assert message.key == "dgx-001"
    assert decode_event(message.value) == event


def incident(state: IncidentState, sequence: int, assets: list[str]) -> Record:
    event = IncidentEvent(
        incident_id="i-1",
        state=state,
        title="hung",
        severity="critical",
        root=assets[0],
        alerts=[],
        assets=assets,
        remediations=[],
        opened_at_ms=1,
        updated_at_ms=sequence,
        sequence=sequence,
        epoch=1,
    )
    return Record(INCIDENTS, 0, sequence, "i-1", encode_event(event), (), 1)


async def test_assets_of_an_open_incident_and_the_pdus_that_feed_them_are_read_every_two_seconds() -> None:
    clock = VirtualClock()
    pdu, other = (
        Asset(id=AssetId(name), kind=Kind.PDU, zone=1, endpoints=(pdu_endpoint("127.0.0.1:161", asset=name),))
        for name in ("pdu-1", "pdu-2")
    )
    outlet = Asset(id=AssetId("pdu-1#1"), kind=Kind.OUTLET, zone=1, fed_by=(AssetId("pdu-1"),))
    machine = Asset(id=AssetId("dgx-001"), kind=Kind.NODE, zone=1, fed_by=(outlet.id,))
    site = site_of(pdu, other, outlet, machine)

    def answer(due):
        return Poll(readings=tuple(reading(clock, {"v": 1.0}, signal=signal) for signal in sorted(due)))

    pollers = {name: ScriptedPoller(clock, answer, {"outlet": 10.0, "energy": 60.0}) for name in ("pdu-1", "pdu-2")}
    async with collecting(site, clock, pollers) as (_, bus, _registry):
        await clock.advance(60)
        bus.tell(incident(IncidentState.OPEN, 1, ["dgx-001"]))
        opened = clock.boottime_ns() / 1e9
        await clock.advance(20)
        assert len(pollers["pdu-1"].times(since=opened)) >= 9
        assert len(pollers["pdu-2"].times(since=opened)) <= 3
        assert sum("energy" in due for at, due in pollers["pdu-1"].asked if at >= opened) <= 1
        bus.tell(incident(IncidentState.RESOLVED, 2, ["dgx-001"]))
        await clock.advance(12)
        closed = clock.boottime_ns() / 1e9
        await clock.advance(60)
        assert len(pollers["pdu-1"].times(since=closed)) <= 7


async def test_a_bus_that_cannot_tell_incidents_stops_no_poll_and_is_asked_again() -> None:
    clock = VirtualClock()
    site, pollers = one_node(clock, lambda due: Poll(readings=(reading(clock, {"a": 1.0}),)), {"gpu": 10.0})
    async with collecting(site, clock, pollers, gpu=10.0) as (_, bus, _registry):
        fetch, bus.fetch = bus.fetch, broken
        await clock.advance(30)
        bus.fetch = fetch
        assert len(pollers["dgx-001"].asked) >= 3
        await clock.advance(6)
        bus.tell(incident(IncidentState.OPEN, 1, ["dgx-001"]))
        opened = clock.boottime_ns() / 1e9
        await clock.advance(20)
    assert len(pollers["dgx-001"].times(since=opened)) >= 9


async def broken(**_: object) -> list:
    raise BusError("the broker is away")


async def test_values_are_marked_by_range_and_by_rate_and_a_good_one_is_not() -> None:
    clock = VirtualClock()
    temperatures = iter([40.0, 41.0, 900.0, 42.0])
    site, pollers = one_node(
        clock, lambda due: Poll(readings=(reading(clock, {"DCGM_FI_DEV_GPU_TEMP": next(temperatures, 42.0)}),))
    )
    async with collecting(site, clock, pollers) as (_, bus, _registry):
        await clock.advance(4.5)
    marks = bus.marks(SOURCE, "DCGM_FI_DEV_GPU_TEMP")
    assert [quality_of(mark) for mark in marks[:3]] == [Quality.GOOD, Quality.GOOD, Quality.BAD]
    assert reason_of(marks[2]) is Reason.RANGE
    assert quality_of(bus.marks(SOURCE, "up")[2]) is Quality.GOOD


async def test_the_service_is_ready_once_something_is_published_and_not_while_the_bus_is_away() -> None:
    clock = VirtualClock()
    site, pollers = one_node(clock, lambda due: Poll(readings=(reading(clock, {"a": 1.0}),)))
    async with collecting(site, clock, pollers) as (service, bus, _registry):
        bus.error = BusError("the broker is away")
        assert service.not_ready() is not None
        await clock.advance(5)
        assert service.not_ready() == "the bus accepts nothing"
        progress = service.progress
        bus.error = None
        await clock.advance(5)
        assert service.not_ready() is None
        assert service.progress > progress
    polled = len(pollers["dgx-001"].asked)
    assert len(bus.frames(SOURCE)) == polled, "what was read while the bus was away came afterwards"


async def test_a_group_of_targets_is_one_publication() -> None:
    clock = VirtualClock()
    names = [f"dgx-{number:03d}" for number in range(100)]
    site = site_of(*(node(exporter_endpoint("http://10.0.0.1:9400/metrics", asset=name)) for name in names))
    pollers = {
        name: ScriptedPoller(clock, lambda due: Poll(readings=(reading(clock, {"a": 1.0}),)), {"gpu": 1.0})
        for name in names
    }
    async with collecting(site, clock, pollers) as (_, bus, _registry):
        await clock.advance(10)
    assert len(bus.frames()) >= 900
    assert bus.publications <= 10 * 10 + 5


async def test_what_was_read_is_published_when_the_service_is_told_to_end_and_pollers_are_closed() -> None:
    clock = VirtualClock()
    site, pollers = one_node(clock, lambda due: Poll(readings=(reading(clock, {"a": 1.0}),)))
    async with collecting(site, clock, pollers) as (_, bus, _registry):
        while not pollers["dgx-001"].asked:
            await clock.advance(0.01)
        assert not bus.frames(SOURCE)
    assert len(bus.frames(SOURCE)) == 1
    assert pollers["dgx-001"].closed


async def test_zones_that_another_process_polls_are_left_alone() -> None:
    clock = VirtualClock()
    site = site_of(
        *(node(exporter_endpoint("http://h:1/metrics", asset=name), zone=zone) for name, zone in (("a", 1), ("b", 2)))
    )
    pollers = {
        name: ScriptedPoller(clock, lambda due: Poll(readings=(reading(clock, {"m": 1.0}),)), {"gpu": 1.0})
        for name in "ab"
    }
    async with collecting(site, clock, pollers, zones=[2]):
        await clock.advance(5)
    assert pollers["b"].asked
    assert not pollers["a"].asked
