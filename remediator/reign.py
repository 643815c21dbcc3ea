"""What the active remediator does while it leads: keeps the incidents, begins and ends remediations, tells the bus."""

import asyncio
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import msgspec
import structlog

from bus.events import AlertEvent, encode_event
from bus.topics import INCIDENTS
from fleet.clock import Clock
from fleet.faults import load_faults
from fleet.model import AssetId, Kind, Site
from remediator.around import Around, remembered
from remediator.attempt import Bench
from remediator.causes import FREEZE, Symptom, is_cause
from remediator.course import Course
from remediator.fact_source import FactSource, Surroundings
from remediator.facts import Approval
from remediator.fault_answers import Answers
from remediator.gauges import Gauges
from remediator.incident_book import IncidentBook
from remediator.incidents import Incident
from remediator.journal import outgoing
from remediator.ledger import Ledger, Outgoing
from remediator.looks import Looks
from remediator.outbox import Outbox
from remediator.own_alerts import DISBELIEVED, MISWIRED, STUMBLED, OwnAlert
from remediator.pages import page_reason
from remediator.playbook import Playbook, PlaybookModes, answering
from remediator.record import Record
from remediator.records import Intent, Remediation
from remediator.remedies import alerting, due, inhibited_by, wish_of
from remediator.sight import Sight
from remediator.standstill import Standstill
from remediator.switches import Switches
from remediator.transitions import Move, Phase
from remediator.verbs import Lane
from remediator.wiring import Quarantine
from remediator.world import Wish, World

DISBELIEF_MS = 600_000
"""How long a dropped command, or a stumble, stays an incident."""
STUMBLE_SECONDS = 10.0
KEPT_INCIDENTS_MS = 86_400_000
LIVE_LIMIT = 10_000

log = structlog.get_logger("hallkeeper.remediator")


@dataclass(frozen=True, slots=True, kw_only=True)
class Charter:
    """What a reign is given."""

    site: Site
    playbooks: Sequence[Playbook]
    modes: Mapping[str, PlaybookModes]
    may_enforce: Mapping[str, bool]
    """By playbook: back-tested and commissioned, or the site is simulated."""
    clock: Clock
    ledger: Ledger
    outbox: Outbox
    around: Around
    sight: Sight
    switches: Switches
    bench: Bench
    epoch: Callable[[], int | None]
    gauges: Gauges


class Reign:
    """Incidents and remediations of one leader; its methods are called from one event loop, none of them waits."""

    def __init__(self, charter: Charter, epoch: int) -> None:
        self._charter = charter
        self._epoch = epoch
        self._site = charter.site
        self._ledger = charter.ledger
        self.book = IncidentBook(self._site, kept_incidents(charter.ledger, charter.clock.now_ms()))
        self.standstill = Standstill(self._site, self._ledger, charter.around, self.book, charter.clock.now_ms())
        self.courses: dict[str, Course] = {}
        self.started: asyncio.Queue[Course] = asyncio.Queue(maxsize=LIVE_LIMIT)
        """Courses that wait for a task."""
        self._world = World(
            clock=charter.clock,
            site=self._site,
            ledger=self._ledger,
            bench=charter.bench,
            facts=FactSource(
                site=self._site,
                sight=charter.sight,
                ledger=self._ledger,
                switches=charter.switches,
                surroundings=self._surroundings,
            ),
            looks=Looks(self._site, charter.sight, Record(self._site, charter.clock)),
            epoch=charter.epoch,
            flush=charter.outbox.flush,
            wish=self._wish,
            distrust=self._distrust,
            told=self._told,
            alerting=lambda state: alerting(state, self.book),
        )
        self._answers = Answers(charter.playbooks, load_faults(), charter.site)

    # heard

    def hear(self, alert: AlertEvent) -> None:
        """One transition of an alert."""
        self.book.hear(alert, self._now())

    def heard(self, *, caught_up: bool) -> None:
        """What was read is judged: what nothing answers is told now, not at the next tick."""
        if caught_up:
            self.book.tick(self._now(), self._page_reason)
        self.publish()

    def heed(self, state: Remediation) -> None:
        """A remediation of the protective lane moved."""
        self.book.heed(state, self._now())

    def approve(self, remediation_id: str, approval: Approval) -> bool:
        """A person's yes; without a plan of its own it is for the one that is asked about."""
        course = self.courses.get(remediation_id)
        if course is None or course.state.ended:
            return False
        course.approve(replace(approval, plan=approval.plan or str(course.state.memory.get("asked", ""))))
        return True

    def acknowledge(self, incident_id: str, owner: str, comment: str) -> bool:
        """A person has an incident from here."""
        known = self.book.acknowledge(incident_id, owner, comment, self._now())
        self.publish()
        return known

    def resumed(self) -> None:
        """A person lifts every freeze; what was only observed for the ledger's sake may be done again."""
        self.standstill.lift()

    def disbelieved(self, why: str) -> None:
        """A command was dropped: a person is told."""
        until_ms = self._now() + DISBELIEF_MS
        self.standstill.say(
            OwnAlert(DISBELIEVED, "commands", f"A command was dropped: {why}", until_ms=until_ms), self._now()
        )

    # asked by courses

    def _distrust(self, intent: Intent, why: str) -> None:
        """An outlet that is off by its own word and still feeds something: nothing more is switched by that mapping."""
        outlet = AssetId(f"{intent.device}#{intent.arguments.get('outlet')}")
        Quarantine(self._charter.switches.data).add([outlet], why, self._now())
        text = f"{outlet} does not feed {intent.target} as the inventory says: {why}"
        self.standstill.say(OwnAlert(MISWIRED, outlet, text, nodes=(intent.target,)), self._now())

    def _told(self, state: Remediation, gate: str) -> None:
        if gate:
            self._charter.gauges.denied.labels(gate, state.reason_code).inc()
        if state.ended:
            self._charter.gauges.ended.labels(state.playbook, state.phase.value).inc()
        if state.done and state.done[-1].verb and state.outcome == state.done[-1].outcome:
            self._charter.gauges.acts.labels(state.done[-1].verb, state.done[-1].outcome).inc()
        self.book.heed(state, self._now())
        self.publish()

    def _wish(self, state: Remediation) -> Wish | None:
        return wish_of(state, self.book, remembered(self._ledger.memory("denied/"), "denied/"), site=self._site)

    def _surroundings(self, state: Remediation, now_ms: int) -> Surroundings:
        around = self._charter.around
        scope = self._site.graph.upstream(state.target) | {state.target}
        return Surroundings(
            bus_lag_ms=around.position.lag_ms(now_ms),
            clock_offset_ms=around.position.offset_ms(),
            freezes=self.standstill.freezes(now_ms),
            inhibited_by=inhibited_by(state, self.book, self._site),
            maintenance=around.maintained(scope, now_ms),
            active_since_ms=int(state.memory.get("alert_since_ms", now_ms)),
            failed=self._failed(),
            silent=around.silent_nodes(now_ms),
        )

    def _failed(self) -> frozenset[AssetId]:
        """Feeds, pumps and sources that are alerting now."""
        return frozenset(
            alert.asset
            for incident in self.book.open
            for alert in incident.active
            if alert.named and alert.alertname != FREEZE and is_cause(alert, self._site)
        )

    # time

    def tick(self, *, caught_up: bool) -> None:
        """Once a second: freezes, pages, ends and beginnings; nothing begins while old alerts are still being read."""
        now_ms = self._now()
        self._charter.around.maintenance = remembered(self._ledger.memory("maintenance/"), "maintenance/")
        if caught_up:
            self.standstill.targeted(self._treated(), now_ms)
            self.standstill.look(now_ms)
            self.book.tick(now_ms, self._page_reason)
            self._begin(now_ms)
        self.publish()
        gauges = self._charter.gauges
        gauges.live.set(sum(not course.state.ended for course in self.courses.values()))
        gauges.incidents.set(len(self.book.open))
        gauges.frozen.set(len(self.standstill.freezes(now_ms)))

    def _treated(self) -> frozenset[AssetId]:
        """Nodes whose alert asks for a remedy of the corrective lane."""
        return frozenset(
            alert.asset
            for incident in self.book.open
            for alert in incident.active
            if self._site.asset(alert.asset).kind is Kind.NODE and self._answers.of(alert, incident.active) is not None
        )

    def _page_reason(self, incident: Incident, now_ms: int) -> str | None:
        return page_reason(incident, now_ms, site=self._site, answers=self._answered)

    def _answered(self, alert: Symptom, incident: Incident) -> bool:
        """Whether a playbook may do something about an alert, in either lane."""
        protective = answering(self._charter.playbooks, alert.rule, Lane.PROTECTIVE)
        return protective is not None or self._answers.of(alert, incident.active) is not None

    def publish(self) -> None:
        """What changed in the incidents, durable first; the bus hears of everything that waits."""
        for incident in self.book.changes(self._now()):
            event = incident.event(self._epoch)
            self._ledger.emit(
                Outgoing(0, INCIDENTS, event.key(), encode_event(event)),
                name=f"incident/{incident.incident_id}",
                value=incident,
            )
        self._charter.outbox.wake()

    # remediations

    def _begin(self, now_ms: int) -> None:
        busy = [str(course.state.target) for course in self.courses.values() if not course.state.ended]
        for incident in self.book.open:
            for state in self._due(incident, busy, now_ms):
                busy.append(str(state.target))
                self._ledger.record(state, outgoing(state))
                self.book.heed(state, now_ms)
                self.resume(state)

    def _due(self, incident: Incident, busy: Sequence[str], now_ms: int) -> list[Remediation]:
        return due(
            incident,
            self._answers,
            self._charter.modes,
            site=self._site,
            busy=busy,
            may_enforce=self._charter.may_enforce,
            observe_only=self.standstill.observes is not None,
            epoch=self._epoch,
            now_ms=now_ms,
        )

    def resume(self, state: Remediation) -> None:
        """Go on with a remediation that the ledger holds."""
        books = [
            book for book in self._charter.playbooks if book.playbook == state.playbook and book.lane is state.lane
        ]
        if books and len(self.courses) < LIVE_LIMIT:
            course = Course(state, books[0], self._world)
            self.courses[state.remediation_id] = course
            self.started.put_nowait(course)
        elif state.phase not in _HOLDING:
            reason = f"there is no playbook {state.playbook!r} any more"
            ended = state.moved(Move.ESCALATE, self._now(), reason_code="no_playbook", reason_text=reason)
            self._ledger.record(ended, outgoing(ended))
            self._told(ended, "")

    async def run(self, course: Course) -> None:
        """One course to its end; what it stumbles over is told, and it begins again where the ledger has it."""
        while not course.state.ended:
            try:
                await course.run()
            except Exception as error:
                log.exception("remediation stumbled", remediation=course.state.remediation_id)
                text = f"{course.state.playbook} on {course.state.target} stumbled: {error}"
                alert = OwnAlert(STUMBLED, course.state.remediation_id, text, until_ms=self._now() + DISBELIEF_MS)
                self.standstill.say(alert, self._now())
                await self._charter.clock.sleep(STUMBLE_SECONDS)
        self.courses.pop(course.state.remediation_id, None)

    def _now(self) -> int:
        return self._charter.clock.now_ms()


_HOLDING = frozenset({Phase.ADMITTED, Phase.EXECUTING})


def kept_incidents(ledger: Ledger, now_ms: int) -> list[Incident]:
    """The incidents that the ledger remembers; those that ended long ago are forgotten."""
    found: list[Incident] = []
    kept: Mapping[str, Any] = ledger.memory("incident/")
    for name, value in kept.items():
        incident = msgspec.convert(value, Incident)
        if incident.ended_at_ms is not None and now_ms - incident.ended_at_ms > KEPT_INCIDENTS_MS:
            ledger.forget(name)
        else:
            found.append(incident)
    return sorted(found, key=lambda incident: incident.opened_at_ms)
