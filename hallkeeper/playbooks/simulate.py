"""One playbook in virtual time against the obedient site: the product's own course, gates, ledger and proofs; nothing is sent."""

import asyncio
import tempfile
from collections.abc import Collection
from pathlib import Path
from typing import Any

from fleet.clock import VirtualClock
from fleet.errors import HallkeeperError
from fleet.model import AssetId, Site
from hallkeeper.playbooks.obedient import ObedientSite
from remediator.attempt import Bench, Look
from remediator.course import Course
from remediator.fact_source import FactSource, Surroundings
from remediator.facts import Approval
from remediator.ledger import Ledger
from remediator.looks import Looks
from remediator.playbook import Playbook, Step
from remediator.proof import Finding, Verdict
from remediator.records import Intent, Remediation, remediation_id_of
from remediator.sight import Sight, Signal
from remediator.switches import Switches
from remediator.usual import UsualDraw
from remediator.verbs import Cause, Lane, Mode
from remediator.world import World

WARM_SECONDS = 80
"""Until what an outlet usually draws is known."""
LIMIT_SECONDS = 3 * 86_400
REFUSED_SECONDS = 200
"""A gate that has refused for so long will not be moved by waiting; hold-downs are shorter."""
CLEARS_AFTER_MS = 5_000
"""The alert ends so long after an act that had an effect (default of the simulation)."""


def simulated(book: Playbook, site: Site, target: str, *, fails: Collection[str] = ()) -> dict[str, Any]:
    """The timeline. Raises `UnknownAsset`, and `HallkeeperError` for what cannot be simulated."""
    asset = site.asset(target)
    if book.lane is not Lane.CORRECTIVE:
        raise HallkeeperError(f"{book.playbook} is the protective lane's, try: hallkeeper shed --dry-run")
    if asset.kind not in book.targets:
        kinds = ", ".join(kind.value for kind in book.targets)
        raise HallkeeperError(f"{target} is a {asset.kind}, {book.playbook} treats {kinds}: try one of those")
    known = {name for rung in book.ladder for step in rung.steps for name in (step.name, f"{rung.rung}/{step.name}")}
    unknown = sorted(set(fails) - known)
    if unknown:
        raise HallkeeperError(f"{book.playbook} has no step {unknown[0]!r}, try one of {', '.join(sorted(known))}")
    with tempfile.TemporaryDirectory() as folder:
        return asyncio.run(Simulation(book, site, asset.id, fails, Path(folder)).run())


class _Looks(Looks):
    """Where this window shows no instrument for a verb, the obedient site's own word is the proof."""

    def __init__(self, site: Site, sight: Sight, obedient: ObedientSite) -> None:
        super().__init__(site, sight)
        self._obedient = obedient

    def of(self, intent: Intent) -> Look:
        """As the product looks, and what the site was told."""
        look = super().of(intent)

        async def seen(sent_at_ms: int) -> Finding:
            finding = await look(sent_at_ms)
            if finding.verdict is Verdict.PROVEN or self._obedient.refuses(intent.verb.value):
                return finding
            done = any(
                verb == intent.verb.value and asset == intent.device for _, verb, asset, _ in self._obedient.sent
            )
            later = self._obedient.clock.now_ms() > sent_at_ms + CLEARS_AFTER_MS
            return Finding(Verdict.PROVEN, text="the simulated site did it") if done and later else finding

        return seen


class Simulation:
    """One run."""

    def __init__(self, book: Playbook, site: Site, target: AssetId, fails: Collection[str], folder: Path) -> None:
        self._book, self._site, self._target, self._fails = book, site, target, fails
        self._clock = VirtualClock()
        self._obedient = ObedientSite(site, target, self._clock, silent=False)
        self._ledger = Ledger.open(folder / "ledger.sqlite")
        self._switches = Switches(folder)
        self._usual = UsualDraw()
        self._lines: list[tuple[int, str]] = []
        self._begun_ms = 0
        self._said: tuple[object, ...] = ()
        self._course: Course | None = None

    async def run(self) -> dict[str, Any]:
        """Warm up, let the fault begin, run the course to its end."""
        nature = asyncio.create_task(self._obedient.run())
        try:
            await self._warm()
            course = self._course = Course(self._state(), self._book, self._world())
            self._obedient.refuses = lambda verb: self._failing(verb) is not None
            self._obedient.dull = lambda: self._failing("") is not None
            task = asyncio.create_task(course.run())
            while not task.done() and not self._stuck(course.state):
                self._agree(course)
                await self._clock.advance(0.5)
            if task.done():
                task.result()
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)
            return self._report(course.state)
        finally:
            nature.cancel()
            await asyncio.gather(nature, return_exceptions=True)
            self._ledger.close()

    async def _warm(self) -> None:
        for _ in range(WARM_SECONDS):
            await self._clock.advance(1.0)
            for node in self._obedient.machines:
                for outlet in self._site.graph.outlets_of(node):
                    labels = {"asset": str(outlet.labels["pdu"]), "outlet": str(outlet.labels["outlet"])}
                    for sample in self._obedient.readings.latest("pdu_outlet_power_watts", labels):
                        self._usual.feed(outlet.id, sample.value, sample.at_ms)
        if self._book.cause is Cause.SILENCE:
            for machine in self._obedient.machines.values():
                machine.hung = True
            await self._clock.advance(30.0)
        self._begun_ms = self._clock.now_ms()

    def _state(self) -> Remediation:
        now_ms = self._begun_ms
        return Remediation(
            remediation_id=remediation_id_of("simulated", self._book.playbook, self._target, 0),
            incident_id="simulated",
            playbook=self._book.playbook,
            mode=Mode.ENFORCE,
            cause=self._book.cause,
            target=self._target,
            created_at_ms=now_ms,
            updated_at_ms=now_ms,
            epoch=1,
        )

    def _world(self) -> World:
        sight = Sight(
            site=self._site,
            window=self._obedient.readings,
            cluster=self._obedient,
            signal=lambda _metric: Signal(1_000),
            usual_watts=self._usual,
            stop_events=lambda _node, _since_ms: (),
        )
        return World(
            clock=self._clock,
            site=self._site,
            ledger=self._ledger,
            bench=Bench(clock=self._clock, actuator=self._obedient, holds_lease=lambda _epoch: True),
            facts=FactSource(
                site=self._site,
                sight=sight,
                ledger=self._ledger,
                switches=self._switches,
                surroundings=lambda _state, _now_ms: Surroundings(
                    bus_lag_ms=0.0, clock_offset_ms=0.0, active_since_ms=self._begun_ms
                ),
            ),
            looks=_Looks(self._site, sight, self._obedient),
            epoch=lambda: 1,
            flush=_at_once,
            wish=lambda _state: None,
            told=self._told,
            alerting=lambda _state: self._alerting(),
        )

    def _alerting(self) -> bool:
        acted = self._obedient.acted_at_ms
        return self._obedient.dull() or acted is None or self._clock.now_ms() - acted < CLEARS_AFTER_MS

    def _step(self, state: Remediation) -> Step | None:
        steps = self._book.ladder[state.rung].steps
        return steps[state.step] if state.step < len(steps) else None

    def _stuck(self, state: Remediation) -> bool:
        """A gate says no and nothing here will change its mind."""
        now_ms = self._clock.now_ms()
        refused_ms = state.refused_since_ms
        held = refused_ms is not None and now_ms - refused_ms > REFUSED_SECONDS * 1000
        return held or now_ms - self._begun_ms > LIMIT_SECONDS * 1000

    def _failing(self, verb: str) -> Step | None:
        """The step under way, where it is an act of this verb ("" for a wait) and shall fail."""
        if self._course is None:
            return None
        state = self._course.state
        step = self._step(state)
        if step is None or ("" if step.act is None else step.act.value) != verb:
            return None
        names = {step.name, f"{self._book.ladder[state.rung].rung}/{step.name}"}
        return step if names & set(self._fails) else None

    def _agree(self, course: Course) -> None:
        """What asks a person is agreed to, by as many as it takes."""
        if course.state.phase.value == "awaiting_approval":
            for name in ("first person", "second person"):
                until_ms = self._clock.now_ms() + 900_000
                course.approve(
                    Approval(
                        actor=name, role="operator", plan=str(course.state.memory.get("asked")), expires_at_ms=until_ms
                    )
                )

    def _told(self, state: Remediation, gate: str) -> None:
        said = (state.phase, state.step_name, state.rung, state.reason_code, len(state.done), len(state.approvals))
        if said == self._said:
            return
        self._said = said
        for line in self._words(state, gate):
            self._lines.append((self._clock.now_ms(), line))

    def _words(self, state: Remediation, gate: str) -> list[str]:
        match state.phase.value:
            case "executing":
                arguments = " ".join(f"{name}={value}" for name, value in state.arguments.items())
                return [f"send {state.verb} [{state.class_}] for step {state.step_name} {arguments}".rstrip()]
            case "verifying" if not state.verb:
                return [f"wait for step {state.step_name}"]
            case "denied" | "awaiting_approval":
                return [f"gate {gate} says {state.reason_code}: {state.reason_text}"]
            case "pending" if state.done:
                last = state.done[-1]
                return [f"step {last.step} {last.outcome}: {last.text}".rstrip(": ")]
            case "pending" if state.memory.get("ladder"):
                return [str(state.memory["ladder"][-1]["text"])]
            case _:
                return []

    def _report(self, state: Remediation) -> dict[str, Any]:
        def seconds(at_ms: int) -> float:
            return round((at_ms - self._begun_ms) / 1000, 1)

        return {
            "playbook": self._book.playbook,
            "target": str(self._target),
            "ended": state.ended,
            "phase": state.phase.value,
            "outcome": f"{state.phase.value} {state.reason_code} {state.reason_text}".strip(),
            "seconds": seconds(self._clock.now_ms()),
            "rungs": [str(line["rung"]) for line in state.memory.get("ladder", ())],
            "prices": [str(line["text"]) for line in state.memory.get("ladder", ())],
            "sent": [
                {"at_seconds": seconds(at), "verb": verb, "asset": asset, "arguments": arguments}
                for at, verb, asset, arguments in self._obedient.sent
            ],
            "timeline": [{"at_seconds": seconds(at), "what": what} for at, what in self._lines],
        }


async def _at_once() -> None:
    """There is no bus to wait for."""
