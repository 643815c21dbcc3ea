"""The protective lane in virtual time: where rule and phase meter agree, the real shed course plans and asks every gate."""

from collections.abc import Sequence
from pathlib import Path
from random import Random
from typing import Final

from bus.events import AlertEvent, AlertState
from fleet.clock import Clock
from fleet.model import AssetId, Site
from fleet.settings import Settings
from hallkeeper.replay.courses import Courses
from hallkeeper.replay.nowhere import NoActuator, passing
from remediator.attempt import Bench
from remediator.bands import over_for
from remediator.journal import outgoing
from remediator.ledger import Ledger
from remediator.loads import Loads
from remediator.playbook import Playbook
from remediator.protective import AGAIN_SECONDS
from remediator.records import Remediation, remediation_id_of
from remediator.shed_course import ShedCourse
from remediator.shed_plans import Plans
from remediator.shed_world import ShedWorld
from remediator.sight import Window
from remediator.switches import Switches
from remediator.verbs import Cause, Lane, Mode

LOOK_BACK_MS: Final = 60_000
EPOCH: Final = 1


class Protective(Courses):
    """Sheds that would have been; nothing is ever held, so nothing is released."""

    def __init__(
        self,
        *,
        site: Site,
        window: Window,
        playbooks: Sequence[Playbook],
        clock: Clock,
        folder: Path,
        switches: Switches,
    ) -> None:
        """`folder` is the replay's own; `switches` are those that the recording's commands throw."""
        self._clock = clock
        self._books = [book for book in playbooks if book.lane is Lane.PROTECTIVE and book.shed is not None]
        super().__init__(Ledger.open(folder / "protective.sqlite", connect=passing))
        self._firing: dict[str, tuple[str, AssetId]] = {}
        self._courses: dict[AssetId, ShedCourse] = {}
        self._not_before_ms: dict[AssetId, int] = {}
        self._pdus = frozenset(pdu.id for pdu in site.assets.values() if "rated_amperes" in pdu.ratings)
        if self._books:
            self._world = self._made(site, window, switches)

    def _made(self, site: Site, window: Window, switches: Switches) -> ShedWorld:
        shed = self._books[0].shed
        assert shed is not None
        plans = Plans(site=site, clock=self._clock, settings=Settings(), switches=switches, shed=shed)
        loads = Loads(site, window, window, held=dict)
        return ShedWorld(
            clock=self._clock,
            site=site,
            ledger=self._ledger,
            bench=Bench(clock=self._clock, actuator=NoActuator(), holds_lease=lambda _: True),
            loads=loads,
            cluster=None,
            switches=switches,
            plan=lambda pdu: plans.plan(loads, pdu),
            epoch=lambda: EPOCH,
            bus_lives=lambda: True,
            told=lambda _state, _gate: None,
            random=Random(EPOCH),  # noqa: S311 - nothing secret, and the same in every replay
        )

    def hear(self, alert: AlertEvent) -> None:
        """One transition of an alert."""
        asset = AssetId(alert.labels.get("asset", ""))
        if alert.state is AlertState.FIRING and asset in self._pdus:
            self._firing[alert.alert_id] = (alert.rule, asset)
        elif alert.state is not AlertState.PENDING:
            self._firing.pop(alert.alert_id, None)

    def tick(self) -> None:
        """Once a second: begin where the rule fires and the meter shows it for as long as the playbook says."""
        now_ms = self._clock.now_ms()
        for book in self._books:
            for pdu in sorted({pdu for rule, pdu in self._firing.values() if rule in book.rules}):
                course = self._courses.get(pdu)
                if course is not None and not course.state.ended:
                    continue
                if now_ms >= self._not_before_ms.get(pdu, 0) and self._over(pdu, book, now_ms):
                    self._begin(pdu, book, now_ms)

    def _over(self, pdu: AssetId, book: Playbook, now_ms: int) -> bool:
        shed = book.shed
        assert shed is not None
        phases = self._world.loads.phases(pdu, now_ms - LOOK_BACK_MS)
        return any(over_for(p.readings, p.limit_amperes, shed.act_at, shed.act_after_seconds, now_ms) for p in phases)

    def _begin(self, pdu: AssetId, book: Playbook, now_ms: int) -> None:
        state = Remediation(
            remediation_id=remediation_id_of("protective/shed", book.playbook, pdu, now_ms),
            incident_id="",
            playbook=book.playbook,
            lane=Lane.PROTECTIVE,
            mode=Mode.OBSERVE,
            cause=Cause.OVERLOAD,
            target=pdu,
            step_name="shed",
            memory={"kind": "shed"},
            created_at_ms=now_ms,
            updated_at_ms=now_ms,
        )
        self._ledger.record(state, outgoing(state))
        course = self._courses[pdu] = ShedCourse(state, book, self._world)
        self._begin_course(self._run(course))

    async def _run(self, course: ShedCourse) -> None:
        """One course to its end, and then a pause as the lane makes it: what was only observed is still over its limit."""
        await course.run()
        self._not_before_ms[course.state.target] = self._clock.now_ms() + round(1000 * AGAIN_SECONDS)
