"""Counts commands on the wire, from outside: opens IPMI and SNMPv3 packets with the password, by code of its own.

It shares nothing with the product: what it counts is what anybody on the wire could have counted.
"""

import hashlib
import hmac
from dataclasses import dataclass, field

from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes

try:
    from cryptography.hazmat.decrepit.ciphers.modes import CFB
except ImportError:
    from cryptography.hazmat.primitives.ciphers.modes import CFB


@dataclass
class IpmiSniffer:
    """Follows logins of one account and counts chassis control requests, copies by the client included."""

    user: str
    password: str
    commands: int = 0
    values: list[int] = field(default_factory=list)
    """The control byte of each."""
    _hash: str = "sha1"
    _code_bytes: int = 12
    _randoms: dict[bytes, list[tuple[bytes, bytes]]] = field(default_factory=dict)
    _challenges: dict[bytes, list[bytes]] = field(default_factory=dict)
    _consoles: dict[bytes, set[bytes]] = field(default_factory=dict)
    """A console's session id to every session that the BMC opened for it (repeated open requests)."""

    def request(self, datagram: bytes) -> None:
        kind, payload = datagram[5] & 0x3F, datagram[16:]
        if len(datagram) < 32 or datagram[4] != 6:
            return
        if kind == 0x10:
            self._hash, self._code_bytes = ("sha256", 16) if payload[12] == 3 else ("sha1", 12)
        elif kind == 0x12:
            name = bytes((payload[24], payload[27])) + payload[28 : 28 + payload[27]]
            self._randoms.setdefault(payload[4:8], []).append((payload[8:24], name))
        elif kind == 0 and datagram[5] & 0xC0 == 0xC0:
            self._count(datagram)

    def reply(self, datagram: bytes) -> None:
        kind, payload = datagram[5] & 0x3F, datagram[16:]
        if kind == 0x11 and len(payload) >= 12:
            self._consoles.setdefault(payload[4:8], set()).add(payload[8:12])
        elif kind == 0x13 and len(payload) >= 40:
            for bmc in self._consoles.get(payload[4:8], ()):
                self._challenges.setdefault(bmc, []).append(payload[8:24])

    def _count(self, datagram: bytes) -> None:
        message = self._opened(datagram)
        if message is None:
            raise AssertionError("a sealed packet that the account's password does not open")
        if message[1] >> 2 == 0x00 and message[5] == 0x02:
            self.commands += 1
            self.values.append(message[6])

    def _opened(self, datagram: bytes) -> bytes | None:
        session = datagram[6:10]
        for console_random, name in self._randoms.get(session, []):
            for bmc_random in self._challenges.get(session, []):
                key = hmac.digest(self.password.encode(), console_random + bmc_random + name, self._hash)
                signed, code = datagram[4 : -self._code_bytes], datagram[-self._code_bytes :]
                k1 = hmac.digest(key, b"\x01" * 20, self._hash)
                if hmac.digest(k1, signed, self._hash)[: self._code_bytes] == code:
                    return self._plain(datagram, hmac.digest(key, b"\x02" * 20, self._hash)[:16])
        return None

    @staticmethod
    def _plain(datagram: bytes, key: bytes) -> bytes:
        size = int.from_bytes(datagram[14:16], "little")
        vector, sealed = datagram[16:32], datagram[32 : 16 + size]
        opener = Cipher(algorithms.AES(key), modes.CBC(vector)).decryptor()
        plain = opener.update(sealed) + opener.finalize()
        return plain[: -plain[-1] - 1]


def _element(data: bytes, at: int) -> tuple[int, bytes, int]:
    """Tag, content and end of the BER element at a place."""
    tag, length, at = data[at], data[at + 1], at + 2
    if length & 0x80:
        count = length & 0x7F
        length, at = int.from_bytes(data[at : at + count], "big"), at + count
    return tag, data[at : at + length], at + length


def _parts(data: bytes) -> list[tuple[int, bytes]]:
    found, at = [], 0
    while at < len(data):
        tag, content, at = _element(data, at)
        found.append((tag, content))
    return found


SET_REQUEST = 0xA3


@dataclass
class SnmpSniffer:
    """Counts SET requests of versions 2c and 3 (SHA-256 or SHA-1, AES-128)."""

    private_key: str
    digest: str = "sha256"
    sets: int = 0
    _keys: dict[bytes, bytes] = field(default_factory=dict)

    def request(self, datagram: bytes) -> None:
        _, message, _ = _element(datagram, 0)
        parts = _parts(message)
        kind = parts[2][0] if parts[0][1] == b"\x01" else self._kind_of_v3(parts)
        self.sets += kind == SET_REQUEST

    def _kind_of_v3(self, parts: list[tuple[int, bytes]]) -> int:
        flags = _parts(parts[1][1])[2][1][0]
        scoped = parts[3][1]
        if flags & 2:
            engine, boots, time, _user, _auth, salt = (content for _, content in _parts(_element(parts[2][1], 0)[1]))
            vector = boots.rjust(4, b"\0")[-4:] + time.rjust(4, b"\0")[-4:] + salt
            opener = Cipher(algorithms.AES(self._key(engine)), CFB(vector)).decryptor()
            scoped = _element(opener.update(scoped) + opener.finalize(), 0)[1]
        return _parts(scoped)[2][0]

    def _key(self, engine: bytes) -> bytes:
        if engine not in self._keys:
            text = self.private_key.encode()
            ku = hashlib.new(self.digest, (text * (1048576 // len(text) + 1))[:1048576]).digest()
            self._keys[engine] = hashlib.new(self.digest, ku + engine + ku).digest()[:16]
        return self._keys[engine]
