"""All that a checker reads of one run, gathered at its end: ledger, journal, bus, devices and what was done to them."""

import sqlite3
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import msgspec

from bus.events import AlertEvent, IncidentEvent, RemediationEvent, decode_event
from bus.frames import Frame, decode, stale_of
from bus.port import Record
from bus.topics import ALERTS, COMMANDS, FRAMES, INCIDENTS, REMEDIATIONS
from fleet.model import Site
from hallkeeper.world.hall import Hall
from hallkeeper.world.house import House
from hallkeeper.world.troubles import Span
from hallkeeper.world.witness import Seen, Witness
from remediator.actuator_client import Answer
from remediator.ledger import Ledger
from remediator.plans import SEND_WITHIN_SECONDS
from remediator.records import Intent, Remediation


@dataclass(frozen=True, slots=True)
class Told:
    """An event as the bus took it."""

    at: float
    """Virtual seconds."""
    event: RemediationEvent | IncidentEvent | AlertEvent
    value: bytes


@dataclass(frozen=True, slots=True, kw_only=True)
class Case:
    """One run."""

    site: Site
    seconds: float
    seen: Sequence[Seen]
    intents: Sequence[Intent]
    remediations: Sequence[Remediation]
    endings: Mapping[str, Answer | None]
    """The actuator's journal: intent to how it ended; None while it has not."""
    told: Sequence[Told]
    frames_at: Mapping[str, Sequence[float]]
    """Source to the times at which the bus took its frames."""
    spans: Sequence[Span]
    waiting: int
    """Events that the ledger has and the bus has not."""
    unheard: Mapping[str, int]
    """Group and topic to records that the group has not committed."""
    second_writers: Sequence[Mapping[str, object]]
    hung: frozenset[str]
    """Machines that hang at the end."""
    fallen: Sequence[tuple[float, str, str]]
    ready_seconds: Sequence[tuple[float, float]]

    def created(self, intent: Intent) -> float:
        """When an intent was written, in virtual seconds: by the clock that never jumps."""
        return intent.not_after_boottime_ns / 1e9 - SEND_WITHIN_SECONDS

    def during(self, *kinds: str) -> list[Span]:
        """Spans of these kinds."""
        return [span for span in self.spans if span.kind in kinds]


def case_of(hall: Hall, house: House, witness: Witness, spans: Sequence[Span]) -> Case:
    """Gather it all; every process is dead or about to be."""
    ledger = Ledger.open(hall.settings.data / "ledger.sqlite")
    try:
        intents, remediations = ledger.intents_since(0), ledger.remediations()
        waiting = len(ledger.outbox(10_000))
    finally:
        ledger.close()
    del house
    return Case(
        site=hall.site,
        seconds=hall.loop.time(),
        seen=witness.seen,
        intents=intents,
        remediations=remediations,
        endings=_endings(hall),
        told=[told for topic in (ALERTS, INCIDENTS, REMEDIATIONS) for told in _told(hall, topic)],
        frames_at=_frames_at(hall),
        spans=spans,
        waiting=waiting,
        unheard=_unheard(hall),
        second_writers=hall.workload.second_writers,
        hung=frozenset(
            name for index, name in enumerate(hall.plant.layout.nodes) if hall.plant.machines.state[index] == 3
        ),
        fallen=[(at, name, repr(error)) for at, name, error in hall.fallen],
        ready_seconds=witness.ready_seconds,
    )


def _endings(hall: Hall) -> dict[str, Answer | None]:
    connection = sqlite3.connect(hall.settings.data / "actuator-corrective.sqlite")
    try:
        rows = connection.execute("SELECT intent, ending FROM intents").fetchall()
    finally:
        connection.close()
    return {intent: None if ending is None else msgspec.json.decode(ending, type=Answer) for intent, ending in rows}


def _seconds(hall: Hall, record: Record) -> float:
    return (record.at_ms - hall.log.start_ms) / 1000


def _told(hall: Hall, topic: str) -> list[Told]:
    found = []
    for record in hall.records(topic):
        event = decode_event(record.value or b"")
        if isinstance(event, RemediationEvent | IncidentEvent | AlertEvent):
            found.append(Told(_seconds(hall, record), event, record.value or b""))
    return found


def _frames_at(hall: Hall) -> dict[str, list[float]]:
    found: dict[str, list[float]] = {}
    for record in hall.records(FRAMES):
        if record.key.startswith("pdu-") and _measured(record.value or b""):
            found.setdefault(record.key, []).append(_seconds(hall, record))
    return found


def _measured(value: bytes) -> bool:
    """A frame with readings: neither a table, nor a word that nobody answered, nor the end of series."""
    frame = decode(value)
    return isinstance(frame, Frame) and len(frame) > 1 and not bool(stale_of(frame)[0])


def _unheard(hall: Hall) -> dict[str, int]:
    groups = {("remediator", ALERTS), ("remediator-commands", COMMANDS)}
    return {
        f"{group} {topic}": len(hall.records(topic)) - hall.log.committed.get((group, topic), 0)
        for group, topic in sorted(groups)
    }
