"""`/api/v1/targets` and `/federate`: what is read, and the newest samples in Prometheus's text format."""

from collections.abc import Mapping
from typing import Final

from starlette.responses import Response

from console.prometheus.encode import moment, number, success
from console.prometheus.errors import ApiError, Kind, invalid
from console.prometheus.params import Params
from console.prometheus.window import QueryWindow
from rules.holdings import Holdings, selector
from rules.promql.errors import ExpressionError
from rules.promql.passes import LOOKBACK_MS
from rules.promql.tree import Select

TEXT: Final = "text/plain; version=0.0.4; charset=utf-8"
_STATES: Final = frozenset({"", "any", "active", "dropped"})
_ESCAPES: Final = str.maketrans({"\\": r"\\", '"': r"\"", "\n": r"\n"})


async def targets(params: Params, window: QueryWindow, now_ms: int) -> Response:
    """Every target with an `up` of the last five minutes; nothing is ever dropped here."""
    state, pool = params.text("state").lower(), params.text("scrapePool")
    if state not in _STATES:
        raise invalid("state", f'not supported value "{state}"')
    found = await window.ask(lambda held: Holdings(held, [Select("up", ())], now_ms - LOOKBACK_MS, now_ms).newest())
    active = [_target(labels, value, at) for labels, value, at in found if not pool or labels.get("job") == pool]
    return success(
        {
            "activeTargets": [] if state == "dropped" else active,
            "droppedTargets": [],
            "droppedTargetCounts": {target["scrapePool"]: 0 for target in active},
        }
    )


def _target(labels: Mapping[str, str], value: float, at_ms: int) -> dict[str, object]:
    shown = {name: text for name, text in labels.items() if name != "__name__"}
    return {
        "discoveredLabels": {"__address__": labels.get("instance", "")},
        "labels": shown,
        "scrapePool": labels.get("job", ""),
        "scrapeUrl": labels.get("instance", ""),
        "globalUrl": labels.get("instance", ""),
        "lastError": "" if value else "the target did not answer",
        "lastScrape": moment(at_ms),
        "lastScrapeDuration": 0,
        "health": "up" if value else "down",
        "scrapeInterval": "",
        "scrapeTimeout": "",
    }


async def federate(params: Params, window: QueryWindow, now_ms: int) -> Response:
    """The newest samples of the series that match, for another Prometheus to read."""
    selects = [_selector(text) for text in params.all("match[]")]
    if not selects:
        return Response("", media_type=TEXT)
    found = await window.ask(lambda held: Holdings(held, selects, now_ms - LOOKBACK_MS, now_ms).newest())
    lines, name = [], ""
    for labels, value, at in sorted(found, key=lambda each: (each[0]["__name__"], sorted(each[0].items()))):
        if labels["__name__"] != name:
            name = labels["__name__"]
            lines.append(f"# TYPE {name} untyped")
        lines.append(f"{name}{{{_written(labels)}}} {number(value)} {at}")
    return Response("".join(f"{line}\n" for line in lines), media_type=TEXT)


def _written(labels: Mapping[str, str]) -> str:
    """An empty instance where there is none, as Prometheus does it: the reader must not put its own."""
    pairs = sorted((name, text) for name, text in labels.items() if name != "__name__")
    whole = pairs if "instance" in labels else [*pairs, ("instance", "")]
    return ",".join(f'{name}="{text.translate(_ESCAPES)}"' for name, text in whole)


def _selector(text: str) -> Select:
    try:
        return selector(text)
    except ExpressionError as error:
        raise ApiError(Kind.BAD_DATA, str(error)) from None
