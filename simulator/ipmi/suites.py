"""Cipher suites 3 and 17: which hash, how long each code is, and how the session's keys come about (IPMI 2.0, 13.28-13.32)."""

import hmac
import os
from dataclasses import dataclass
from functools import cached_property

from cryptography.hazmat.primitives.ciphers import Cipher
from cryptography.hazmat.primitives.ciphers.algorithms import AES
from cryptography.hazmat.primitives.ciphers.modes import CBC

BLOCK = 16
KEY_CONSTANT_BYTES = 20
AES_CBC_128 = 1


class CipherError(ValueError):
    """An encrypted payload that cannot be opened."""


@dataclass(frozen=True, slots=True)
class Suite:
    """One cipher suite: RAKP authentication, integrity and confidentiality algorithm numbers, and their sizes."""

    number: int
    hash_name: str
    authentication: int
    integrity: int
    integrity_bytes: int
    """Octets of the code behind each packet, and of RAKP message 4's check value."""

    def mac(self, key: bytes, content: bytes) -> bytes:
        return hmac.digest(key, content, self.hash_name)

    @property
    def record(self) -> bytes:
        """The suite as Get Channel Cipher Suites lists it."""
        return bytes((0xC0, self.number, self.authentication, 0x40 | self.integrity, 0x80 | AES_CBC_128))


SUITES = {
    3: Suite(3, "sha1", authentication=1, integrity=1, integrity_bytes=12),
    17: Suite(17, "sha256", authentication=3, integrity=4, integrity_bytes=16),
}


@dataclass(frozen=True)
class Keys:
    """A session's keys, from its integrity key."""

    suite: Suite
    session_integrity_key: bytes

    @cached_property
    def integrity(self) -> bytes:
        return self.suite.mac(self.session_integrity_key, b"\x01" * KEY_CONSTANT_BYTES)

    @cached_property
    def confidentiality(self) -> bytes:
        return self.suite.mac(self.session_integrity_key, b"\x02" * KEY_CONSTANT_BYTES)[:BLOCK]

    def code(self, packet: bytes) -> bytes:
        """The integrity code over a packet from its authentication type on."""
        return self.suite.mac(self.integrity, packet)[: self.suite.integrity_bytes]

    def seal(self, content: bytes) -> bytes:
        """Initialization vector and encrypted content with its confidentiality trailer (13.29)."""
        pad = -(len(content) + 1) % BLOCK
        start = os.urandom(BLOCK)
        plain = content + bytes(range(1, pad + 1)) + bytes((pad,))
        return start + Cipher(AES(self.confidentiality), CBC(start)).encryptor().update(plain)

    def open(self, sealed: bytes) -> bytes:
        """The content of an encrypted payload. Raises `CipherError`."""
        if len(sealed) < 2 * BLOCK or len(sealed) % BLOCK:
            raise CipherError("size")
        plain = Cipher(AES(self.confidentiality), CBC(sealed[:BLOCK])).decryptor().update(sealed[BLOCK:])
        pad = plain[-1]
        if pad >= BLOCK or plain[-1 - pad : -1] != bytes(range(1, pad + 1)):
            raise CipherError("trailer")
        return plain[: -1 - pad]
