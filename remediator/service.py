"""The corrective lane as a service: one leads, the others stand by with a warm window."""

import asyncio
import secrets
from collections.abc import Callable, Mapping

import structlog
from prometheus_client import CollectorRegistry

from bus.claims import BusClaims, ClaimsLeadership
from bus.leadership import FileLockLeadership, Leadership
from bus.port import Bus, Record
from bus.signing import SigningKey, TrustedKey
from fleet.clock import Clock
from fleet.model import AssetId, Site
from fleet.secrets import read_secret
from fleet.settings import Settings
from remediator.actuator_client import Actuator, SocketActuator
from remediator.around import Around
from remediator.attempt import Bench
from remediator.audit import AUDIT_FILE, Audit
from remediator.backtests import may_enforce
from remediator.cluster import Cluster
from remediator.cluster_reader import KubernetesCluster, open_cluster
from remediator.commands import Desk
from remediator.gauges import Gauges
from remediator.intake import Intake
from remediator.ledger import Connect, Ledger, LedgerUnusableError, connect
from remediator.outbox import Outbox
from remediator.plans import plan_hash
from remediator.playbook import PlaybookModes
from remediator.playbook_loader import SHIPPED, load_playbooks
from remediator.reign import Charter, Reign
from remediator.sight import METRICS, Sight
from remediator.signals import signals_of
from remediator.succession import Succession
from remediator.switches import Switches
from remediator.verbs import Lane
from rules.query import LiveWindow

TICK_SECONDS = 1.0
LEASE_LOOK_SECONDS = 0.25
WINDOW_SECONDS = 900.0

log = structlog.get_logger("hallkeeper.remediator")


class Deposed(Exception):
    """The lease is over: the reign ends."""


class RemediatorService:
    """Consumes alerts, commands and frames; heals what it may. `progress` grows with every record and every tick."""

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
        window: LiveWindow | None = None,
        connect: Connect = connect,
        audited: bool = False,
    ) -> None:
        self._site, self._bus, self._clock, self._settings = site, bus, clock, settings
        self._connect = connect
        self._audited = audited
        self._gauges = Gauges(registry, Lane.CORRECTIVE)
        self._actuator = actuator or SocketActuator(settings.data / "actuator-corrective.sock")
        self._leadership = leadership
        self._cluster = cluster or open_cluster(site, clock)
        self._signal = signals_of(site, settings.intervals)
        self._window = window or LiveWindow(depth_seconds=WINDOW_SECONDS, names=METRICS)
        self._around = Around(site, self._window, self._signal)
        self._sight = Sight(
            site=site,
            window=self._window,
            cluster=self._cluster,
            signal=self._signal,
            usual_watts=self._around.usual,
            stop_events=self._around.stop_events,
        )
        self._intake = Intake(bus, clock, self._window, self._around, self._gauges)
        self._playbooks = load_playbooks(settings.playbooks or (SHIPPED,))
        self._switches = Switches(settings.data)
        self._trusted = trusted_keys(settings)
        self._ticks = 0
        self._caught_up = False
        self._reign: Reign | None = None
        self._audit: Audit | None = None
        self.why_observing: str | None = None

    @property
    def progress(self) -> int:
        """Work done so far."""
        return self._ticks + self._intake.work

    def not_ready(self) -> str | None:
        """Why it is not ready; None when its window is warm, whether it leads or stands by."""
        return None if self._intake.warm else "reads the last ten minutes of telemetry"

    async def run(self) -> None:
        """Serve until cancelled; an act under way is brought to its outcome first."""
        ledger = self._open_ledger()
        ledger.prune(self._clock.now_ms())
        try:
            key = signing_key(self._settings)
            audit = self._audit = self._open_audit(ledger, key)
            outbox = Outbox(ledger, self._bus, key, self._clock, audit)
            leadership = self._leadership or await self._candidate()
            succession = Succession(site=self._site, ledger=ledger, trusted=self._trusted, lane=Lane.CORRECTIVE)
            async with asyncio.TaskGroup() as group:
                group.create_task(leadership.run(), name="leadership")
                group.create_task(self._intake.frames(), name="frames")
                group.create_task(self._intake.device_events(), name="events")
                group.create_task(outbox.run(), name="outbox")
                group.create_task(self._intake.follow(self._follower(leadership, succession)), name="follow")
                await self._serve(leadership, ledger, outbox, succession)
        finally:
            if self._audit is not None:
                self._audit.close()
            ledger.close()
            if isinstance(self._cluster, KubernetesCluster):
                await self._cluster.close()

    def _open_audit(self, ledger: Ledger, key: SigningKey | None) -> Audit | None:
        """The audit, with what this start is told; None where nobody asked for one."""
        if not self._audited:
            return None
        audit = Audit(self._settings.data / AUDIT_FILE, key, self._clock)
        if ledger.is_new():
            audit.marks = 0  # its outbox counts from the beginning again
        books = [plan_hash(book, AssetId(book.playbook)) for book in self._playbooks]
        modes = self._settings.remediation.model_dump(mode="json")
        audit.append("start", {"playbooks": books, "remediation": modes, "trusted": sorted(self._trusted)})
        return audit

    def _decides(self, desk: Desk) -> Callable[[Record], None]:
        """Every command that arrives is in the audit before it is carried out, the disbelieved ones too."""

        def take(record: Record) -> None:
            if self._audit is not None:
                value = (record.value or b"").decode("utf-8", "replace")
                self._audit.append("command", {"key": record.key, "value": value, "at_ms": record.at_ms})
            desk.take(record)

        return take

    def _open_ledger(self) -> Ledger:
        """The ledger; where it cannot be used, an empty one beside it, for watching only."""
        path = self._settings.data / "ledger.sqlite"
        try:
            return Ledger.open(path, connect=self._connect)
        except LedgerUnusableError as error:
            log.error("observing only", why=str(error))
            self.why_observing = str(error)
            spare = self._settings.data / "ledger.observing.sqlite"
            spare.unlink(missing_ok=True)
            return Ledger.open(spare, connect=self._connect)

    async def _candidate(self) -> Leadership:
        if not self._settings.bus.startswith("kafka://"):
            return FileLockLeadership(self._settings.data / "remediator.lock", self._clock)
        name = f"remediator-{secrets.token_hex(8)}"
        log = await BusClaims.open(self._bus, self._clock, "leader")
        return ClaimsLeadership(log, self._clock, name, wants=lambda: self._intake.warm)

    def _follower(self, leadership: Leadership, succession: Succession) -> Callable[[Record], None]:
        """Acts of the protective lane belong into incidents; acts of another leader into a standby's ledger."""

        def take(record: Record) -> None:
            state = succession.read(record)
            if state is None:
                return
            if state.lane is Lane.PROTECTIVE:
                if self._reign is not None:
                    self._reign.heed(state)
            elif leadership.epoch() is None and self._settings.bus.startswith("kafka://"):
                succession.take(record)

        return take

    async def _serve(self, leadership: Leadership, ledger: Ledger, outbox: Outbox, succession: Succession) -> None:
        while True:
            epoch = leadership.epoch()
            self._gauges.leader.set(0 if epoch is None else 1)
            if epoch is None or not self._intake.warm:
                self._ticks += 1
                await self._clock.sleep(LEASE_LOOK_SECONDS)
                continue
            log.info("leading", epoch=epoch)
            try:
                await self._lead(leadership, ledger, outbox, succession, epoch)
            except* Deposed:
                log.warning("no longer leading", epoch=epoch)
            finally:
                self._reign = None

    async def _lead(
        self, leadership: Leadership, ledger: Ledger, outbox: Outbox, succession: Succession, epoch: int
    ) -> None:
        observes = self.why_observing or await self._caught_up_ledger(succession)
        reign = self._reign = Reign(self._charter(leadership, ledger, outbox), epoch)
        reign.standstill.observes = observes
        desk = Desk(
            ledger=ledger,
            switches=self._switches,
            trusted=self._trusted,
            clock=self._clock,
            approve=reign.approve,
            resumed=reign.resumed,
            disbelieved=reign.disbelieved,
            acknowledge=reign.acknowledge,
        )
        for state in ledger.remediations(ended=False):
            reign.resume(state)
        async with asyncio.TaskGroup() as group:
            group.create_task(self._intake.alerts(reign.hear, self._judged), name="alerts")
            group.create_task(self._intake.commands(self._decides(desk)), name="commands")
            group.create_task(self._ticking(reign), name="ticks")
            group.create_task(self._starting(reign, group), name="starts")
            while leadership.epoch() == epoch:
                await self._clock.sleep(LEASE_LOOK_SECONDS)
            raise Deposed

    async def _caught_up_ledger(self, succession: Succession) -> str | None:
        """On Kafka a new leader takes over what its predecessor published; on one machine the ledger itself must be it."""
        if self._settings.bus.startswith("kafka://"):
            await succession.adopt(self._bus)
            return None
        return await succession.gap(self._bus)

    def _charter(self, leadership: Leadership, ledger: Ledger, outbox: Outbox) -> Charter:
        modes = self._settings.remediation.modes.items()
        return Charter(
            site=self._site,
            playbooks=self._playbooks,
            modes={name: PlaybookModes.model_validate(mode.model_dump()) for name, mode in modes},
            may_enforce=may_enforce(self._site, self._playbooks, self._settings),
            clock=self._clock,
            ledger=ledger,
            outbox=outbox,
            around=self._around,
            sight=self._sight,
            switches=self._switches,
            bench=Bench(clock=self._clock, actuator=self._actuator, holds_lease=leadership.holds),
            epoch=leadership.epoch,
            gauges=self._gauges,
        )

    def _judged(self, caught_up: bool) -> None:
        self._caught_up = caught_up
        if self._reign is not None:
            self._reign.heard(caught_up=caught_up)

    async def _ticking(self, reign: Reign) -> None:
        while True:
            self._around.look(self._clock.now_ms())
            reign.tick(caught_up=self._caught_up)
            self._ticks += 1
            await self._clock.sleep(TICK_SECONDS)

    async def _starting(self, reign: Reign, group: asyncio.TaskGroup) -> None:
        while True:
            course = await reign.started.get()
            group.create_task(reign.run(course), name=course.state.remediation_id)


def trusted_keys(settings: Settings) -> Mapping[str, TrustedKey]:
    """The public keys that the settings name."""
    return {
        name: TrustedKey(public=key.public, role=key.role, name=key.name) for name, key in settings.keys.trusted.items()
    }


def signing_key(settings: Settings) -> SigningKey | None:
    """The services' private key; None where the settings name none."""
    reference = settings.keys.sign
    if reference is None:
        return None
    return SigningKey.of(read_secret(str(reference), base=settings.base), where=str(reference))
