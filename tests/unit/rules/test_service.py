"""The rule service on the embedded bus: frames and events in, alert events out, nothing lost over a restart."""

import asyncio
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from pathlib import Path

import numpy as np
import pytest
from prometheus_client import CollectorRegistry, generate_latest

from bus.embedded import EmbeddedBus
from bus.events import AlertEvent, DeviceEvent, decode_event, encode_event
from bus.frames import FrameWriter, SeriesLayout
from bus.port import Message
from bus.topics import ALERTS, EVENTS
from fleet.clock import SystemClock, VirtualClock
from fleet.loader import load_site
from fleet.settings import Settings
from rules.files.fields import RuleFileError
from rules.keeping import write_whole
from rules.service import RulesService

SITE = """
site: mini
simulated: true
credentials:
  bmc: {read: "file:bmc.yaml"}
halls:
  - name: hall-1
    rows:
      - name: row-01
        zone: 1
        racks:
          - name: r01
            power_limit_watts: 50000
            nodes:
              - {names: "dgx-[001-002]", model: dgx-h100, gpus: 8, idle_watts: 2000, max_watts: 10200}
"""
RULES = """
groups:
  - name: g
    interval: 1s
    rules:
      - {alert: Hot, expr: 'temperature > 80', for: 5s, labels: {severity: critical}, annotations: {summary: hot}}
      - {alert: Gone, expr: absent(temperature), for: 5s}
      - {record: "temperature:max", expr: max(temperature)}
  - name: e
    interval: 1s
    rules:
      - {alert: Xid, expr: 'sum by (asset, node, rack, zone) (increase(device_events_total{kind="xid",code="79"}[10m])) > 0'}
"""
S = ("temperature", (("asset", "dgx-001"),))


class Stage:
    """A site, a bus and a clock that outlive the service."""

    def __init__(self, folder: Path, clock: VirtualClock) -> None:
        self.folder, self.clock = folder, clock
        (folder / "site.yaml").write_text(SITE)
        (folder / "bmc.yaml").write_text("user: a\npassword: b\n")
        (folder / "bmc.yaml").chmod(0o600)
        (folder / "rules").mkdir()
        self.rules = folder / "rules" / "test.yaml"
        self.rules.write_text(RULES)
        self.site = load_site(folder / "site.yaml")
        self.settings = Settings(rules=(folder / "rules",), data=folder / "data")
        self.writer = FrameWriter(9)
        self.bus: EmbeddedBus
        self.registry = CollectorRegistry()
        self.tasks: dict[int, asyncio.Task[None]] = {}

    def end(self, service: RulesService) -> None:
        self.tasks[id(service)].cancel()

    async def feed(self, value: float | None = 20.0, at_ms: int | None = None) -> None:
        at = self.clock.now_ms() if at_ms is None else at_ms
        layout = SeriesLayout.of([S])
        await self.bus.publish(self.writer.messages("dgx-001/agent", 1, layout, at, np.array([value])))

    async def event(self, code: str = "79", at_ms: int | None = None, text: str = "fell off") -> None:
        event = DeviceEvent(
            asset="dgx-001", source="dgx-001/agent", kind="xid", code=code, severity="critical", text=text,
            at_ms=self.clock.now_ms() if at_ms is None else at_ms,
        )  # fmt: skip
        await self.bus.publish([Message(EVENTS, event.key(), encode_event(event))])

    async def alerts(self) -> list[tuple[str, str]]:
        return [(event.alertname, str(event.state)) for event in await self.events() if event.alertname != "Gone"]

    async def events(self) -> list[AlertEvent]:
        reader = await self.bus.reader(topics=[ALERTS])
        found = []
        while records := await reader.fetch(timeout_seconds=0):
            found += [decode_event(record.value or b"") for record in records]
        await reader.close()
        return [event for event in found if isinstance(event, AlertEvent)]

    @asynccontextmanager
    async def service(self) -> AsyncIterator[RulesService]:
        self.registry = CollectorRegistry()
        service = RulesService(self.site, self.bus, self.clock, self.settings, self.registry, disk=at_once)
        task = self.tasks[id(service)] = asyncio.create_task(service.run())
        await self.clock.advance(0)
        for _ in range(200):
            if service.not_ready() is None:
                break
            await self.clock.advance(0.05)
        yield service
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


async def at_once(path: Path, content: bytes) -> None:
    """Under virtual time nothing may leave the event loop."""
    write_whole(path, content)


@pytest.fixture
async def stage(tmp_path: Path) -> AsyncIterator[Stage]:
    stage = Stage(tmp_path, VirtualClock())
    stage.settings.data.mkdir()
    stage.bus = await EmbeddedBus.open(stage.settings.data / "bus.sqlite", clock=stage.clock, partitions=2)
    yield stage
    await stage.bus.close()


async def run(stage: Stage, seconds: int, value: float | None) -> None:
    for _ in range(seconds):
        if value is not None:
            await stage.feed(value)
        await stage.clock.advance(1)


async def test_a_frame_becomes_an_alert_event_with_all_it_needs(stage: Stage) -> None:
    async with stage.service() as service:
        await run(stage, 3, 20.0)
        await run(stage, 8, 90.0)
        assert await stage.alerts() == [("Hot", "pending"), ("Hot", "firing")]
        await run(stage, 2, 20.0)
        assert (await stage.alerts())[-1] == ("Hot", "resolved")
        (_, fired, _) = [event for event in await stage.events() if event.alertname == "Hot"]
        assert (fired.rule, fired.severity, fired.labels["asset"]) == ("test.yaml/g/Hot", "critical", "dgx-001")
        assert fired.annotations == {"summary": "hot"}
        assert len({event.trace for event in await stage.events() if event.alertname == "Hot"}) == 1
        assert service.progress > 10
        assert service.not_ready() is None


async def test_a_pass_follows_a_frame_within_forty_milliseconds(stage: Stage) -> None:
    stage.rules.write_text(RULES.replace("interval: 1s", "interval: 60s").replace("for: 5s, labels", "labels"))
    async with stage.service():
        await stage.feed(20.0)
        await stage.clock.advance(1.0)
        before = stage.clock.now_ms()
        await stage.feed(90.0)
        await stage.clock.advance(0.041)
        hot = [event for event in await stage.events() if event.alertname == "Hot"]
        assert [str(event.state) for event in hot] == ["firing"]
        assert hot[0].evaluated_at_ms - before <= 40


async def test_absence_is_seen_although_nothing_arrives(stage: Stage) -> None:
    async with stage.service():
        await stage.feed(20.0)
        await stage.clock.advance(320)
        assert ("Gone", "firing") in [(event.alertname, str(event.state)) for event in await stage.events()]


async def test_for_continues_over_a_restart_and_nothing_is_told_twice(stage: Stage) -> None:
    async with stage.service():
        await run(stage, 1, 20.0)
        await run(stage, 4, 90.0)
    async with stage.service():
        await run(stage, 4, 90.0)
        assert await stage.alerts() == [("Hot", "pending"), ("Hot", "firing")]
    async with stage.service():
        await run(stage, 3, 90.0)
        assert await stage.alerts() == [("Hot", "pending"), ("Hot", "firing")]
        await run(stage, 2, 20.0)
        assert (await stage.alerts())[-1] == ("Hot", "resolved")


async def test_an_alert_that_ended_while_nobody_judged_is_told_to_have_ended(stage: Stage) -> None:
    async with stage.service():
        await run(stage, 8, 90.0)
    (stage.settings.data / "rules-alerts.state").unlink()
    await stage.feed(20.0)
    async with stage.service():
        await run(stage, 3, 20.0)
        assert await stage.alerts() == [("Hot", "pending"), ("Hot", "firing"), ("Hot", "resolved")]


async def test_the_bus_alone_is_enough_to_go_on_with_an_alert(stage: Stage) -> None:
    async with stage.service():
        await run(stage, 8, 90.0)
    (stage.settings.data / "rules-alerts.state").unlink()
    async with stage.service():
        await run(stage, 8, 90.0)
        assert await stage.alerts() == [("Hot", "pending"), ("Hot", "firing")]


async def test_without_kept_states_time_that_nobody_saw_does_not_count(stage: Stage) -> None:
    async with stage.service():
        await run(stage, 2, 90.0)
    (stage.settings.data / "rules-alerts.state").unlink()
    began = stage.clock.now_ms()
    async with stage.service():
        await run(stage, 9, 90.0)
        (fired,) = [event for event in await stage.events() if str(event.state) == "firing"]
        assert fired.evaluated_at_ms - began >= 1_200
        assert await stage.alerts() == [("Hot", "pending"), ("Hot", "firing")]


async def test_an_alert_that_the_bus_holds_as_ended_begins_anew(stage: Stage) -> None:
    async with stage.service():
        await run(stage, 8, 90.0)
        await stage.clock.advance(2)
        kept = (stage.settings.data / "rules-alerts.state").read_bytes()
        await run(stage, 2, 20.0)
    (stage.settings.data / "rules-alerts.state").write_bytes(kept)  # older than what was said
    async with stage.service():
        await run(stage, 8, 90.0)
        states = [state for _, state in await stage.alerts()]
        assert states == ["pending", "firing", "resolved", "pending", "firing"]
        assert len({event.event_id() for event in await stage.events()}) == len(await stage.events())


@pytest.mark.parametrize("damage", [b"\x93damaged", b"", b"HKS1", None])
async def test_a_torn_state_is_named_and_left_aside(stage: Stage, damage: bytes | None) -> None:
    async with stage.service():
        await run(stage, 3, 90.0)
    for name in ("rules-alerts.state", "rules-events.state"):
        path = stage.settings.data / name
        path.write_bytes(path.read_bytes()[:-1] if damage is None and path.exists() else damage or b"")
    async with stage.service():
        await run(stage, 8, 90.0)
        assert ("Hot", "firing") in await stage.alerts()
    assert {path.name for path in stage.settings.data.glob("*.torn")} == {
        "rules-alerts.state.torn",
        "rules-events.state.torn",
    }


async def test_while_an_alert_is_pending_its_state_is_kept_every_second(stage: Stage) -> None:
    async with stage.service():
        await run(stage, 2, 90.0)
        for _ in range(3):
            before = (stage.settings.data / "rules-alerts.state").stat().st_mtime_ns
            await run(stage, 1, 90.0)
            assert (stage.settings.data / "rules-alerts.state").stat().st_mtime_ns > before


async def test_a_standby_judges_in_silence_and_goes_on_where_the_leader_ended(stage: Stage) -> None:
    async with stage.service() as leader:
        await run(stage, 1, 20.0)
        async with stage.service() as standby:
            await run(stage, 3, 90.0)
            assert not standby.not_ready()
            assert len(standby.engine.open) == len(leader.engine.open)
            assert standby.engine.open.keys() == leader.engine.open.keys()
            assert await stage.alerts() == [("Hot", "pending")]
            stage.end(leader)
            await run(stage, 4, 90.0)
            (pending, fired) = [event for event in await stage.events() if event.alertname == "Hot"]
            assert fired.active_since_ms == pending.active_since_ms
            assert 5_000 <= fired.evaluated_at_ms - fired.active_since_ms < 6_000
            await run(stage, 2, 20.0)
            assert await stage.alerts() == [("Hot", "pending"), ("Hot", "firing"), ("Hot", "resolved")]


async def test_one_device_event_fires_at_once_and_counts_once(stage: Stage) -> None:
    async with stage.service():
        at = stage.clock.now_ms()
        await stage.event(at_ms=at)
        await stage.clock.advance(1)
        await stage.event(at_ms=at)
        await stage.clock.advance(2)
        (event,) = [event for event in await stage.events() if event.alertname == "Xid"]
        assert event.labels == {"alertname": "Xid", "asset": "dgx-001", "node": "dgx-001", "rack": "r01", "zone": "1"}
        await run(stage, 620, None)
        assert [str(event.state) for event in await stage.events() if event.alertname == "Xid"] == [
            "firing",
            "resolved",
        ]


async def test_a_second_event_of_a_known_kind_fires_again(stage: Stage) -> None:
    async with stage.service():
        await stage.event()
        await run(stage, 620, None)
        await stage.event(text="again")
        await run(stage, 2, None)
        xids = [str(event.state) for event in await stage.events() if event.alertname == "Xid"]
        assert xids == ["firing", "resolved", "firing"]


async def test_counters_go_on_after_a_restart_without_a_false_increase(stage: Stage) -> None:
    async with stage.service():
        await stage.event()
        await run(stage, 700, None)
    async with stage.service():
        await run(stage, 60, None)
        assert [str(event.state) for event in await stage.events() if event.alertname == "Xid"] == [
            "firing",
            "resolved",
        ]
        await stage.event(text="while it runs")
        await run(stage, 2, None)
        assert (await stage.alerts())[-1] == ("Xid", "firing")


async def test_an_event_from_a_time_when_nobody_listened_starts_nothing_new(stage: Stage) -> None:
    await stage.event(at_ms=stage.clock.now_ms() - 3_600_000)
    async with stage.service():
        await run(stage, 30, None)
        assert not [event for event in await stage.events() if event.alertname == "Xid"]


async def test_an_event_during_a_short_outage_is_not_lost(stage: Stage) -> None:
    async with stage.service():
        await run(stage, 2, 20.0)
    await stage.event()
    await stage.clock.advance(60)
    async with stage.service():
        await run(stage, 3, 20.0)
        assert ("Xid", "firing") in await stage.alerts()


async def test_a_wrong_rule_file_keeps_the_old_rules_in_force(stage: Stage) -> None:
    async with stage.service() as service:
        stage.rules.write_text(RULES.replace("temperature > 80", "temperature >"))
        with pytest.raises(RuleFileError, match=r"test.yaml:\d+:\d+"):
            service.reload()
        await run(stage, 8, 90.0)
        assert ("Hot", "firing") in await stage.alerts()


async def test_a_reload_takes_new_rules_with_the_window_as_it_is(stage: Stage) -> None:
    async with stage.service() as service:
        await run(stage, 5, 70.0)
        stage.rules.write_text(RULES.replace("temperature > 80", "min_over_time(temperature[10s]) > 60"))
        service.reload()
        await run(stage, 7, 70.0)
        assert ("Hot", "firing") in await stage.alerts()


async def test_a_removed_rule_ends_its_alerts_as_unknown(stage: Stage) -> None:
    async with stage.service() as service:
        await run(stage, 8, 90.0)
        stage.rules.write_text(RULES.replace("alert: Hot", "alert: Warm"))
        service.reload()
        await run(stage, 1, 90.0)
        assert ("Hot", "unknown") in await stage.alerts()


async def test_frames_from_the_future_are_dropped_and_malformed_ones_hurt_nobody(stage: Stage) -> None:
    async with stage.service():
        await stage.feed(99.0, at_ms=stage.clock.now_ms() + 3_600_000)
        await stage.bus.publish([Message("telemetry.frames", "x", b"\x98garbage", (), 1)])
        await run(stage, 8, 90.0)
        assert ("Hot", "firing") in await stage.alerts()
        page = generate_latest(stage.registry).decode()
        assert 'hallkeeper_rules_frames_total{fate="future"} 1.0' in page
        assert 'hallkeeper_rules_frames_total{fate="malformed"} 1.0' in page


async def test_recorded_series_are_published_for_others(stage: Stage) -> None:
    async with stage.service():
        await run(stage, 3, 20.0)
        reader = await stage.bus.reader(topics=["telemetry.frames"])
        keys = [record.key for record in await reader.fetch(limit=1000, timeout_seconds=0)]
        await reader.close()
        assert "rules/g" in keys


async def test_the_service_runs_on_the_shipped_catalogue(stage: Stage) -> None:
    stage.settings = Settings(data=stage.folder / "data")
    async with stage.service() as service:
        await run(stage, 3, 20.0)
        assert service.not_ready() is None
        assert not service.engine.failures


def test_settings_and_system_clock_are_all_it_needs(tmp_path: Path) -> None:
    async def scenario() -> Mapping[str, str]:
        stage = Stage(tmp_path, VirtualClock())
        bus = await EmbeddedBus.open(tmp_path / "bus.sqlite", clock=SystemClock(), partitions=2)
        service = RulesService(stage.site, bus, SystemClock(), stage.settings, CollectorRegistry())
        await bus.close()
        return {"why": service.not_ready() or ""}

    assert "rebuilt" in asyncio.run(scenario())["why"]


async def test_counters_that_are_older_than_what_the_bus_holds_never_fall_back(stage: Stage) -> None:
    """A standby on another machine has a state of its own, from when it led last: its counters go on from the leader's."""
    async with stage.service():
        for number in range(5):
            await stage.event(text=f"event {number}")
        await run(stage, 700, None)
    (stage.settings.data / "rules-events.state").unlink()
    async with stage.service() as service:
        await run(stage, 60, None)
        (sample,) = service.engine.ask("device_events_total", stage.clock.now_ms())
        assert sample.value == 5
        assert [str(event.state) for event in await stage.events() if event.alertname == "Xid"] == [
            "firing",
            "resolved",
        ]


async def test_a_restart_reads_only_what_came_since_the_windows_picture(stage: Stage) -> None:
    async with stage.service():
        for _ in range(70):
            await stage.feed(20.0)
            await stage.clock.advance(1)
    async with stage.service() as service:
        assert service.engine.window.counts.points < 20, "the picture is a minute old at most"
        (read,) = service.engine.ask("temperature", stage.clock.now_ms())
        assert read.value == 20.0
        await stage.feed(90.0)
        await stage.clock.advance(7)
        await stage.feed(90.0)
        await stage.clock.advance(1)
        assert ("Hot", "firing") in await stage.alerts()


async def test_a_torn_picture_is_no_loss(stage: Stage) -> None:
    async with stage.service():
        for _ in range(70):
            await stage.feed(20.0)
            await stage.clock.advance(1)
    path = stage.settings.data / "rules-window.state"
    path.write_bytes(path.read_bytes()[:-100])
    async with stage.service() as service:
        assert service.engine.window.counts.points >= 70
        assert service.not_ready() is None


STORM = """
groups:
  - name: storm
    interval: 1s
    rules:
      - {alert: Storm, expr: 'reading > 80', labels: {severity: warning}, annotations: {summary: "{{ $labels.asset }}"}}
  - name: grave
    interval: 1s
    rules:
      - {alert: Grave, expr: 'grave > 80', labels: {severity: critical}, annotations: {summary: "{{ $labels.asset }}"}}
"""


async def test_a_critical_alert_is_on_the_bus_before_the_warnings_that_came_before_it(stage: Stage) -> None:
    stage.rules.write_text(STORM)
    layouts = {
        name: SeriesLayout.of([(name, [("asset", f"a{one}")]) for one in range(count)])
        for name, count in (("reading", 1_200), ("grave", 1))
    }
    async with stage.service():
        for value in (20.0, 90.0):
            await stage.clock.advance(2)
            for name, layout in layouts.items():
                values = np.full(len(layout.series), value)
                await stage.bus.publish(stage.writer.messages(f"{name}/x", 1, layout, stage.clock.now_ms(), values))
        await stage.clock.advance(5)
        told = [event.alertname for event in await stage.events()]
    assert told[0] == "Grave"
    assert (told.count("Grave"), told.count("Storm")) == (1, 1_200)
