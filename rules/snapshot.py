"""What survives a restart: the alerts and what models keep, as bytes with a version."""

from collections.abc import Mapping, Sequence
from typing import Final

import msgspec

from fleet.errors import Malformed
from rules.alerts.alert import Alert

VERSION: Final = 1


class _Document(msgspec.Struct, frozen=True, kw_only=True):
    version: int
    at_ms: int
    alerts: dict[str, list[Alert]]
    models: dict[str, bytes] = {}
    fired: dict[str, dict[str, list[int]]] = {}


class Snapshot(msgspec.Struct, frozen=True, kw_only=True):
    """The alerts of all rules at a time."""

    at_ms: int
    alerts: Mapping[str, Sequence[Alert]]
    """By rule uid."""
    models: Mapping[str, bytes] = {}
    """What models keep, by their name; a state of before there were models has none."""
    fired: Mapping[str, Mapping[str, Sequence[int]]] = {}
    """When alerts fired that could flap, by rule uid and alert id."""


def encode_snapshot(snapshot: Snapshot) -> bytes:
    """As msgpack."""
    alerts = {uid: list(alerts) for uid, alerts in snapshot.alerts.items()}
    fired = {uid: {one: list(times) for one, times in alerts.items()} for uid, alerts in snapshot.fired.items()}
    document = _Document(
        version=VERSION, at_ms=snapshot.at_ms, alerts=alerts, models=dict(snapshot.models), fired=fired
    )
    return msgspec.msgpack.encode(document)


def decode_snapshot(data: bytes) -> Snapshot:
    """Raises `Malformed` for other bytes, and for another version."""
    try:
        document = msgspec.msgpack.decode(data, type=_Document)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
        raise Malformed(f"not alert states: {error}") from error
    if document.version != VERSION:
        raise Malformed(f"alert states of version {document.version}, this release reads {VERSION}")
    return Snapshot(at_ms=document.at_ms, alerts=document.alerts, models=document.models, fired=document.fired)
