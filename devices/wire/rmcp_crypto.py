"""What RMCP+ proves and hides with: cipher suites 3 and 17, RAKP codes, session keys, packet ciphers. Pure.

Sources: IPMI v2.0 rev 1.1, sections 13.28 to 13.33 and 22.15.2.
"""

import hmac
import os
from dataclasses import dataclass

from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes

from fleet.errors import Malformed, Refused

BLOCK = 16
"""AES block and key length, bytes."""

_K1_SEED = b"\x01" * 20
_K2_SEED = b"\x02" * 20
"""Constants of section 13.32; 20 bytes whatever the hash."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Suite:
    """One cipher suite: which hash authenticates, how much of it a packet carries. Payloads are always AES-CBC-128."""

    number: int
    digest: str
    """Name of the hash in `hashlib`."""
    digest_bytes: int
    authentication: int
    """RAKP algorithm number."""
    integrity: int
    """Integrity algorithm number."""
    code_bytes: int
    """Bytes of the integrity code behind a packet, and of the check value in RAKP message 4."""

    def code(self, key: bytes, message: bytes) -> bytes:
        """The whole HMAC."""
        return hmac.digest(key, message, self.digest)


CONFIDENTIALITY_AES_CBC_128 = 1

SUITES = {
    3: Suite(number=3, digest="sha1", digest_bytes=20, authentication=1, integrity=1, code_bytes=12),
    17: Suite(number=17, digest="sha256", digest_bytes=32, authentication=3, integrity=4, code_bytes=16),
}
"""The only suites spoken: RAKP-HMAC-SHA1 with SHA1-96, and RAKP-HMAC-SHA256 with SHA256-128, both AES-CBC-128."""


def suite_of(number: int) -> Suite:
    """The suite of that number. Raises `Refused` for any other: 0 to 2 send commands or passwords unprotected."""
    suite = SUITES.get(number)
    if suite is None:
        why = "leaves commands in the clear" if number in (0, 1, 2) else "is not spoken here"
        raise Refused(f"cipher suite {number} {why}, try 17, or 3 for a BMC that has no SHA-256")
    return suite


@dataclass(frozen=True, slots=True, kw_only=True)
class Exchange:
    """What both sides know after RAKP message 2; the codes of messages 2, 3 and 4 and the keys follow from it."""

    suite: Suite
    console_session: bytes
    """Four bytes as on the wire."""
    bmc_session: bytes
    """Four bytes as on the wire."""
    console_random: bytes
    bmc_random: bytes
    bmc_guid: bytes
    role: int
    user: bytes
    password: bytes

    @property
    def _name(self) -> bytes:
        return bytes((self.role, len(self.user))) + self.user

    def rakp2_code(self) -> bytes:
        """What the BMC proves in message 2 that it knows the password."""
        sessions = self.console_session + self.bmc_session
        return self.suite.code(
            self.password, sessions + self.console_random + self.bmc_random + self.bmc_guid + self._name
        )

    def rakp3_code(self) -> bytes:
        """What the console proves in message 3."""
        return self.suite.code(self.password, self.bmc_random + self.console_session + self._name)

    def session_key(self) -> bytes:
        """The session integrity key, SIK, keyed with the password where the BMC has no K_G."""
        return self.suite.code(self.password, self.console_random + self.bmc_random + self._name)

    def rakp4_code(self) -> bytes:
        """What the BMC proves in message 4, cut to the suite's code length."""
        whole = self.suite.code(self.session_key(), self.console_random + self.bmc_session + self.bmc_guid)
        return whole[: self.suite.code_bytes]


class Keys:
    """One session's packet ciphers: seals and opens payloads, signs and checks packets.

    The two AES contexts live as long as the session; each packet is chained onto a fresh random block, whose
    ciphertext is the packet's initialisation vector: unpredictable, and half the cost of a context a packet.
    """

    __slots__ = ("_k1", "_open", "_seal", "_suite", "code_bytes")

    def __init__(self, suite: Suite, session_key: bytes) -> None:
        self._suite = suite
        self._k1 = suite.code(session_key, _K1_SEED)
        aes = Cipher(algorithms.AES(suite.code(session_key, _K2_SEED)[:BLOCK]), modes.CBC(os.urandom(BLOCK)))
        self._seal = aes.encryptor()
        self._open = aes.decryptor()
        self.code_bytes = suite.code_bytes

    def sign(self, covered: bytes) -> bytes:
        """The integrity code over the bytes from the authentication type to the next-header byte."""
        return self._suite.code(self._k1, covered)[: self.code_bytes]

    def signed(self, covered: bytes, code: bytes) -> bool:
        """Whether the code is right, in constant time."""
        return hmac.compare_digest(self.sign(covered), code)

    def seal(self, payload: bytes) -> bytes:
        """Initialisation vector and ciphertext; the pad counts 1, 2, 3 … and ends with its length."""
        pad = -(len(payload) + 1) % BLOCK
        return self._seal.update(os.urandom(BLOCK) + payload + bytes(range(1, pad + 1)) + bytes((pad,)))

    def open(self, sealed: bytes) -> bytes:
        """The payload inside. Raises `Malformed` for a length or pad that no sender makes."""
        if len(sealed) < 2 * BLOCK or len(sealed) % BLOCK:
            raise Malformed(f"encrypted payload of {len(sealed)} bytes: not a vector and whole blocks of {BLOCK}")
        plain = self._open.update(sealed)[BLOCK:]
        pad = plain[-1]
        if pad >= BLOCK or plain[-1 - pad : -1] != bytes(range(1, pad + 1)):
            raise Malformed(f"encrypted payload with a wrong pad of {pad} bytes: the other side uses another key")
        return plain[: -1 - pad]
