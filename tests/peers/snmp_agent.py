"""An SNMP v2c agent for tests: serves a recorded walk on a loopback port, and misbehaves on request."""

import asyncio
from bisect import bisect_right
from collections.abc import Callable, Iterator
from contextlib import asynccontextmanager
from pathlib import Path

from hallkeeper.bench.load_snmp import END_OF_VIEW, GET, GETBULK, RESPONSE, element, integer, oid_bytes, oid_of, tlv

Oid = tuple[int, ...]
Rows = dict[Oid, bytes]
OK, TOO_BIG = b"\x02\x01\x00\x02\x01\x00", b"\x02\x01\x01\x02\x01\x00"
NO_SUCH_INSTANCE = b"\x81\x00"
UNSIGNED = {"65": 0x41, "66": 0x42, "67": 0x43, "70": 0x46}


def oid(text: str) -> Oid:
    return tuple(map(int, text.strip(".").split(".")))


def snmprec(path: Path) -> Rows:
    """The rows of a recording: `OID|type|value`, a type with x is hexadecimal."""
    rows: Rows = {}
    for line in path.read_text(encoding="utf-8", errors="replace").splitlines():
        number, kind, value = ([*line.split("|", 2), "", ""])[:3]
        if kind:
            rows[oid(number)] = encoded(kind, value)
    return rows


def encoded(kind: str, value: str) -> bytes:
    if kind.endswith("x"):
        return tlv(int(kind[:-1]), bytes.fromhex(value))
    if kind == "2":
        return integer(int(value))
    if kind in UNSIGNED:
        return integer(int(value), UNSIGNED[kind])
    if kind == "6":
        return oid_bytes(oid(value))
    if kind == "64":
        return tlv(0x40, bytes(map(int, value.split("."))))
    return tlv(int(kind), value.encode())


class Agent(asyncio.DatagramProtocol):
    """Answers GET, GETNEXT and GETBULK from `rows`; `twist` may change or drop an encoded answer."""

    def __init__(self, rows: Rows) -> None:
        self.rows = rows
        self.requests: list[tuple[int, list[Oid]]] = []
        self.largest = 10_000
        """Varbinds beyond which it says tooBig."""
        self.mute = False
        self.drops: Iterator[bool] = iter(())
        """Whether to leave each coming request unanswered."""
        self.twist: Callable[[bytes], bytes | None] = lambda answer: answer
        self.port = 0
        self.peer = ("", 0)
        self._transport: asyncio.DatagramTransport | None = None

    @property
    def address(self) -> str:
        return f"127.0.0.1:{self.port}"

    def connection_made(self, transport: asyncio.DatagramTransport) -> None:
        self._transport = transport
        self.port = transport.get_extra_info("sockname")[1]

    def datagram_received(self, message: bytes, peer: tuple[str, int]) -> None:
        self.peer = peer
        _, at, _ = element(message, 0)
        _, _, version_end = element(message, at)
        _, _, head_end = element(message, version_end)
        tag, at_id, _ = element(message, head_end)
        _, _, id_end = element(message, at_id)
        asked, rounds = self._asked(tag, message[id_end:])
        self.requests.append((tag, asked))
        if self.mute or next(self.drops, False):
            return
        binds = list(self._binds(tag, asked, rounds))
        body = OK + tlv(0x30, b"".join(binds)) if len(binds) <= self.largest else TOO_BIG + tlv(0x30, b"")
        pdu = tlv(RESPONSE, message[at_id:id_end] + body)
        answer = self.twist(tlv(0x30, message[at:head_end] + pdu))
        if answer is not None and self._transport is not None:
            self._transport.sendto(answer, peer)

    def _asked(self, tag: int, tail: bytes) -> tuple[list[Oid], int]:
        _, _, first_end = element(tail, 0)
        _, second, second_end = element(tail, first_end)
        _, at, end = element(tail, second_end)
        asked = []
        while at < end:
            _, inner, at_next = element(tail, at)
            _, start, stop = element(tail, inner)
            asked.append(oid_of(tail[start:stop]))
            at = at_next
        return asked, int.from_bytes(tail[second:second_end], "big") if tag == GETBULK else 1

    def _binds(self, tag: int, asked: list[Oid], rounds: int) -> Iterator[bytes]:
        if tag == GET:
            yield from (tlv(0x30, oid_bytes(one) + self.rows.get(one, NO_SUCH_INSTANCE)) for one in asked)
            return
        order = sorted(self.rows)
        for step in range(rounds):
            for one in asked:
                at = bisect_right(order, one) + step
                found = (order[at], self.rows[order[at]]) if at < len(order) else (one, END_OF_VIEW)
                yield tlv(0x30, oid_bytes(found[0]) + found[1])


@asynccontextmanager
async def serving(rows: Rows):
    """An agent that serves these rows until the block ends."""
    transport, agent = await asyncio.get_running_loop().create_datagram_endpoint(
        lambda: Agent(rows), local_addr=("127.0.0.1", 0)
    )
    try:
        yield agent
    finally:
        transport.close()
