"""CloudEvents 1.0 JSON around the events: what is written can be read by any CloudEvents reader, what is read is hostile."""

import math
import typing
from collections.abc import Mapping
from datetime import UTC, datetime
from functools import cache
from typing import Any, Final, cast

import msgspec

from bus.errors import UnknownMajor
from bus.event_types import (
    EVENT_TYPES,
    AlertEvent,
    AlertState,
    AnyEvent,
    ClaimEvent,
    CommandEvent,
    DeviceEvent,
    GateResult,
    IncidentAlert,
    IncidentEvent,
    IncidentState,
    Moment,
    Open,
    Proof,
    Reason,
    RemediationEvent,
)
from fleet.errors import Malformed

__all__ = [
    "EVENT_TYPES",
    "AlertEvent",
    "AlertState",
    "AnyEvent",
    "ClaimEvent",
    "CommandEvent",
    "DeviceEvent",
    "GateResult",
    "IncidentAlert",
    "IncidentEvent",
    "IncidentState",
    "Moment",
    "Proof",
    "Reason",
    "RemediationEvent",
    "UnknownMajor",
    "decode_event",
    "encode_event",
    "rfc3339",
]

SPEC_VERSION: Final = "1.0"
CONTENT_TYPE: Final = "application/json"
DEPTH_LIMIT: Final = 8
"""Objects and arrays inside each other, the event itself included."""
FUTURE_MS: Final = 5_000
"""An event further ahead than this is refused: a wrong clock must not outlive every later event."""
LAST_MS: Final = 253_402_300_799_999
"""The end of year 9999, as far as calendars go."""
OUR_TYPES: Final = "io.hallkeeper."

_JSON: Final = msgspec.json.Encoder()
_RAW: Final = msgspec.json.Decoder()
_LARGEST: Final = max(kind.SIZE_LIMIT for kind in EVENT_TYPES.values())
_ATTRIBUTES: Final = frozenset({"specversion", "id", "source", "type", "subject", "time", "datacontenttype", "data"})
_HIDDEN: Final = ("unknown", "envelope")


def encode_event(event: AnyEvent) -> bytes:
    """The event as CloudEvents JSON. Raises `Malformed` for NaN or infinity, over 8 levels or over its size limit."""
    data = _flat(event) if type(event) is AlertEvent else _closed(type(event), msgspec.to_builtins(event))
    document = event.envelope | {
        "specversion": SPEC_VERSION,
        "id": event.event_id(),
        "source": event.ORIGIN,
        "type": event.TYPE,
        "subject": event.key(),
        "time": rfc3339(event.time_ms()),
        "datacontenttype": CONTENT_TYPE,
        "data": data,
    }
    if type(event) is not AlertEvent or event.unknown or event.envelope:
        _bounded(document, event.TYPE, 1)
    value = _JSON.encode(document)
    _sized(value, event.TYPE, event.SIZE_LIMIT)
    return value


def _flat(event: AlertEvent) -> dict[str, Any]:
    """The fields of an event that holds texts and two numbers: a storm writes tens of thousands of them."""
    for number in (event.value, event.group_interval_seconds):
        if isinstance(number, float) and not math.isfinite(number):
            raise Malformed(f"{event.TYPE}: {number} is not a number that JSON carries")
    return event.unknown | {name: getattr(event, name) for name in _shape(AlertEvent)}


def decode_event(value: bytes, *, now_ms: int | None = None) -> AnyEvent:
    """The event in hostile bytes; with `now_ms` one from the future is refused.

    Raises `Malformed` with the reason, and `UnknownMajor` for a type or version of a newer release.
    """
    _sized(value, "event", _LARGEST)
    document = _document(value)
    kind = _kind(document)
    _sized(value, kind.TYPE, kind.SIZE_LIMIT)
    _bounded(document, kind.TYPE, 1)
    try:
        event = msgspec.convert(_opened(kind, document["data"]), kind)
    except (msgspec.ValidationError, RecursionError) as error:
        raise Malformed(f"{kind.TYPE}: {error}") from error
    if not 0 <= event.time_ms() <= LAST_MS:
        raise Malformed(f"{kind.TYPE} {event.key()!r}: {event.time_ms()} ms is not a time")
    if now_ms is not None and event.time_ms() > now_ms + FUTURE_MS:
        raise Malformed(
            f"{kind.TYPE} {event.key()!r}: {event.time_ms() - now_ms} ms in the future, try the producer's clock"
        )
    extensions = {name: kept for name, kept in document.items() if name not in _ATTRIBUTES}
    return msgspec.structs.replace(event, envelope=extensions) if extensions else event


def rfc3339(at_ms: int) -> str:
    """Unix milliseconds as CloudEvents writes time. Raises `Malformed` for a time no calendar holds."""
    try:
        return datetime.fromtimestamp(at_ms // 1000, UTC).strftime("%Y-%m-%dT%H:%M:%S") + f".{at_ms % 1000:03d}Z"
    except (OverflowError, ValueError, OSError) as error:
        raise Malformed(f"{at_ms} ms is not a time: {error}") from error


def _document(value: bytes) -> dict[str, Any]:
    try:
        document = _RAW.decode(value)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
        raise Malformed(f"not an event: {error}") from error
    if not isinstance(document, dict) or not isinstance(document.get("data"), dict):
        raise Malformed("not an event: an object with an object `data` is expected")
    if document.get("specversion") != SPEC_VERSION:
        raise Malformed(f"CloudEvents version {document.get('specversion')!r}, expected {SPEC_VERSION!r}")
    if not isinstance(document.get("id"), str) or not document["id"]:
        raise Malformed("not an event: its id is absent")
    return document


def _kind(document: Mapping[str, Any]) -> type[AnyEvent]:
    name = document.get("type")
    known = EVENT_TYPES.get(name) if isinstance(name, str) else None
    if known is not None:
        return known
    if isinstance(name, str) and name.startswith(OUR_TYPES):
        raise UnknownMajor(name[:200])
    raise Malformed(f"event type {str(name)[:200]!r} is not one of Hallkeeper's")


def _sized(value: bytes, what: str, limit: int) -> None:
    if len(value) > limit:
        raise Malformed(f"{what} of {len(value)} bytes is over the limit of {limit}")


def _bounded(value: object, what: str, depth: int) -> None:
    """Refuse nesting and numbers that no reader should have to survive."""
    if isinstance(value, float):
        if not math.isfinite(value):
            raise Malformed(f"{what}: {value} is not a number that JSON carries")
    elif isinstance(value, dict | list):
        if depth > DEPTH_LIMIT:
            raise Malformed(f"{what}: more than {DEPTH_LIMIT} levels deep")
        for inner in value.values() if isinstance(value, dict) else value:
            if isinstance(inner, float | dict | list):  # most are texts
                _bounded(inner, what, depth + 1)


@cache
def _shape(kind: type[Open]) -> dict[str, type[Open] | None]:
    """Each field's name on the wire and the struct inside it, if any."""
    return {
        field.encode_name: _inner(field.type) for field in msgspec.structs.fields(kind) if field.name not in _HIDDEN
    }


def _inner(annotation: Any) -> type[Open] | None:
    if isinstance(annotation, type) and issubclass(annotation, Open):
        return annotation
    return next((found for found in map(_inner, typing.get_args(annotation)) if found is not None), None)


def _opened(kind: type[Open], wire: object) -> object:
    """What came, with the fields that `kind` does not know moved into its `unknown`."""
    if not isinstance(wire, dict):
        return wire
    shape = _shape(kind)
    known = {name: _each(_opened, inner, wire[name]) for name, inner in shape.items() if name in wire}
    unknown = {name: kept for name, kept in wire.items() if name not in shape}
    return known | {"unknown": unknown} if unknown else known


def _closed(kind: type[Open], fields: object) -> dict[str, Any]:
    """The opposite: what is known over what was only kept."""
    wire = cast("dict[str, Any]", fields)
    known = {name: _each(_closed, inner, wire[name]) for name, inner in _shape(kind).items()}
    kept: dict[str, Any] = wire.get("unknown", {})
    return kept | known


def _each(way: typing.Callable[[type[Open], object], object], inner: type[Open] | None, value: object) -> object:
    if inner is None:
        return value
    if isinstance(value, list):
        return [way(inner, item) for item in value]
    return value if value is None else way(inner, value)
