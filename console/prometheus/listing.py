"""`/api/v1/rules`, `/alerts`, `/metadata`: what is loaded, what is active, what metrics mean."""

from collections.abc import Iterable, Mapping
from typing import Final

from starlette.responses import Response

from bus.event_types import AlertEvent
from console.prometheus.alert_series import ACTIVE
from console.prometheus.encode import exponential, moment, success
from console.prometheus.errors import ApiError, Kind, invalid
from console.prometheus.health import Fares
from console.prometheus.params import Params
from fleet.metrics import METRICS
from rules.files.model import AlertRule, RecordingRule, RuleGroup, RuleSet

_NEVER: Final = "0001-01-01T00:00:00Z"
"""How Prometheus writes a time that is not known."""
_STATES: Final = ("inactive", "pending", "firing")
_KINDS: Final = {"": (AlertRule, RecordingRule), "alert": (AlertRule,), "record": (RecordingRule,)}
_TYPES: Final = {"counter": "counter", "gauge": "gauge", "info": "gauge", "state": "gauge"}


def rules(params: Params, loaded: RuleSet, events: Iterable[AlertEvent], fares: Fares) -> Response:
    """The groups with their rules, how these fare, and the alerts of each."""
    kind = params.text("type").lower()
    if kind not in _KINDS:
        raise invalid("type", f'not supported value "{kind}"')
    active = _active_by_rule(events)
    with_alerts = params.text("exclude_alerts").lower() not in {"true", "1", "t"}
    names, groups, files = (frozenset(params.all(each)) for each in ("rule_name[]", "rule_group[]", "file[]"))
    found = []
    for group in loaded.groups:
        if (groups and group.name not in groups) or (files and _file(group) not in files):
            continue
        chosen = [
            _rule(rule, active.get(rule.uid, []), fares, with_alerts=with_alerts)
            for rule in group.rules
            if isinstance(rule, _KINDS[kind]) and (not names or rule.name in names)
        ]
        if chosen:
            found.append(_group(group, chosen, fares))
    return success({"groups": found})


def alerts(events: Iterable[AlertEvent]) -> Response:
    """Alerts that are pending or firing."""
    return success({"alerts": [_alert(event) for event in events if str(event.state) in ACTIVE]})


def metadata(params: Params) -> Response:
    """Type, unit and meaning of metrics, from the register."""
    limits = []
    for name in ("limit", "limit_per_metric"):
        text = params.text(name)
        if text and not text.lstrip("-").isdigit():
            raise ApiError(Kind.BAD_DATA, f"{name} must be a number")
        limits.append(int(text) if text else -1)
    wanted = params.text("metric")
    names = [name for name in METRICS if not wanted or name == wanted]
    if limits[0] >= 0:
        names = names[: limits[0]]
    return success({name: [_meaning(name)] for name in names})


def _meaning(name: str) -> Mapping[str, str]:
    metric = METRICS[name]
    return {"type": _TYPES[metric.kind], "help": metric.meaning, "unit": "" if metric.unit == "1" else metric.unit}


def _group(group: RuleGroup, chosen: list[dict[str, object]], fares: Fares) -> dict[str, object]:
    times = [at for rule in group.rules if (at := fares.evaluated_ms.get(rule.uid)) is not None]
    return {
        "name": group.name,
        "file": _file(group),
        "rules": chosen,
        "interval": group.interval_ms / 1000,
        "limit": group.limit,
        "evaluationTime": fares.group_seconds.get(group.uid, 0),
        "lastEvaluation": moment(max(times)) if times else _NEVER,
    }


def _file(group: RuleGroup) -> str:
    return group.rules[0].place.file if group.rules else ""


def _fare(uid: str, fares: Fares) -> dict[str, object]:
    at = fares.evaluated_ms.get(uid)
    if at is None:
        return {"health": "unknown", "evaluationTime": 0, "lastEvaluation": _NEVER}
    told = {"evaluationTime": fares.seconds.get(uid, 0), "lastEvaluation": moment(at)}
    why = fares.errors.get(uid)
    return {"health": "ok", **told} if why is None else {"health": "err", "lastError": why, **told}


def _rule(
    rule: AlertRule | RecordingRule, active: list[AlertEvent], fares: Fares, *, with_alerts: bool
) -> dict[str, object]:
    shared: dict[str, object] = {"name": rule.name, "query": rule.expr, **_fare(rule.uid, fares)}
    if isinstance(rule, RecordingRule):
        return shared | {"labels": dict(rule.labels), "type": "recording"}
    return shared | {
        "state": max((str(event.state) for event in active), key=_STATES.index, default="inactive"),
        "duration": rule.for_ms / 1000,
        "keepFiringFor": rule.keep_firing_for_ms / 1000,
        "labels": {name: text.source for name, text in rule.labels.items()},
        "annotations": {name: text.source for name, text in rule.annotations.items()},
        "alerts": [_alert(event) for event in active] if with_alerts else None,
        "type": "alerting",
    }


def _active_by_rule(events: Iterable[AlertEvent]) -> dict[str, list[AlertEvent]]:
    found: dict[str, list[AlertEvent]] = {}
    for event in events:
        if str(event.state) in ACTIVE:
            found.setdefault(event.rule, []).append(event)
    return found


def _alert(event: AlertEvent) -> dict[str, object]:
    return {
        "labels": event.labels,
        "annotations": event.annotations,
        "state": str(event.state),
        "activeAt": moment(event.active_since_ms),
        "value": exponential(float(event.value)),
    }
