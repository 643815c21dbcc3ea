"""Derived ids: two workers that see the same thing give it the same id, so that a second telling changes nothing."""

import hashlib
from collections.abc import Mapping
from typing import Final

_FNV_OFFSET: Final = 14695981039346656037
_FNV_PRIME: Final = 1099511628211
_WORD: Final = (1 << 64) - 1
_SEPARATOR: Final = b"\xff"


def derived_id(*parts: object) -> str:
    """The first 16 bytes, in hex, of sha256 over the parts, a newline between each."""
    return hashlib.sha256("\n".join([str(part) for part in parts]).encode()).hexdigest()[:32]


def fingerprint(labels: Mapping[str, str]) -> str:
    """Alertmanager's fingerprint of a label set in 16 hex digits: FNV-1a 64 over name, 0xff, value, 0xff by sorted name."""
    hashed = _FNV_OFFSET
    for byte in b"".join([_separated(name, labels[name]) for name in sorted(labels)]):
        hashed = ((hashed ^ byte) * _FNV_PRIME) & _WORD
    return f"{hashed:016x}"


def _separated(name: str, value: str) -> bytes:
    return name.encode() + _SEPARATOR + value.encode() + _SEPARATOR


def alert_id(rule_uid: str, alert_fingerprint: str) -> str:
    """The id of an alert, which is its key: over the rule's uid and the fingerprint of its final labels."""
    return derived_id(rule_uid, alert_fingerprint)
