"""A load of SNMP agents for the bench: v2c, one process, many ports, answers encoded once.

Every agent serves the outlet tables of an Eaton ePDU G3 with 48 outlets and 6 numeric columns (288 OIDs). Values take
turns between variants drawn from a seed. An answer to a request seen before costs a dictionary look-up and a send, so
that the generator stays far below the poller it loads. Its BER is its own: a bug of the poller's decoder cannot hide.
"""

import argparse
import json
import random
import select
import signal
import socket
from bisect import bisect_right
from collections.abc import Iterator
from types import FrameType

Oid = tuple[int, ...]
Varbind = tuple[Oid, bytes]

ENTRY: Oid = (1, 3, 6, 1, 4, 1, 534, 6, 6, 7, 6)
COLUMNS: tuple[tuple[Oid, int, int, int], ...] = (
    ((3, 1, 2), 0x02, 226_000, 234_000),
    ((4, 1, 3), 0x02, 0, 16_000),
    ((5, 1, 3), 0x02, 0, 3_600),
    ((5, 1, 4), 0x42, 100_000, 90_000_000),
    ((5, 1, 6), 0x02, -999, 999),
    ((6, 1, 2), 0x02, 1, 1),
)
"""Table and column below the outlets' branch, BER tag, lowest and highest raw value: mV, mA, W, Wh, 0.001, state."""

OUTLETS = 48
VARIANTS = 8
GETBULK, GETNEXT, GET, RESPONSE = 0xA5, 0xA1, 0xA0, 0xA2
END_OF_VIEW = b"\x82\x00"
NO_SUCH_INSTANCE = b"\x81\x00"


def tlv(tag: int, body: bytes) -> bytes:
    """One BER element."""
    size = len(body)
    if size < 0x80:
        return bytes((tag, size)) + body
    length = size.to_bytes((size.bit_length() + 7) // 8, "big")
    return bytes((tag, 0x80 | len(length))) + length + body


def integer(value: int, tag: int = 0x02) -> bytes:
    """A BER integer of any of the numeric types."""
    return tlv(tag, value.to_bytes(value.bit_length() // 8 + 1, "big", signed=True))


def oid_bytes(oid: Oid) -> bytes:
    """A BER object identifier."""
    body = bytearray((oid[0] * 40 + oid[1],))
    for part in oid[2:]:
        septets = [part & 0x7F]
        while part := part >> 7:
            septets.append(0x80 | part & 0x7F)
        body += bytes(reversed(septets))
    return tlv(0x06, bytes(body))


def element(message: bytes, at: int) -> tuple[int, int, int]:
    """Tag, start and end of the contents of the element at `at`."""
    size = message[at + 1]
    start = at + 2
    if size & 0x80:
        start += size & 0x7F
        size = int.from_bytes(message[at + 2 : start], "big")
    return message[at], start, start + size


def oid_of(body: bytes) -> Oid:
    """The numbers of an encoded object identifier's contents."""
    parts = list(divmod(body[0], 40))
    number = 0
    for octet in body[1:]:
        number = number << 7 | octet & 0x7F
        if not octet & 0x80:
            parts.append(number)
            number = 0
    return tuple(parts)


def agent_table(random_values: random.Random) -> list[Varbind]:
    """The 288 rows of one agent at one moment, encoded, in the order of their OIDs."""
    rows = [
        (ENTRY + path + (0, outlet), integer(random_values.randint(low, high), tag))
        for path, tag, low, high in COLUMNS
        for outlet in range(1, OUTLETS + 1)
    ]
    return sorted(rows)


class Answers:
    """What every agent answers: a request's bytes after its id, to the answer's bytes after its id."""

    def __init__(self, seed: int) -> None:
        draw = random.Random(seed)
        self._tables = [agent_table(draw) for _ in range(VARIANTS)]
        self._encoded = [[tlv(0x30, oid_bytes(oid) + value) for oid, value in table] for table in self._tables]
        self._oids = [oid for oid, _ in self._tables[0]]
        self._known: list[dict[bytes, bytes]] = [{} for _ in range(VARIANTS)]
        self.varbinds: dict[bytes, int] = {}

    def to(self, tag: int, tail: bytes, variant: int) -> bytes:
        """The answer's error status, error index and varbinds."""
        known = self._known[variant]
        answer = known.get(tail)
        if answer is None:
            binds = list(self._binds(tag, tail, variant))
            answer = known[tail] = b"\x02\x01\x00\x02\x01\x00" + tlv(0x30, b"".join(binds))
            self.varbinds[tail] = len(binds)
        return answer

    def _binds(self, tag: int, tail: bytes, variant: int) -> Iterator[bytes]:
        _, _, first_end = element(tail, 0)
        _, second, second_end = element(tail, first_end)
        _, at, end = element(tail, second_end)
        asked = []
        while at < end:
            _, inner, at_next = element(tail, at)
            _, start, stop = element(tail, inner)
            asked.append(oid_of(tail[start:stop]))
            at = at_next
        if tag == GET:
            yield from (self._exactly(oid, variant) for oid in asked)
            return
        rounds = int.from_bytes(tail[second:second_end], "big") if tag == GETBULK else 1
        yield from self._following(asked, rounds, variant)

    def _exactly(self, oid: Oid, variant: int) -> bytes:
        at = bisect_right(self._oids, oid) - 1
        if at >= 0 and self._oids[at] == oid:
            return self._encoded[variant][at]
        return tlv(0x30, oid_bytes(oid) + NO_SUCH_INSTANCE)

    def _following(self, asked: list[Oid], rounds: int, variant: int) -> Iterator[bytes]:
        at = [bisect_right(self._oids, oid) for oid in asked]
        for step in range(rounds):
            for oid, start in zip(asked, at, strict=True):
                if start + step < len(self._oids):
                    yield self._encoded[variant][start + step]
                else:
                    yield tlv(0x30, oid_bytes(oid) + END_OF_VIEW)


class Load:
    """All agents of the load behind one epoll, one port each."""

    def __init__(self, agents: int, seed: int) -> None:
        self.answers = Answers(seed)
        self.requests = self.varbinds = 0
        self._stopped = False
        self._epoll = select.epoll()
        self._agents: dict[int, socket.socket] = {}
        self._served: dict[int, int] = {}
        for number in range(agents):
            agent = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
            agent.setblocking(False)
            agent.bind(("127.0.0.1", 0))
            self._agents[agent.fileno()] = agent
            self._served[agent.fileno()] = number
            self._epoll.register(agent.fileno(), select.EPOLLIN)

    @property
    def ports(self) -> list[int]:
        return [agent.getsockname()[1] for agent in self._agents.values()]

    def stop(self, _signal: int, _frame: FrameType | None) -> None:
        self._stopped = True

    def run(self) -> None:
        while not self._stopped:
            for descriptor, _ in self._epoll.poll(0.2):
                self._serve(descriptor)

    def _serve(self, descriptor: int) -> None:
        agent = self._agents[descriptor]
        try:
            message, peer = agent.recvfrom(4096)
        except BlockingIOError:
            return
        _, at, _ = element(message, 0)
        _, _, version_end = element(message, at)
        _, _, community_end = element(message, version_end)
        tag, at_id, _ = element(message, community_end)
        _, _, id_end = element(message, at_id)
        tail = message[id_end:]
        served = self._served[descriptor] = self._served[descriptor] + 1
        answer = self.answers.to(tag, tail, served // 6 % VARIANTS)
        pdu = tlv(RESPONSE, message[at_id:id_end] + answer)
        agent.sendto(tlv(0x30, message[at:community_end] + pdu), peer)
        self.requests += 1
        self.varbinds += self.answers.varbinds[tail]


def main() -> None:
    """Print the ports as one JSON line, serve until SIGTERM, print what was served as the last line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--agents", type=int, required=True)
    parser.add_argument("--seed", type=int, default=1)
    arguments = parser.parse_args()
    load = Load(arguments.agents, arguments.seed)
    signal.signal(signal.SIGTERM, load.stop)
    print(json.dumps({"ports": load.ports}), flush=True)
    load.run()
    print(json.dumps({"requests": load.requests, "varbinds": load.varbinds}), flush=True)


if __name__ == "__main__":
    main()
