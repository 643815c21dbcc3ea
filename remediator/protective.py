"""The protective lane as a service of its own: its own meters, rules, ledger and actuator; it needs the bus for nothing but to give back.

It shares no queue and no budget with the corrective lane. Lost metering starts nothing; it holds what is held.
"""

import asyncio
import contextlib
import secrets
from random import Random, SystemRandom

import structlog
from prometheus_client import CollectorRegistry

from bus.leadership import FileLockLeadership, Leadership
from bus.port import Bus
from fleet.clock import Clock
from fleet.errors import Malformed
from fleet.model import AssetId, Site
from fleet.settings import Settings
from remediator.actuator_client import Actuator, SocketActuator
from remediator.alarms import Alarms, RuleAlarms
from remediator.around import Around
from remediator.attempt import Bench
from remediator.backtests import may_enforce
from remediator.bands import below_for, over_for
from remediator.cluster import Cluster
from remediator.cluster_reader import KubernetesCluster, open_cluster
from remediator.commands import Desk
from remediator.facts import Approval
from remediator.gauges import Gauges
from remediator.intake import Intake
from remediator.journal import outgoing
from remediator.ledger import Ledger, LedgerUnusableError
from remediator.loads import Loads
from remediator.meters import MeterReader, Rounds, SnmpMeters
from remediator.outbox import Outbox
from remediator.playbook import Playbook, PlaybookModes, mode_for
from remediator.playbook_loader import SHIPPED, load_playbooks
from remediator.records import Remediation, remediation_id_of
from remediator.release_course import ReleaseCourse
from remediator.rule_texts import rule_files
from remediator.service import signing_key, trusted_keys
from remediator.shed_course import ShedCourse
from remediator.shed_plans import Plans
from remediator.shed_world import ShedWorld
from remediator.sight import METRICS
from remediator.signals import signals_of
from remediator.switches import Switches
from remediator.verbs import Cause, Lane
from rules.query import LiveWindow

ROUND_SECONDS = 1.0
AGAIN_SECONDS = 30.0
"""After a shed that found nothing left, a new one begins at the earliest then."""
BUS_LAG_MS = 30_000
WINDOW_SECONDS = 300.0
METER_METRICS = frozenset(
    {"pdu_phase_current_amperes", "pdu_outlet_power_watts", "pdu_phase_voltage_volts", "fleet_pdu_phase_rated_amperes"}
)

log = structlog.get_logger("hallkeeper.protective")


class ProtectiveService:
    """Reads every PDU itself, sheds what is over its limit, gives back what it took."""

    def __init__(
        self,
        site: Site,
        bus: Bus,
        clock: Clock,
        settings: Settings,
        registry: CollectorRegistry,
        *,
        actuator: Actuator | None = None,
        cluster: Cluster | None = None,
        leadership: Leadership | None = None,
        meters: MeterReader | None = None,
        alarms: Alarms | None = None,
        own_window: LiveWindow | None = None,
        wider_window: LiveWindow | None = None,
        random: Random | None = None,
    ) -> None:
        self._site, self._bus, self._clock, self._settings = site, bus, clock, settings
        self._gauges = Gauges(registry, Lane.PROTECTIVE)
        self._books = tuple(
            book for book in load_playbooks(settings.playbooks or (SHIPPED,)) if book.lane is Lane.PROTECTIVE
        )
        self._actuator = actuator or SocketActuator(settings.data / "actuator-protective.sock")
        self._cluster = cluster or open_cluster(site, clock)
        self._leadership = leadership or FileLockLeadership(settings.data / "protective.lock", clock)
        self._own = own_window or LiveWindow(depth_seconds=WINDOW_SECONDS, names=METER_METRICS)
        self._wider = wider_window or LiveWindow(depth_seconds=WINDOW_SECONDS, names=METRICS)
        self._around = Around(site, self._wider, signals_of(site, settings.intervals))
        self._intake = Intake(bus, clock, self._wider, self._around, self._gauges)
        self._rounds = Rounds(site, meters or SnmpMeters(site, clock), clock, secrets.randbits(64))
        uids = frozenset(rule for book in self._books for rule in book.rules)
        self._alarms = alarms or RuleAlarms(rule_files(settings, uids), uids)
        self._switches = Switches(settings.data)
        self._random = random or SystemRandom()
        self._modes = {
            name: PlaybookModes.model_validate(mode.model_dump()) for name, mode in settings.remediation.modes.items()
        }
        shed = next(book.shed for book in self._books if book.shed is not None)
        self._plans = Plans(site=site, clock=clock, settings=settings, switches=self._switches, shed=shed)
        self._courses: dict[AssetId, ShedCourse | ReleaseCourse] = {}
        self._not_before_ms: dict[AssetId, int] = {}
        self._begun: asyncio.Queue[ShedCourse | ReleaseCourse] = asyncio.Queue(maxsize=10_000)
        self._read_once = False
        self._rounds_done = 0

    @property
    def progress(self) -> int:
        """Rounds over all PDUs."""
        return self._rounds_done

    def not_ready(self) -> str | None:
        """None when every PDU was asked once."""
        return None if self._read_once else "asks every PDU for the first time"

    async def run(self) -> None:
        """Serve until cancelled; acts under way are brought to their outcomes first."""
        ledger = self._open_ledger()
        ledger.prune(self._clock.now_ms())
        try:
            outbox = Outbox(ledger, self._bus, signing_key(self._settings), self._clock)
            world = self._world(ledger, outbox)
            async with asyncio.TaskGroup() as group:
                group.create_task(self._leadership.run(), name="leadership")
                group.create_task(self._intake.frames(), name="frames")
                group.create_task(outbox.run(), name="outbox")
                group.create_task(
                    self._intake.commands(self._desk(ledger).take, group="protective-commands"), name="commands"
                )
                group.create_task(self._plans.run(world.loads), name="plans")
                group.create_task(self._starting(group), name="starts")
                await self._serve(world)
        finally:
            ledger.close()
            if isinstance(self._cluster, KubernetesCluster):
                await self._cluster.close()

    def _open_ledger(self) -> Ledger:
        """The ledger; where it cannot be used an empty one beside it: this lane must still be able to tighten."""
        try:
            return Ledger.open(self._settings.data / "protective.sqlite")
        except LedgerUnusableError as error:
            log.error("a spare ledger is used, what is held is not known", why=str(error))
            return Ledger.open(self._settings.data / "protective.spare.sqlite")

    def _world(self, ledger: Ledger, outbox: Outbox) -> ShedWorld:
        def told(state: Remediation, gate: str) -> None:
            if gate:
                self._gauges.denied.labels(gate, state.reason_code).inc()
            if state.ended:
                self._gauges.ended.labels(state.playbook, state.phase.value).inc()
            outbox.wake()

        world = ShedWorld(
            clock=self._clock,
            site=self._site,
            ledger=ledger,
            bench=Bench(clock=self._clock, actuator=self._actuator, holds_lease=self._leadership.holds),
            loads=Loads(self._site, self._own, self._wider, held=lambda: world.held()),  # noqa: PLW0108 - made below
            cluster=self._cluster,
            switches=self._switches,
            plan=lambda pdu: self._plans.plan(world.loads, pdu),
            epoch=self._leadership.epoch,
            bus_lives=self._bus_lives,
            told=told,
            random=self._random,
        )
        return world

    def _desk(self, ledger: Ledger) -> Desk:
        def approve(remediation_id: str, approval: Approval) -> bool:
            for course in self._courses.values():
                if course.state.remediation_id == remediation_id and isinstance(course, ShedCourse):
                    course.approve(approval)
                    return True
            return False

        return Desk(
            ledger=ledger,
            switches=self._switches,
            trusted=trusted_keys(self._settings),
            clock=self._clock,
            approve=approve,
            resumed=lambda: None,
            disbelieved=lambda why: log.warning("command dropped", why=why),
        )

    def _bus_lives(self) -> bool:
        lag_ms = self._around.position.lag_ms(self._clock.now_ms())
        return lag_ms is not None and lag_ms <= BUS_LAG_MS

    # the lane's own round

    async def _serve(self, world: ShedWorld) -> None:
        resumed = False
        while True:
            for frame in await self._rounds.once():
                self._take(frame)
            self._read_once = True
            leading = self._leadership.epoch() is not None
            self._gauges.leader.set(int(leading))
            if leading and not resumed:
                self._resume(world)
                resumed = True
            if leading:
                self._watch(world, self._alarms.firing(self._clock.now_ms()))
            self._rounds_done += 1
            await self._clock.sleep(ROUND_SECONDS)

    def _take(self, frame: bytes) -> None:
        with contextlib.suppress(Malformed):
            self._own.append(frame)
            self._alarms.append(frame)

    def _watch(self, world: ShedWorld, firing: frozenset[AssetId]) -> None:
        """Begin a shed where rule and meter agree, a release where something is held and the load stays low."""
        now_ms = self._clock.now_ms()
        held_by = {AssetId(pdu) for held in world.held().values() for pdu in held.by}
        for book in self._books:
            for pdu in world.loads.pdus():
                course = self._courses.get(pdu.id)
                if course is not None and not course.state.ended:
                    continue
                if (
                    pdu.id in firing
                    and self._over(world, pdu.id, book)
                    and now_ms >= self._not_before_ms.get(pdu.id, 0)
                ):
                    self._begin(world, book, pdu.id, "shed", now_ms)
                elif pdu.id in held_by and self._low(world, pdu.id, book):
                    self._begin(world, book, pdu.id, "release", now_ms)
        self._gauges.live.set(sum(not course.state.ended for course in self._courses.values()))

    def _over(self, world: ShedWorld, pdu: AssetId, book: Playbook) -> bool:
        shed = book.shed
        assert shed is not None
        now_ms = self._clock.now_ms()
        phases = world.loads.phases(pdu, now_ms - 60_000)
        return any(over_for(p.readings, p.limit_amperes, shed.act_at, shed.act_after_seconds, now_ms) for p in phases)

    def _low(self, world: ShedWorld, pdu: AssetId, book: Playbook) -> bool:
        shed = book.shed
        assert shed is not None
        now_ms, seconds = self._clock.now_ms(), shed.release_after_seconds
        phases = world.loads.phases(pdu, now_ms - round(1000 * (seconds + 30)))
        return bool(phases) and all(
            below_for(p.readings, p.limit_amperes, shed.release_below, seconds, now_ms) for p in phases
        )

    def _begin(self, world: ShedWorld, book: Playbook, pdu: AssetId, kind: str, now_ms: int) -> None:
        may = may_enforce(self._site, [book], self._settings)[book.playbook]
        mode = mode_for(book, self._modes, self._site.graph.domains_of(pdu), may_enforce=may, ours=True)
        state = Remediation(
            remediation_id=remediation_id_of(f"protective/{kind}", book.playbook, pdu, now_ms),
            incident_id="",
            playbook=book.playbook,
            lane=Lane.PROTECTIVE,
            mode=mode,
            cause=Cause.OVERLOAD,
            target=pdu,
            step_name=kind,
            memory={"kind": kind},
            created_at_ms=now_ms,
            updated_at_ms=now_ms,
        )
        log.info("begins", what=kind, pdu=str(pdu), mode=mode.value)
        world.ledger.record(state, outgoing(state))
        world.told(state, "")
        self._enlist(world, book, state)

    def _enlist(self, world: ShedWorld, book: Playbook, state: Remediation) -> None:
        make = ReleaseCourse if state.memory.get("kind") == "release" else ShedCourse
        course = make(state, book, world)
        self._courses[state.target] = course
        self._begun.put_nowait(course)

    def _resume(self, world: ShedWorld) -> None:
        """What the ledger holds goes on: open intents are asked for and never sent again."""
        for state in world.ledger.remediations(ended=False):
            book = next((book for book in self._books if book.playbook == state.playbook), None)
            if book is not None and state.target in self._site.assets:
                self._enlist(world, book, state)

    async def _starting(self, group: asyncio.TaskGroup) -> None:
        while True:
            course = await self._begun.get()
            group.create_task(self._run(course), name=course.state.remediation_id)

    async def _run(self, course: ShedCourse | ReleaseCourse) -> None:
        """One course to its end; what it stumbles over is logged, and it begins again where the ledger has it."""
        while not course.state.ended:
            try:
                await course.run()
            except Exception:
                log.exception("course stumbled", remediation=course.state.remediation_id)
                await self._clock.sleep(ROUND_SECONDS)
        pause_ms = round(1000 * AGAIN_SECONDS)
        if course.state.outcome != "Succeeded":
            self._not_before_ms[course.state.target] = self._clock.now_ms() + pause_ms
