"""Answers to the four requests of SNMP, from a MIB: GET, GETNEXT, GETBULK, SET."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from enum import IntEnum
from itertools import pairwise

from simulator.snmp import ber
from simulator.snmp.mib import Mib, Order, SetError

GET, GET_NEXT, RESPONSE, SET, GET_BULK = 0xA0, 0xA1, 0xA2, 0xA3, 0xA5
REPORT = 0xA8
MOST_VARBINDS = 128
"""In a request; more is refused as malformed, as small agents do."""


class Status(IntEnum):
    """Error statuses of a response."""

    NO_ERROR = 0
    TOO_BIG = 1
    GENERAL = 5


Seen = Callable[[str, Mapping[str, object], str, bool, str], None]
"""Writes one write attempt down: verb, arguments, request id, accepted, and why not."""


@dataclass(frozen=True, slots=True)
class Request:
    """A decoded request: identifiers stay encoded (contents without tag and length), values as (tag, content)."""

    kind: int
    request_id: int
    second: int
    """error-status; non-repeaters of GETBULK."""
    third: int
    """error-index; max-repetitions of GETBULK."""
    names: tuple[bytes, ...]
    values: tuple[tuple[int, bytes], ...]
    raw_varbinds: bytes
    context: bytes = b""
    """The v3 context name, to be repeated."""


def decode(buffer: bytes, at: int, end: int) -> Request:
    """The PDU at `at`. Raises `BerError`."""
    kind, start, stop = ber.read(buffer, at, end)
    if kind not in (GET, GET_NEXT, GET_BULK, SET):
        raise ber.BerError(f"PDU {kind:#x} is not for an agent")
    request_id, at = ber.read_integer(buffer, start, stop)
    second, at = ber.read_integer(buffer, at, stop)
    third, at = ber.read_integer(buffer, at, stop)
    at, end = ber.expect(buffer, at, stop, ber.SEQUENCE)
    raw = buffer[at:end]
    names: list[bytes] = []
    values: list[tuple[int, bytes]] = []
    while at < end:
        inner, after = ber.expect(buffer, at, end, ber.SEQUENCE)
        name_start, name_end = ber.expect(buffer, inner, after, ber.OID)
        tag, value_start, value_end = ber.read(buffer, name_end, after)
        names.append(buffer[name_start:name_end])
        values.append((tag, buffer[value_start:value_end]))
        at = after
        if len(names) > MOST_VARBINDS:
            raise ber.BerError("too many varbinds")
    return Request(kind, request_id, second, third, tuple(names), tuple(values), raw)


def response(request: Request, varbinds: bytes, status: int = 0, index: int = 0, kind: int = RESPONSE) -> bytes:
    return ber.tlv(
        kind,
        ber.integer(request.request_id) + ber.integer(status) + ber.integer(index) + ber.tlv(ber.SEQUENCE, varbinds),
    )


def _varbind(name: bytes, value: bytes) -> bytes:
    return ber.tlv(ber.SEQUENCE, name + value)


def _get(mib: Mib, content: bytes) -> bytes:
    index = mib.exact(content)
    if index is not None:
        return _varbind(mib.names[index], mib.values()[index])
    name = ber.tlv(ber.OID, content)
    ber.decode_oid(content)
    return _varbind(name, ber.NO_SUCH_INSTANCE if mib.has_object(content) else ber.NO_SUCH_OBJECT)


def _next(mib: Mib, content: bytes) -> bytes:
    index = mib.following(content)
    if index >= len(mib.names):
        return _varbind(ber.tlv(ber.OID, content), ber.END_OF_MIB_VIEW)
    return _varbind(mib.names[index], mib.values()[index])


def _bulk(mib: Mib, request: Request, room: int) -> bytes:
    """As many repetitions as asked for and as fit into `room` octets (RFC 3416, 4.2.3)."""
    singles = max(0, min(request.second, len(request.names)))
    parts = [_next(mib, name) for name in request.names[:singles]]
    used = sum(map(len, parts))
    names, values = mib.names, mib.values()
    ends = [ber.tlv(ber.OID, name) for name in request.names[singles:]]
    places = [mib.following(name) for name in request.names[singles:]]
    for _ in range(max(0, request.third)):
        if all(place >= len(names) for place in places) and used:
            break
        for column, place in enumerate(places):
            if place < len(names):
                ends[column] = names[place]
                part = _varbind(names[place], values[place])
            else:
                part = _varbind(ends[column], ber.END_OF_MIB_VIEW)
            used += len(part)
            if used > room:
                return b"".join(parts)
            parts.append(part)
            places[column] = place + 1
    return b"".join(parts)


def answer(mib: Mib, request: Request, *, may_write: bool, room: int, seen: Seen) -> bytes:
    """The encoded response PDU. `room` is what the varbinds may take; every write attempt goes to `seen` first."""
    if request.kind == SET:
        return _set(mib, request, may_write=may_write, seen=seen)
    if request.kind == GET_BULK:
        return response(request, _bulk(mib, request, room))
    one = _get if request.kind == GET else _next
    varbinds = b"".join([one(mib, name) for name in request.names])
    if len(varbinds) > room:
        return response(request, b"", Status.TOO_BIG)
    return response(request, varbinds)


def _judge(mib: Mib, name: bytes, value: tuple[int, bytes]) -> Order | SetError:
    judge = mib.writable.get(ber.decode_oid(name))
    if judge is None:
        return SetError.NOT_WRITABLE if mib.exact(name) is not None else SetError.NO_CREATION
    tag, content = value
    if tag != ber.INTEGER or not 1 <= len(content) <= 4:
        return SetError.WRONG_TYPE
    return judge(int.from_bytes(content, "big", signed=True))


def note_set(mib: Mib, request: Request, seen: Seen, *, accepted: bool, why: str = "") -> None:
    """Write each varbind of a SET down, by what it would do."""
    for name, value in zip(request.names, request.values, strict=True):
        verdict = _judge(mib, name, value)
        known: dict[str, object] = {"oid": ".".join(map(str, ber.decode_oid(name)))}
        if isinstance(verdict, Order):
            seen(verdict.verb, known | dict(verdict.arguments), str(request.request_id), accepted, why)
        else:
            seen("set", known, str(request.request_id), False, why or verdict.name.lower())


def _set(mib: Mib, request: Request, *, may_write: bool, seen: Seen) -> bytes:
    """All or nothing: judge every varbind, then carry all out in order."""
    verdicts = [_judge(mib, name, value) for name, value in zip(request.names, request.values, strict=True)]
    faults = [(place, verdict) for place, verdict in enumerate(verdicts, start=1) if isinstance(verdict, SetError)]
    if not may_write and verdicts:
        faults = [(1, SetError.NO_ACCESS)]
    if faults:
        place, status = faults[0]
        note_set(mib, request, seen, accepted=False, why=status.name.lower())
        return response(request, request.raw_varbinds, status, place)
    note_set(mib, request, seen, accepted=True)
    for verdict in verdicts:
        if isinstance(verdict, Order):
            verdict.act()
    return response(request, request.raw_varbinds)


def adjacent(mib: Mib) -> bool:
    """Whether the MIB's objects are strictly ordered, which every walk relies on."""
    return all(left < right for left, right in pairwise(mib.oids))
