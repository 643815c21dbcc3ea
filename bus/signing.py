"""Signatures of commands and of the ledger: Ed25519 over a record's value bytes as sent, in its headers.

A writer on the bus who holds no key can neither command nor forge the ledger: what is unsigned, foreign, forged or expired
is dropped and paged by whoever reads it.
"""

import base64
import hashlib
import os
from collections.abc import Collection, Mapping
from pathlib import Path
from typing import Annotated, Final, Literal, TypeAlias

import msgspec
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey

from bus.port import Record
from fleet.errors import HallkeeperError, SecretError
from fleet.secrets import read_secret, reveal

SIGNATURE_HEADER: Final = "hk-signature"
KEY_HEADER: Final = "hk-key"
KEY_FILE_MODE: Final = 0o600

Headers: TypeAlias = tuple[tuple[str, bytes], ...]
Role: TypeAlias = Literal["service", "operator", "admin"]


class BadSignature(HallkeeperError):
    """The record may not be believed."""


class Unsigned(BadSignature):
    """It carries no signature."""


class Foreign(BadSignature):
    """Its key is not among the trusted ones."""


class Forged(BadSignature):
    """Its signature does not fit its bytes."""


class NotEntitled(BadSignature):
    """Its key's role may not say this."""


class Expired(BadSignature):
    """Its key, or the record by its own word, is past its time."""


class KeyFileError(SecretError):
    """A key file cannot be used; the message says why and what to try."""


class TrustedKey(msgspec.Struct, frozen=True, kw_only=True):
    """A public key that the settings name."""

    public: str
    """Base64 of the 32 bytes."""
    role: Role
    name: str = ""
    expires_at_ms: int | None = None


class _KeyFile(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What a key file holds (YAML is not needed: JSON is YAML too)."""

    key: str
    private: Annotated[str, msgspec.Meta(min_length=43, max_length=44)]
    public: str


class _Expiry(msgspec.Struct):
    expires_at_ms: int | None = None


class _Dated(msgspec.Struct):
    data: _Expiry


_EXPIRIES: Final = msgspec.json.Decoder(_Dated)


class SigningKey:
    """A private key with the id that its public half derives; its repr shows the id alone."""

    def __init__(self, private: Ed25519PrivateKey) -> None:
        self._private = private
        raw = private.public_key().public_bytes_raw()
        self.public = base64.b64encode(raw).decode()
        self.key_id = key_id(raw)

    def __repr__(self) -> str:
        return f"SigningKey({self.key_id})"

    @classmethod
    def generate(cls) -> "SigningKey":
        """A new key from the system's randomness."""
        return cls(Ed25519PrivateKey.generate())

    @classmethod
    def from_seed(cls, seed: bytes) -> "SigningKey":
        """The key of 32 given bytes (tests, and golden records)."""
        return cls(Ed25519PrivateKey.from_private_bytes(seed))

    @classmethod
    def of(cls, fields: Mapping[str, object], *, where: str = "key") -> "SigningKey":
        """The key in a key file's fields (`fleet.secrets` reads the file). Raises `KeyFileError`."""
        try:
            stored = msgspec.convert({name: reveal(value) for name, value in fields.items()}, _KeyFile)
            key = cls.from_seed(base64.b64decode(stored.private, validate=True))
        except (msgspec.ValidationError, ValueError) as error:
            raise KeyFileError(
                f"{where}: not a key ({type(error).__name__}), try `hallkeeper keys generate`"
            ) from error
        if key.key_id != stored.key or key.public != stored.public:
            raise KeyFileError(f"{where}: its id or public half is of another key, try `hallkeeper keys generate`")
        return key

    def save(self, path: Path) -> None:
        """Write the key file, 0600; an existing file is never overwritten. Raises `KeyFileError`."""
        stored = _KeyFile(
            key=self.key_id, private=base64.b64encode(self._private.private_bytes_raw()).decode(), public=self.public
        )
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, KEY_FILE_MODE), "wb") as file:
                file.write(msgspec.json.format(msgspec.json.encode(stored)) + b"\n")
                file.flush()
                os.fsync(file.fileno())
        except OSError as error:
            raise KeyFileError(f"{path}: {error.strerror}, try another path; a key is never overwritten") from error

    @classmethod
    def load(cls, path: Path) -> "SigningKey":
        """Read a key file. Raises `SecretError` when it is absent, readable by others, or not a key."""
        return cls.of(read_secret(f"file:{path.name}", base=path.parent), where=str(path))

    def signature(self, value: bytes) -> bytes:
        """64 bytes over the value."""
        return self._private.sign(value)

    def trusted(self, role: Role, name: str = "") -> TrustedKey:
        """The public half as the settings name it."""
        return TrustedKey(public=self.public, role=role, name=name)


def key_id(public: bytes) -> str:
    """The id of a public key: the first 8 bytes, hex, of its sha256."""
    return hashlib.sha256(public).hexdigest()[:16]


def sign(value: bytes, key: SigningKey) -> Headers:
    """The headers that make a record of this value believed."""
    return ((SIGNATURE_HEADER, key.signature(value)), (KEY_HEADER, key.key_id.encode()))


def verify(
    record: Record, trusted: Mapping[str, TrustedKey], now_ms: int, *, roles: Collection[Role] | None = None
) -> str:
    """The id of the key that signed it; `roles` are those who may say this (None: any).

    Judged as of `now_ms`: who reads history judges each record as of its `at_ms`. Raises a `BadSignature`, named by why.
    """
    where = f"{record.topic}[{record.partition}]@{record.offset} {record.key!r}"
    signature, name = record.header(SIGNATURE_HEADER), record.header(KEY_HEADER)
    if signature is None or name is None or record.value is None:
        raise Unsigned(f"{where}: unsigned, dropped; try signing it with a key that the settings trust")
    signer = name[:64].decode("ascii", "replace")
    key = trusted.get(signer)
    if key is None:
        raise Foreign(f"{where}: signed with {signer!r}, which the settings do not trust; dropped")
    _prove(key, signature, record.value, where)
    if roles is not None and key.role not in roles:
        raise NotEntitled(
            f"{where}: {key.name or signer} is {key.role}, it takes {' or '.join(sorted(roles))}; dropped"
        )
    _in_time(key, record.value, now_ms, where)
    return signer


def _prove(key: TrustedKey, signature: bytes, value: bytes, where: str) -> None:
    try:
        public = Ed25519PublicKey.from_public_bytes(base64.b64decode(key.public, validate=True))
    except ValueError as error:
        raise Foreign(
            f"{where}: the trusted key {key.name!r} is not a public key, try `hallkeeper keys show`"
        ) from error
    try:
        public.verify(signature, value)
    except InvalidSignature as error:
        raise Forged(f"{where}: its signature does not fit its bytes; dropped") from error


def _in_time(key: TrustedKey, value: bytes, now_ms: int, where: str) -> None:
    if key.expires_at_ms is not None and now_ms >= key.expires_at_ms:
        raise Expired(f"{where}: the key {key.name!r} has expired, try a new key")
    try:
        expires_at_ms = _EXPIRIES.decode(value).data.expires_at_ms
    except (msgspec.MsgspecError, RecursionError):
        return  # not an event: its decoder says so
    if expires_at_ms is not None and now_ms >= expires_at_ms:
        raise Expired(f"{where}: expired {now_ms - expires_at_ms} ms ago by its own word; dropped")
