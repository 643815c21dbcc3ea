"""The user-based security model (RFC 3414, 7860; AES of RFC 3826): keys, digests, encryption."""

import hashlib
import hmac
import os
from dataclasses import dataclass
from functools import lru_cache

from cryptography.hazmat.primitives.ciphers import Cipher, algorithms

try:  # CFB moved to the package's graveyard in newer releases of cryptography
    from cryptography.hazmat.decrepit.ciphers.modes import CFB
except ImportError:  # pragma: no cover - older releases
    from cryptography.hazmat.primitives.ciphers.modes import CFB

DIGEST_BYTES = {"sha256": 24, "sha1": 12}
"""Octets of the HMAC that travel: RFC 7860, 4.1 and RFC 3414, 7.3."""
EXPANDED_PASSWORD_BYTES = 1_048_576
"""RFC 3414, A.2: the password repeated to one mebibyte is hashed."""
KEY_BYTES = 16
SALT_BYTES = 8


@lru_cache(maxsize=64)
def _password_digest(algorithm: str, password: bytes) -> bytes:
    repeats = EXPANDED_PASSWORD_BYTES // len(password) + 1
    return hashlib.new(algorithm, (password * repeats)[:EXPANDED_PASSWORD_BYTES]).digest()


def localized_key(algorithm: str, password: str, engine_id: bytes) -> bytes:
    """The user's key for one engine."""
    whole = _password_digest(algorithm, password.encode())
    return hashlib.new(algorithm, whole + engine_id + whole).digest()


@dataclass(frozen=True, slots=True, kw_only=True)
class User:
    """One user of one agent, keys already localized."""

    name: bytes
    algorithm: str
    auth_key: bytes
    privacy_key: bytes
    may_write: bool

    @property
    def digest_bytes(self) -> int:
        return DIGEST_BYTES[self.algorithm]

    def digest(self, message: bytes) -> bytes:
        """HMAC over a message whose digest field is all zeros."""
        return hmac.digest(self.auth_key, message, self.algorithm)[: self.digest_bytes]

    def decrypt(self, content: bytes, *, boots: int, time: int, salt: bytes) -> bytes:
        return self._cipher(boots, time, salt).decryptor().update(content)

    def encrypt(self, content: bytes, *, boots: int, time: int) -> tuple[bytes, bytes]:
        """Encrypted content and the salt that goes with it."""
        salt = os.urandom(SALT_BYTES)
        return self._cipher(boots, time, salt).encryptor().update(content), salt

    def _cipher(self, boots: int, time: int, salt: bytes) -> "Cipher[CFB]":
        start = boots.to_bytes(4, "big") + time.to_bytes(4, "big") + salt
        return Cipher(algorithms.AES(self.privacy_key), CFB(start))


def make_user(
    name: str, *, algorithm: str, auth_password: str, privacy_password: str, engine_id: bytes, may_write: bool
) -> User:
    """A user with both keys localized to `engine_id`; both are made by the authentication's hash (RFC 3826, 1.2)."""
    return User(
        name=name.encode(),
        algorithm=algorithm,
        auth_key=localized_key(algorithm, auth_password, engine_id),
        privacy_key=localized_key(algorithm, privacy_password, engine_id)[:KEY_BYTES],
        may_write=may_write,
    )
