"""One scenario in virtual time: its site and its faults by the simulator's course, the whole product in front of it, the verdict.

The shipped catalogue judges, the shipped playbooks answer, all of them enforced: what is forbidden must be prevented by gates.
"""

import asyncio
import shutil
import time
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from multiprocessing import get_context
from pathlib import Path
from typing import Any

from bus.events import RemediationEvent, decode_event
from bus.topics import REMEDIATIONS
from fleet.settings import Keys, PlaybookMode, Remediation, Settings, TrustedKey
from hallkeeper.world.campaign import silence, workplace
from hallkeeper.world.case import case_of
from hallkeeper.world.expectations import Told, judged
from hallkeeper.world.hall import Ground, Hall
from hallkeeper.world.house import ACTUATOR, COLLECTORS, REMEDIATOR, RULES, House
from hallkeeper.world.invariants import CHECKS
from hallkeeper.world.loop import VirtualLoop
from hallkeeper.world.people import People
from hallkeeper.world.seeds import OPERATOR, SERVICE, ended_all
from hallkeeper.world.troubles import Troubles
from hallkeeper.world.witness import Witness
from remediator.playbook_loader import load_playbooks
from simulator.facility import grant
from simulator.faults import FaultError
from simulator.faults.kind import Heal
from simulator.scenarios import load_scenarios
from simulator.scenarios.bounds import Watch
from simulator.scenarios.course import Course, plant_of, settings_of
from simulator.scenarios.schema import Person, Scenario

PARTS: Mapping[str, tuple[str, ...]] = {
    "hallkeeper": (COLLECTORS, ACTUATOR, RULES, REMEDIATOR),
    "rules": (RULES,),
    "remediator": (REMEDIATOR,),
    "actuator": (ACTUATOR,),
    "collector": (COLLECTORS,),
    "bus": (),
}
PROMISES = ("S1", "S2", "S3", "S9", "S12")
"""Of the invariants those that hold in every scenario, whatever it expects."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """What came of one scenario."""

    name: str
    why: tuple[str, ...]
    seconds: float
    cpu_seconds: float

    @property
    def passed(self) -> bool:
        """Everything was as it should be."""
        return not self.why


def run_scenario(name: str, files: Sequence[Path]) -> Outcome:
    """One scenario of the files, by name."""
    silence()
    scenario = next(one for one in load_scenarios(files) if one.scenario == name)
    folder, began = workplace(), time.process_time()
    try:
        why, seconds = _Virtual(scenario, folder).outcome()
    except Exception as error:
        why, seconds = (f"it broke off: {error!r}",), 0.0
    finally:
        shutil.rmtree(folder, ignore_errors=True)
    return Outcome(name=name, why=why, seconds=seconds, cpu_seconds=time.process_time() - began)


def run_all(scenarios: Sequence[Scenario], files: Sequence[Path], *, jobs: int) -> Iterator[Outcome]:
    """Each of them, in their order."""
    names = [scenario.scenario for scenario in scenarios]
    if jobs <= 1 or len(names) == 1:
        yield from (run_scenario(name, files) for name in names)
        return
    with ProcessPoolExecutor(jobs, mp_context=get_context("spawn")) as pool:
        yield from pool.map(run_scenario, names, [files] * len(names))


class _Virtual:
    """The run of one scenario."""

    def __init__(self, scenario: Scenario, folder: Path) -> None:
        self.scenario = scenario
        plant = plant_of(scenario)
        ground = _ground(folder, scenario)
        loop = VirtualLoop()
        asyncio.set_event_loop(loop)
        settings = ground.settings.model_copy(update={"data": folder / "data"})
        settings._base = ground.settings.base  # noqa: SLF001 - a copy with another data folder
        (folder / "data").mkdir()
        self.hall = Hall(loop=loop, site=ground.site, settings=settings, plant=plant, seed=scenario.site.seed)
        self.house = House(self.hall, whole=True)
        self.troubles = Troubles(self.hall, self.house, People(self.hall, OPERATOR))
        self.witness = Witness(self.hall)
        self.hall.faults.house = self._strike
        self.hall.restart = self.troubles.start

    def outcome(self) -> tuple[tuple[str, ...], float]:
        """Run it; what was not as it should be, and how long it was."""
        loop, scenario = self.hall.loop, self.scenario
        try:
            watch = loop.run_until_complete(self._lived())
            case = case_of(self.hall, self.house, self.witness, self.troubles.spans)
            told = Told(case, self.hall.plant.layout, scenario.warm_up_seconds)
            why = [*judged(scenario, told), *(str(broken) for broken in watch.broken)]
            why += [line for name in PROMISES for line in CHECKS[name](case)]
        finally:
            asyncio.set_event_loop(None)
            loop.close()
        return tuple(why), loop.time()

    async def _lived(self) -> Watch:
        loop, plant, scenario = self.hall.loop, self.hall.plant, self.scenario
        nature = loop.create_task(self.hall.nature())
        self.house.start_all()
        await asyncio.sleep(scenario.warm_up_seconds)
        course, watch = Course(scenario, self.hall.faults, plant.now), Watch(plant, scenario.bounds, plant.now)
        self.hall.before.append(course.step)
        self.hall.watchers.append(watch.look)
        course.step()
        for person in scenario.people:
            loop.call_later(person.at, self._does, person)
        await asyncio.sleep(scenario.seconds)
        nature.cancel()
        for process in self.hall.processes.values():
            process.kill()
        await ended_all()
        return watch

    # faults of the product's own parts

    def _strike(self, name: str, targets: tuple[str, ...], arguments: Mapping[str, object]) -> Heal:
        seconds = float(str(arguments.get("seconds", 0.0)))
        ratio = float(str(arguments.get("ratio", 0.0)))
        parts = [part for target in targets for part in PARTS.get(target, ())]
        trouble = self.hall.log.trouble
        match name:
            case "process-crash":
                for part in parts:
                    self.troubles.kill(part, seconds)
            case "process-pause":
                for part in parts:
                    self._paused(part, seconds)
            case "bus-leader-dies":
                trouble.away = True
                self.hall.loop.call_later(seconds, setattr, trouble, "away", False)
            case "bus-duplicate":
                return self.troubles.bus_field("doubled", ratio)
            case "bus-reorder":
                return self.troubles.bus_field("swapped", ratio)
            case "bus-loss":
                self.hall.network.lost = ratio
                return lambda: setattr(self.hall.network, "lost", 0.0)
            case "clock-jump":
                return self._jumped(parts, round(1000 * seconds))
            case "disk-full":
                self.hall.disk.full = True
                return lambda: setattr(self.hall.disk, "full", False)
            case "collector-wedged":
                return self._wedged(str(arguments.get("asset", "all")))
            case _:
                raise FaultError(f"{name} is not carried out in virtual time")
        return lambda: None

    def _paused(self, part: str, seconds: float) -> None:
        process = self.hall.processes[part]
        process.stop()
        self.hall.loop.call_later(seconds, process.go_on)

    def _jumped(self, parts: Sequence[str], jump_ms: int) -> Heal:
        def shift(by_ms: int) -> None:
            for part in parts:
                self.hall.processes[part].wall_ms += by_ms

        shift(jump_ms)
        return lambda: shift(-jump_ms)

    def _wedged(self, asset: str) -> Heal:
        collecting = self.house.collecting
        assert collecting is not None
        return collecting.wedge(None if asset == "all" else asset)

    # people

    def _does(self, person: Person) -> None:
        match person.does:
            case "approve" | "refuse":
                for remediation in self._asked(person):
                    kind = "approve" if person.does == "approve" else "deny"
                    self.troubles.people.command(kind, remediation)
            case "maintenance-begins":
                for asset in person.about:
                    self.troubles.people.command("maintenance", asset)
            case "maintenance-ends":
                for asset in person.about:
                    self.troubles.people.command("maintenance", asset, details={"end": True})
            case "grant":
                for asset in person.about:
                    grant(self.hall.plant, asset)
            case "stop" | "resume":
                self.troubles.people.command(str(person.does), "site")
            case _:
                return  # acknowledgements are on-call's

    def _asked(self, person: Person) -> list[str]:
        """Remediations that wait for a yes now, about these assets and verbs."""
        last: dict[str, RemediationEvent] = {}
        for record in self.hall.records(REMEDIATIONS):
            event = decode_event(record.value or b"")
            if isinstance(event, RemediationEvent):
                last[event.remediation_id] = event
        return [
            event.remediation_id
            for event in last.values()
            if event.phase == "awaiting_approval"
            and (not person.about or str(event.target) in person.about)
            and (not person.verbs or event.verb in person.verbs)
        ]


def _ground(folder: Path, scenario: Scenario) -> Ground:
    SERVICE.save(folder / "service.json")
    names = {book.playbook for book in load_playbooks()}
    trusted = {
        SERVICE.key_id: TrustedKey(public=SERVICE.public, role="service", name="hallkeeper"),
        OPERATOR.key_id: TrustedKey(public=OPERATOR.public, role="operator", name="operator-1"),
    }
    settings = Settings(
        site=folder / "site.yaml",
        remediation=Remediation(modes={name: PlaybookMode(default="enforce") for name in names}),
        keys=Keys(sign="file:service.json", trusted=trusted),
    )
    settings._base = folder  # noqa: SLF001 - it was read from nowhere
    layout = plant_of(scenario).layout
    return Ground.made(folder, layout, settings, settings_of(scenario.site))


def summary(outcomes: Sequence[Outcome]) -> dict[str, Any]:
    """The contract's shape."""
    return {"scenarios": [{"name": one.name, "passed": one.passed, "why": list(one.why)} for one in outcomes]}
