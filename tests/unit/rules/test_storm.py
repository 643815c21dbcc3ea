"""A storm of alerts: what is critical goes first, what is written is what was true, what is much comes in pieces."""

import asyncio
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np

from bus.errors import BusError
from bus.events import AlertEvent, AlertState, decode_event
from bus.frames import FrameWriter, SeriesLayout
from bus.port import Message
from fleet.clock import VirtualClock
from rules.announce import Telling, event_of, telling_of
from rules.engine import AlertTransition, Engine
from rules.meters import Tally
from rules.voice import BATCH, Voice

RULES = """
groups:
  - name: storm
    interval: 1s
    rules:
      - alert: Storm
        expr: storm_reading > 80
        for: 10s
        labels: {severity: warning}
        annotations:
          summary: "{{ $labels.asset }} reads {{ $value | humanize }} at {{ now }}"
          description: "one of {{ with query \\"count(storm_reading > 80)\\" }}{{ . | first | value }}{{ end }}"
          runbook: a text
"""


def engine_of(folder: Path, text: str = RULES, most: int | None = None) -> Engine:
    (folder / "a.yaml").write_text(text)
    return Engine([folder], most=most)


def feed(engine: Engine, writer: FrameWriter, at: int, values: Sequence[float]) -> None:
    layout = SeriesLayout.of([("storm_reading", [("asset", f"a{number}")]) for number in range(len(values))])
    for message in writer.messages("s/1", 1, layout, at, np.array(values)):
        engine.append_frame(message.value)


def told(transitions: Sequence[AlertTransition]) -> list[tuple[str, str]]:
    return [(each.labels["asset"], str(each.state)) for each in transitions]


def test_annotations_written_late_are_those_of_the_evaluation_though_values_have_changed(tmp_path: Path) -> None:
    without_query = RULES.replace("\n          description", "\n          # description")
    at_once, late = engine_of(tmp_path, without_query), engine_of(tmp_path, without_query)
    found = []
    for engine in (at_once, late):
        feed(engine, FrameWriter(1), 0, [91.0, 92.0])
        found.append(engine.evaluate(0))
    expected = [event_of(each).annotations for each in found[0]]
    tellings = [telling_of(each) for each in found[1]]
    assert all(telling.event.annotations == {} for telling in tellings)
    feed(late, FrameWriter(2), 5_000, [99.0, 20.0])
    late.evaluate(5_000)
    feed(late, FrameWriter(2), 20_000, [99.0, 95.0])
    late.evaluate(20_000)
    assert [telling.whole().annotations for telling in tellings] == expected
    assert expected[0]["summary"] == "a0 reads 91 at 0"


def test_annotations_that_ask_the_window_are_written_in_the_pass(tmp_path: Path) -> None:
    engine = engine_of(tmp_path)
    feed(engine, FrameWriter(1), 0, [91.0, 92.0])
    transitions = engine.evaluate(0)
    feed(engine, FrameWriter(2), 1_000, [91.0, 20.0])
    assert telling_of(transitions[0]).whole().annotations["description"] == "one of 2"


def test_a_storm_begins_and_fires_in_pieces_and_every_alert_of_it_once(tmp_path: Path) -> None:
    engine, writer = engine_of(tmp_path, most=30), FrameWriter(1)
    feed(engine, writer, 0, [90.0] * 100)
    pieces = [told(engine.evaluate(at)) for at in range(0, 6_000, 1_000)]
    assert [len(piece) for piece in pieces] == [30, 30, 30, 10, 0, 0]
    assert engine.unfinished == {"a.yaml/storm"}
    assert len({asset for piece in pieces for asset, _ in piece}) == 100
    feed(engine, writer, 20_000, [90.0] * 100)
    pieces = [told(engine.evaluate(at)) for at in range(20_000, 26_000, 1_000)]
    assert [len(piece) for piece in pieces] == [30, 30, 30, 10, 0, 0]
    assert {state for piece in pieces for _, state in piece} == {"firing"}


def test_what_is_left_to_the_next_pass_and_falls_before_never_begins_and_open_alerts_go_on(tmp_path: Path) -> None:
    engine, writer = engine_of(tmp_path, most=2), FrameWriter(1)
    feed(engine, writer, 0, [90.0, 90.0, 90.0, 90.0])
    assert told(engine.evaluate(0)) == [("a0", "pending"), ("a1", "pending")]
    feed(engine, writer, 1_000, [90.0, 20.0, 20.0, 90.0])
    assert sorted(told(engine.evaluate(1_000))) == [("a1", "resolved"), ("a3", "pending")]
    assert told(engine.evaluate(10_000)) == [("a0", "firing")]


def telling(number: int, severity: str) -> Telling:
    event = AlertEvent(
        alert_id=f"{severity}-{number}", rule="a/b/C", alertname="C", state=AlertState.FIRING, severity=severity,
        labels={"asset": f"a{number}"}, annotations={}, value=1.0, active_since_ms=1, evaluated_at_ms=1,
        fingerprint="0" * 16, group_interval_seconds=1.0,
    )  # fmt: skip
    return Telling(event, {"summary": f"{severity} {number}"})


class SlowBus:
    """Takes so many seconds for each batch; `after` is called when it has taken one."""

    def __init__(
        self, clock: VirtualClock, seconds: float = 0.0, after: Callable[[int], None] = lambda _: None
    ) -> None:
        self.clock, self.seconds, self.after = clock, seconds, after
        self.batches: list[list[Message]] = []
        self.refuses = 0

    async def publish(self, messages: Sequence[Message]) -> None:
        if self.refuses:
            self.refuses -= 1
            raise BusError("no")
        self.batches.append(list(messages))
        self.after(len(self.batches))
        await self.clock.sleep(self.seconds)

    def pending(self) -> int:
        return 0


def voice_of(clock: VirtualClock, told: list[AlertEvent]) -> Voice:
    return Voice(clock, Tally(), told.append, may=lambda: True)


async def test_a_critical_alert_is_told_before_ten_thousand_warnings_of_the_same_pass() -> None:
    clock, heard = VirtualClock(), list[AlertEvent]()
    voice = voice_of(clock, heard)
    voice.say([*(telling(number, "warning") for number in range(10_000)), telling(7, "critical")])
    bus = SlowBus(clock)
    assert await voice.publish(bus)
    events = [decode_event(message.value) for batch in bus.batches for message in batch]
    assert events[0].key() == "critical-7"
    assert len(events) == len(heard) == 10_001
    assert max(map(len, bus.batches)) <= BATCH
    assert heard[0].annotations == {"summary": "critical 7"}


async def test_a_critical_alert_does_not_wait_for_a_batch_that_is_on_its_way() -> None:
    clock, heard = VirtualClock(), list[AlertEvent]()
    voice = voice_of(clock, heard)
    bus = SlowBus(clock, 1.0, after=lambda batches: voice.say([telling(1, "critical")]) if batches == 1 else None)
    voice.say([telling(number, "warning") for number in range(3 * BATCH)])
    speaking = asyncio.ensure_future(voice.run(bus))
    await clock.advance(0.5)
    speaking.cancel()
    await asyncio.gather(speaking, return_exceptions=True)
    assert [decode_event(batch[0].value).key() for batch in bus.batches] == ["warning-0", "critical-1"]


async def test_our_own_words_are_known_again_once_and_nobody_elses_are() -> None:
    clock = VirtualClock()
    voice = voice_of(clock, [])
    voice.say([telling(1, "warning")])
    bus = SlowBus(clock)
    assert await voice.publish(bus)
    (message,) = bus.batches[0]
    assert voice.echo(message.value + b" ") is None
    assert voice.echo(message.value) == telling(1, "warning").event.event_id()
    assert voice.echo(message.value) is None


async def test_what_the_bus_refused_is_no_echo_and_is_told_again_in_its_order() -> None:
    clock, heard = VirtualClock(), list[AlertEvent]()
    voice, bus = voice_of(clock, heard), SlowBus(clock)
    bus.refuses = 1
    voice.say([telling(1, "warning"), telling(2, "warning")])
    assert not await voice.publish(bus)
    assert voice.failing is not None
    assert await voice.publish(bus)
    assert voice.failing is None
    assert [event.key() for event in heard] == ["warning-1", "warning-2"]
