"""The corrective lane in virtual time: the real incidents, courses and gates, in mode observe, over the recording."""

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Final

from prometheus_client import CollectorRegistry

from bus.events import AlertEvent, DeviceEvent
from bus.port import Record
from bus.signing import TrustedKey
from fleet.clock import Clock
from fleet.model import Site
from hallkeeper.replay.around import QuickAround
from hallkeeper.replay.cluster import RecordedCluster
from hallkeeper.replay.courses import Courses
from hallkeeper.replay.nowhere import NoActuator, NoBus, passing
from hallkeeper.replay.window import SharedWindow
from remediator.attempt import Bench
from remediator.commands import Desk
from remediator.gauges import Gauges
from remediator.ledger import Ledger
from remediator.outbox import Outbox
from remediator.playbook import Playbook, PlaybookModes
from remediator.reign import Charter, Reign
from remediator.sight import Sight, Signal
from remediator.switches import Switches
from remediator.verbs import Lane, Mode

EPOCH: Final = 1


class Corrective(Courses):
    """One reign from the first second of the recording to its last."""

    def __init__(
        self,
        *,
        site: Site,
        window: SharedWindow,
        signal: Callable[[str], Signal],
        playbooks: Sequence[Playbook],
        clock: Clock,
        folder: Path,
        trusted: Mapping[str, TrustedKey],
    ) -> None:
        """`folder` is the replay's own: ledger and switches of a reign that never was."""
        self._clock = clock
        super().__init__(Ledger.open(folder / "ledger.sqlite", connect=passing))
        self._around = QuickAround(site, window, signal)
        self.switches = Switches(folder)
        cluster = RecordedCluster(site, window, clock)
        sight = Sight(
            site=site,
            window=window,
            cluster=cluster,
            signal=signal,
            usual_watts=self._around.usual,
            stop_events=self._around.stop_events,
        )
        self._reign = Reign(
            Charter(
                site=site,
                playbooks=playbooks,
                modes={book.playbook: PlaybookModes(default=Mode.OBSERVE) for book in playbooks},
                may_enforce={},
                clock=clock,
                ledger=self._ledger,
                outbox=Outbox(self._ledger, NoBus(), None, clock),
                around=self._around,
                sight=sight,
                switches=self.switches,
                bench=Bench(clock=clock, actuator=NoActuator(), holds_lease=lambda _: True),
                epoch=lambda: EPOCH,
                gauges=Gauges(CollectorRegistry(), Lane.CORRECTIVE),
            ),
            EPOCH,
        )
        self._desk = Desk(
            ledger=self._ledger,
            switches=self.switches,
            trusted=trusted,
            clock=clock,
            approve=self._reign.approve,
            resumed=self._reign.resumed,
            disbelieved=self._reign.disbelieved,
        )

    @property
    def concerned(self) -> bool:
        """An incident is open."""
        return bool(self._reign.book.open)

    def hear(self, alert: AlertEvent) -> None:
        """One transition of an alert."""
        self._reign.hear(alert)

    def heed(self, event: DeviceEvent) -> None:
        """A device told something by itself."""
        self._around.heed(event)

    def command(self, record: Record) -> None:
        """What an operator decided then: believed where it was believed then."""
        self._desk.take(record)

    def look(self) -> None:
        """Learn what is usual, and see what fell silent."""
        self._around.look(self._clock.now_ms())

    def tick(self) -> None:
        """Once a second: incidents, beginnings, ends."""
        now_ms = self._clock.now_ms()
        self._around.position.read(now_ms, None, more=False)
        self._reign.tick(caught_up=True)
        while not self._reign.started.empty():
            course = self._reign.started.get_nowait()
            self._begin_course(self._reign.run(course))
