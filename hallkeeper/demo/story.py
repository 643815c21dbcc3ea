"""What happened, told: folds the bus's events and the devices' own log into lines, times and counts. Pure."""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from bus.events import AlertEvent, AlertState, AnyEvent, IncidentEvent, IncidentState, RemediationEvent


@dataclass(frozen=True, slots=True, kw_only=True)
class Line:
    """One line on the screen."""

    at_ms: int
    style: str
    """A rich style."""
    text: str


@dataclass(slots=True, kw_only=True)
class Chapter:
    """One fault, from its injection to its proof."""

    fault: str
    target: str
    assets: frozenset[str]
    """Assets whose alerts and commands belong to this fault."""
    playbook: str
    injected_ms: int = 0
    detected_ms: int | None = None
    acted_ms: int | None = None
    proven_ms: int | None = None
    incidents: set[str] = field(default_factory=set)
    healed: bool = False

    def seconds(self, at_ms: int | None) -> float | None:
        """Seconds since the injection."""
        return None if at_ms is None else round((at_ms - self.injected_ms) / 1000, 3)


class Story:
    """The chapters and what is known of them."""

    def __init__(self) -> None:
        self.chapters: list[Chapter] = []
        self.intents: dict[str, RemediationEvent] = {}
        """Every intent that was sent, by its id."""
        self._seen: dict[str, tuple[object, ...]] = {}

    def begin(self, chapter: Chapter) -> None:
        """A fault was injected."""
        self.chapters.append(chapter)

    def take(self, event: AnyEvent) -> list[Line]:
        """Fold one event; gives what a person should read of it."""
        match event:
            case AlertEvent():
                return self._alert(event)
            case IncidentEvent():
                return self._incident(event)
            case RemediationEvent():
                return self._remediation(event)
            case _:
                return []

    def _chapter_of(self, *assets: str) -> Chapter | None:
        return next((chapter for chapter in reversed(self.chapters) if chapter.assets & set(assets)), None)

    def _alert(self, event: AlertEvent) -> list[Line]:
        if event.state is not AlertState.FIRING:
            return []
        asset = event.labels.get("asset", event.labels.get("node", ""))
        chapter = self._chapter_of(asset)
        if chapter is not None and chapter.detected_ms is None and event.evaluated_at_ms >= chapter.injected_ms:
            chapter.detected_ms = event.evaluated_at_ms
        style = {"critical": "bold red", "warning": "yellow"}.get(event.severity, "cyan")
        return [
            Line(
                at_ms=event.evaluated_at_ms,
                style=style,
                text=f"alert      {event.severity:<9} {event.alertname} {asset}  {event.annotations.get('description', event.annotations.get('summary', ''))}",
            )
        ]

    def _incident(self, event: IncidentEvent) -> list[Line]:
        chapter = self._chapter_of(event.root, *event.assets)
        if chapter is not None and event.opened_at_ms >= chapter.injected_ms:
            chapter.incidents.add(event.incident_id)
            if event.state is IncidentState.RESOLVED and chapter.playbook != "phase-overload":
                chapter.healed = chapter.healed or chapter.proven_ms is not None
        if not self._changed(event.incident_id, event.state, event.title, event.pages):
            return []
        style = {IncidentState.RESOLVED: "bold green", IncidentState.ESCALATED: "bold red"}.get(event.state, "magenta")
        page = "  (a person is paged)" if event.pages else ""
        return [
            Line(
                at_ms=event.updated_at_ms,
                style=style,
                text=f"incident   {event.state:<9} {event.title} ({event.root}, {len(event.alerts)} alerts, {short(event.incident_id)}){page}",
            )
        ]

    def _remediation(self, event: RemediationEvent) -> list[Line]:
        if event.intent_id is not None and event.phase in ("executing", "verifying"):
            self.intents.setdefault(event.intent_id, event)
        chapter = self._chapter_of(event.target, str(event.arguments.get("node", "")))
        if chapter is None or event.playbook != chapter.playbook:
            chapter = next((each for each in reversed(self.chapters) if each.playbook == event.playbook), None)
        if chapter is not None and event.phase == "succeeded" and chapter.proven_ms is None:
            chapter.proven_ms = event.at_ms
            chapter.healed = True
        return self._told(event)

    def _told(self, event: RemediationEvent) -> list[Line]:
        """What a person should read of a remediation's step; the same words are said once."""
        line = self._step(event)
        return [line] if line is not None and self._changed(event.remediation_id, line.text) else []

    def _step(self, event: RemediationEvent) -> Line | None:
        why = event.reason.text if event.reason else ""
        match event.phase:
            case "denied":
                refused = next((f"{gate.gate}: {gate.text}" for gate in event.gates if not gate.passed), why)
                return self._line(event, "yellow", f"refused    {event.action}  {refused}")
            case "executing":
                passed = f"{len(event.gates)} gates passed, " if event.gates else ""
                return self._line(
                    event,
                    "bold cyan",
                    f"act        {event.action}{arguments(event.arguments)}  ({passed}intent {short(event.intent_id)})",
                )
            case "verifying" if event.proof and all(proof.passed for proof in event.proof):
                return self._line(event, "green", f"proof      {proof_text(event)}")
            case "verifying" if event.step:
                return self._line(event, "blue", f"waits      {event.playbook}: {event.step}")
            case "succeeded" | "failed" | "escalated" | "would_have" | "cancelled" | "awaiting_approval":
                style = "bold green" if event.phase == "succeeded" else "bold red"
                return self._line(event, style, f"{event.phase:<10} {event.playbook} on {event.target}  {why}")
            case _:
                return None

    @staticmethod
    def _line(event: RemediationEvent, style: str, text: str) -> Line:
        return Line(at_ms=event.at_ms, style=style, text=text)

    def _changed(self, key: str, *now: object) -> bool:
        if self._seen.get(key) == now:
            return False
        self._seen[key] = now
        return True


def arguments(values: Mapping[str, Any]) -> str:
    """Arguments of a verb as `key=value`, the short ones only."""
    shown = [f"{key}={value}" for key, value in values.items() if isinstance(value, (str, int, float)) and key != "uid"]
    return f" {' '.join(shown)}" if shown else ""


def short(intent: str | None) -> str:
    """The first digits of an id: enough to find it."""
    return (intent or "")[:8]


def proof_text(event: RemediationEvent) -> str:
    """Which instrument said what."""
    best: dict[str, float] = {}
    for proof in event.proof:
        where = proof.labels.get("asset", "") + (
            f" outlet {proof.labels['outlet']}" if "outlet" in proof.labels else ""
        )
        best[f"{where} {proof.metric}".strip()] = proof.value
    shown = ", ".join(f"{name} = {value:.0f}" for name, value in list(best.items())[:3])
    return f"{event.action}: {shown or 'read back'}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Wire:
    """One state-changing request as a device's own log has it."""

    device: str
    verb: str
    intent: str | None
    at_ms: int
    at_seconds: float
    chapter: int | None
    duplicate: bool


def on_the_wire(
    story: Story, log: Iterable[Mapping[str, Any]], *, same: Callable[[Mapping[str, Any], RemediationEvent], bool]
) -> list[Wire]:
    """Match every request that a device saw to the intent it came from; one beyond its intent is a duplicate.

    `same` says whether a log entry is the request of an intent; each intent accounts for one request only.
    """
    open_intents = sorted(story.intents.values(), key=lambda event: event.at_ms)
    used: set[str] = set()
    wires = []
    for entry in sorted(log, key=lambda each: each["at_ms"]):
        intent = next((event for event in open_intents if event.intent_id not in used and same(entry, event)), None)
        if intent is not None and intent.intent_id is not None:
            used.add(intent.intent_id)
        number = _chapter_number(story, entry["at_ms"], intent)
        injected = story.chapters[number].injected_ms if number is not None else entry["at_ms"]
        wires.append(
            Wire(
                device=entry["device"],
                verb=entry["verb"],
                intent=intent.intent_id if intent else None,
                at_ms=entry["at_ms"],
                at_seconds=round((entry["at_ms"] - injected) / 1000, 3),
                chapter=number,
                duplicate=intent is None,
            )
        )
    return wires


def _chapter_number(story: Story, at_ms: int, intent: RemediationEvent | None) -> int | None:
    if intent is not None:
        for number, chapter in enumerate(story.chapters):
            if intent.incident_id in chapter.incidents:
                return number
        for number, chapter in enumerate(story.chapters):
            if intent.playbook == chapter.playbook:
                return number
    begun = [number for number, chapter in enumerate(story.chapters) if chapter.injected_ms <= at_ms]
    return begun[-1] if begun else None
