"""Gathers what happens during a replay, and sums it up at the end. Pure: times and readings are handed in."""

from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final

from bus.events import IncidentEvent, RemediationEvent
from fleet.model import AssetId, Kind, Site
from hallkeeper.replay.findings import (
    Episode,
    Findings,
    IncidentLine,
    Refused,
    Remedy,
    RuleLine,
    Totals,
    WouldStep,
)
from rules.engine import AlertState, AlertTransition
from rules.files.model import AlertRule, RuleSet

LISTED: Final = 20_000
"""Episodes that a report lists; those beyond are counted."""
REFUSALS: Final = 100
"""Changes of a gate's reason that are kept of one remediation."""

Draw = Callable[[AssetId], float]
"""What a node draws now, in watts."""


@dataclass(slots=True)
class _Rule:
    fired: int = 0
    pending: int = 0
    first_ms: int | None = None
    firing_ms: int = 0


@dataclass(slots=True)
class _Remedy:
    event: RemediationEvent
    begun_ms: int
    decided_ms: int | None = None
    refused: list[Refused] = field(default_factory=list)
    nodes: tuple[str, ...] = ()
    watts: float = 0.0


class Notes:
    """What one rule set did so far."""

    def __init__(self, rules: RuleSet, site: Site, draw: Draw) -> None:
        self._site, self._draw = site, draw
        self._alerting = [rule for group in rules.groups for rule in group.rules if isinstance(rule, AlertRule)]
        self._open: dict[str, Episode] = {}
        self._ended: list[Episode] = []
        self._left_out = 0
        self._rules: dict[str, _Rule] = defaultdict(_Rule)
        self._incidents: dict[str, tuple[IncidentEvent, bool]] = {}
        self._remedies: dict[str, _Remedy] = {}
        self._touched: dict[str, float] = {}

    # alerts

    def alert(self, found: AlertTransition) -> None:
        """One transition."""
        known = self._open.get(found.alert_id)
        match found.state:
            case AlertState.PENDING:
                self._open[found.alert_id] = _begun(found)
            case AlertState.FIRING:
                self._open[found.alert_id] = _fired(known or _begun(found), found)
                rule = self._rules[found.rule]
                rule.fired += 1
                rule.first_ms = found.evaluated_at_ms if rule.first_ms is None else rule.first_ms
            case _:
                self._open.pop(found.alert_id, None)
                if known is not None:
                    self._end(known, found.evaluated_at_ms, str(found.state))

    def _end(self, episode: Episode, ended_ms: int | None, end: str, until_ms: int = 0) -> None:
        rule = self._rules[episode.rule]
        if episode.firing_ms is None:
            rule.pending += 1
        else:
            rule.firing_ms += (until_ms if ended_ms is None else ended_ms) - episode.firing_ms
        if len(self._ended) < LISTED:
            self._ended.append(_changed(episode, ended_ms=ended_ms, end=end))
        else:
            self._left_out += 1

    # incidents and remediations

    def incident(self, event: IncidentEvent) -> None:
        """One transition of an incident."""
        before = self._incidents.get(event.incident_id)
        self._incidents[event.incident_id] = event, event.pages or (before is not None and before[1])

    def remedy(self, event: RemediationEvent) -> None:
        """One transition of a remediation."""
        known = self._remedies.get(event.remediation_id)
        if known is None:
            known = self._remedies[event.remediation_id] = _Remedy(event, event.at_ms)
        known.event = event
        if event.phase in {"denied", "awaiting_approval"} and event.reason is not None:
            gate = next((line.gate for line in event.gates if not line.passed), event.reason.code)
            if len(known.refused) < REFUSALS:
                known.refused.append(
                    Refused(at_ms=event.at_ms, gate=gate, code=event.reason.code, text=event.reason.text)
                )
        if event.phase == "would_have" and known.decided_ms is None:
            known.decided_ms = event.at_ms
            known.nodes = self._nodes(event)
            draws = {node: self._draw(AssetId(node)) for node in known.nodes}
            known.watts = sum(draws.values())
            for node, watts in draws.items():
                self._touched.setdefault(node, watts)

    def _nodes(self, event: RemediationEvent) -> tuple[str, ...]:
        """The nodes among what its acts are aimed at; a step without a target of its own is aimed at the remediation's."""
        would = event.arguments.get("would", [])
        aimed = {str(step.get("target", event.target)) for step in would} or {event.target}
        assets = self._site.assets
        return tuple(sorted(one for one in aimed if AssetId(one) in assets and assets[AssetId(one)].kind is Kind.NODE))

    # the sum

    def findings(
        self, until_ms: int, failures: Mapping[str, str], unseen: Mapping[str, Sequence[str]], rules_sha256: str
    ) -> Findings:
        """Everything, in an order that does not depend on how it was found."""
        for episode in self._open.values():
            self._end(episode, None, "", until_ms)
        self._open.clear()
        lines = tuple(self._line(rule, failures, unseen) for rule in self._alerting)
        remedies = tuple(sorted((_remedy(one) for one in self._remedies.values()), key=_when))
        incidents = tuple(
            sorted((_incident(*one) for one in self._incidents.values()), key=lambda one: (one.opened_ms, one.incident))
        )
        return Findings(
            rules=lines,
            silent=tuple(line.rule for line in lines if not line.fired),
            episodes=tuple(sorted(self._ended, key=lambda one: (one.pending_ms, one.key))),
            left_out=self._left_out,
            incidents=incidents,
            remedies=remedies,
            totals=self._totals(lines, incidents, remedies),
            rules_sha256=rules_sha256,
        )

    def _line(self, rule: AlertRule, failures: Mapping[str, str], unseen: Mapping[str, Sequence[str]]) -> RuleLine:
        found = self._rules.get(rule.uid, _Rule())
        return RuleLine(
            rule=rule.uid,
            fired=found.fired,
            pending=found.pending,
            first_ms=found.first_ms,
            firing_seconds=found.firing_ms / 1000,
            unseen=tuple(unseen.get(rule.uid, ())),
            failure=failures.get(rule.uid, ""),
        )

    def _totals(
        self, lines: Sequence[RuleLine], incidents: Sequence[IncidentLine], remedies: Sequence[Remedy]
    ) -> Totals:
        gates: dict[str, int] = defaultdict(int)
        for remedy in remedies:
            for gate in sorted({refused.gate for refused in remedy.refused}):
                gates[gate] += 1
        return Totals(
            fired=sum(line.fired for line in lines),
            incidents=len(incidents),
            pages=sum(incident.paged for incident in incidents),
            remedies=len(remedies),
            would_have=sum(remedy.decided_ms is not None for remedy in remedies),
            refused=dict(sorted(gates.items())),
            nodes=len(self._touched),
            megawatts=round(sum(self._touched[node] for node in sorted(self._touched)) / 1e6, 6),
        )


def _begun(found: AlertTransition) -> Episode:
    return Episode(
        rule=found.rule,
        alertname=found.alertname,
        severity=found.severity,
        labels=dict(sorted(found.labels.items())),
        pending_ms=found.active_since_ms,
        value=_value(found.value),
    )


def _fired(episode: Episode, found: AlertTransition) -> Episode:
    return _changed(episode, firing_ms=found.evaluated_at_ms, value=_value(found.value))


def _changed(episode: Episode, **changes: object) -> Episode:
    fields = {name: getattr(episode, name) for name in Episode.__struct_fields__}
    return Episode(**{**fields, **changes})


def _value(value: float) -> float | str:
    """JSON has no NaN and no infinity: they are written as Prometheus writes them."""
    if value != value:  # noqa: PLR0124 - only NaN differs from itself
        return "NaN"
    return value if abs(value) != float("inf") else f"{value:+g}".replace("inf", "Inf")


def _when(remedy: Remedy) -> tuple[int, str]:
    return remedy.begun_ms, remedy.remediation


def _remedy(found: _Remedy) -> Remedy:
    event = found.event
    would = event.arguments.get("would", []) if found.decided_ms is not None else []
    return Remedy(
        remediation=event.remediation_id,
        incident=event.incident_id,
        playbook=event.playbook,
        lane=event.lane,
        target=event.target,
        begun_ms=found.begun_ms,
        decided_ms=found.decided_ms,
        phase=event.phase,
        steps=tuple(
            WouldStep(
                step=str(step.get("step", "")),
                verb=str(step.get("verb", "")),
                target=str(step.get("target", "")),
                refused=str(step.get("refused") or ""),
            )
            for step in would
        ),
        refused=tuple(found.refused),
        nodes=found.nodes,
        watts=round(found.watts, 3),
    )


def _incident(event: IncidentEvent, paged: bool) -> IncidentLine:
    return IncidentLine(
        incident=event.incident_id,
        title=event.title,
        severity=event.severity,
        root=event.root,
        opened_ms=event.opened_at_ms,
        ended_ms=event.ended_at_ms,
        state=str(event.state),
        alerts=len(event.alerts),
        assets=len(event.assets),
        paged=paged,
    )
