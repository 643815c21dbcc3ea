"""One seed from its first second to its verdict: a hall, a story of troubles, the product in it, and what it broke or kept."""

import asyncio
import hashlib
import shutil
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from bus.events import AlertEvent, IncidentEvent, RemediationEvent
from bus.signing import SigningKey
from fleet.settings import Intervals, Keys, PlaybookMode, Remediation, Settings, TrustedKey
from hallkeeper.world.case import Case, case_of
from hallkeeper.world.faultplan import SECONDS, Planned, plan_of
from hallkeeper.world.hall import Ground, Hall
from hallkeeper.world.house import House
from hallkeeper.world.invariants import violations
from hallkeeper.world.loop import VirtualLoop
from hallkeeper.world.people import People
from hallkeeper.world.rulefiles import PLAYBOOKS, write_playbooks, write_rules
from hallkeeper.world.troubles import Troubles
from hallkeeper.world.witness import Witness
from simulator.layout import Layout
from simulator.plant import Plant

INTERVALS: Final = Intervals(
    inlet=5.0, outlet=5.0, bmc=10.0, gpu=20.0, fabric=10.0, agent=5.0, cooling=20.0, incident=5.0
)
"""The campaign's instruments are asked less often than a site's: what is judged is what is done with what they say."""
ROUNDS: Final = 20
OPERATOR: Final = SigningKey.from_seed(b"o" * 32)
SERVICE: Final = SigningKey.from_seed(b"s" * 32)


@dataclass(frozen=True, slots=True, kw_only=True)
class Verdict:
    """What came of one seed."""

    seed: int
    violations: tuple[str, ...]
    acts: int
    refusals: dict[str, int]
    injected: dict[str, int]
    simulated_seconds: float
    cpu_seconds: float
    digest: str
    """Of the event log: equal for equal runs."""

    @property
    def failed(self) -> bool:
        """A promise was broken, or nothing was done."""
        return bool(self.violations) or self.acts == 0


@dataclass(slots=True)
class Run:
    """One seed, or one story of one's own."""

    ground: Ground
    seed: int
    folder: Path
    """The run's own data folder; it must not exist."""
    plan: tuple[Planned, ...] | None = None
    seconds: float = SECONDS
    prepare: Callable[["Run"], None] = lambda _: None
    """May change house or hall before anything starts: planted bugs, crash points."""
    hall: Hall = field(init=False)
    house: House = field(init=False)
    troubles: Troubles = field(init=False)
    witness: Witness = field(init=False)
    case: Case | None = None
    """What the checker read, once it has run."""

    def __post_init__(self) -> None:
        self.folder.mkdir(parents=True)
        settings = self.ground.settings.model_copy(update={"data": self.folder})
        settings._base = self.ground.settings.base  # noqa: SLF001 - a copy with another data folder
        loop = VirtualLoop()
        asyncio.set_event_loop(loop)
        plant = Plant(self.ground.layout, seed=self.seed)
        self.hall = Hall(loop=loop, site=self.ground.site, settings=settings, plant=plant, seed=self.seed, coarse=True)
        self.house = House(self.hall)
        self.troubles = Troubles(self.hall, self.house, People(self.hall, OPERATOR))
        self.witness = Witness(self.hall)
        self.hall.point = self.troubles.point
        self.hall.restart = self.troubles.start

    def verdict(self) -> Verdict:
        """Run it and judge it. The folder is removed."""
        began = time.process_time()
        loop = self.hall.loop
        try:
            loop.run_until_complete(self._lived())
            self.case = case_of(self.hall, self.house, self.witness, self.troubles.spans)
            found = tuple(violations(self.case))
        finally:
            asyncio.set_event_loop(None)
            loop.close()
            shutil.rmtree(self.folder, ignore_errors=True)
        log = event_log(self.case)
        return Verdict(
            seed=self.seed,
            violations=found,
            acts=sum(seen.arrival.executed and not seen.arrival.copy for seen in self.witness.seen),
            refusals=refusals(self.case),
            injected=dict(self.troubles.injected),
            simulated_seconds=loop.time(),
            cpu_seconds=time.process_time() - began,
            digest=hashlib.sha256("\n".join(log).encode()).hexdigest(),
        )

    async def _lived(self) -> None:
        loop = self.hall.loop
        nature = loop.create_task(self.hall.nature())
        self.troubles.schedule(plan_of(self.seed, self.ground.layout) if self.plan is None else self.plan)
        self.prepare(self)
        self.house.start_all()
        await asyncio.sleep(self.seconds)
        nature.cancel()
        for process in self.hall.processes.values():
            process.kill()
        await ended_all()


async def ended_all() -> None:
    """Every task of the run is over: those of the killed, and what they still began while they died."""
    for _ in range(ROUNDS):
        left = asyncio.all_tasks() - {asyncio.current_task()}
        if not left:
            return
        for task in left:
            task.cancel()
        await asyncio.gather(*left, return_exceptions=True)


def campaign_ground(folder: Path, layout: Layout | None = None) -> Ground:
    """64 nodes or another layout, the campaign's rules and playbooks, everything enforced."""
    folder.mkdir(parents=True, exist_ok=True)
    SERVICE.save(folder / "service.json")
    trusted = {
        SERVICE.key_id: TrustedKey(public=SERVICE.public, role="service", name="hallkeeper"),
        OPERATOR.key_id: TrustedKey(public=OPERATOR.public, role="operator", name="alice"),
    }
    settings = Settings(
        site=folder / "site.yaml",
        rules=(write_rules(folder / "rules"),),
        playbooks=(write_playbooks(folder / "playbooks"),),
        remediation=Remediation(
            modes={name: PlaybookMode(default="enforce") for name in PLAYBOOKS if name != "pieces"}
        ),
        keys=Keys(sign="file:service.json", trusted=trusted),
        intervals=INTERVALS,
    )
    settings._base = folder  # noqa: SLF001 - it was read from nowhere
    return Ground.made(folder, layout or Layout(), settings)


def refusals(case: Case) -> dict[str, int]:
    """By gate: how many refusals were told."""
    found: Counter[str] = Counter()
    for told in case.told:
        if isinstance(told.event, RemediationEvent) and told.event.phase in {"denied", "awaiting_approval"}:
            failed = [gate.gate for gate in told.event.gates if not gate.passed]
            found[failed[-1] if failed else (told.event.reason.code if told.event.reason else "none")] += 1
    return dict(sorted(found.items()))


def event_log(case: Case | None) -> list[str]:
    """A run as lines: what reached devices, what was said; equal runs give equal bytes."""
    if case is None:
        return []
    lines = [
        f"{seen.at:.3f} device {seen.arrival.device} {seen.arrival.verb} {seen.arrival.intent}"
        f" {seen.arrival.accepted} {seen.arrival.executed} {seen.arrival.copy}"
        for seen in case.seen
    ]
    for told in case.told:
        match told.event:
            case AlertEvent() as alert:
                lines.append(f"{told.at:.3f} alert {alert.alert_id} {alert.state} {alert.value!r}")
            case IncidentEvent() as incident:
                lines.append(
                    f"{told.at:.3f} incident {incident.incident_id} {incident.state} {incident.sequence} {incident.pages}"
                )
            case RemediationEvent() as one:
                code = one.reason.code if one.reason else ""
                lines.append(
                    f"{told.at:.3f} remediation {one.remediation_id} {one.sequence} {one.phase} {one.verb} {code}"
                )
    return lines
