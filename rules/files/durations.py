"""Durations as Prometheus writes them: `1h30m`, `500ms`, `0`."""

import re
from typing import Final

_UNITS: Final = {
    "y": 365 * 86_400_000,
    "w": 7 * 86_400_000,
    "d": 86_400_000,
    "h": 3_600_000,
    "m": 60_000,
    "s": 1_000,
    "ms": 1,
}
_DURATION: Final = re.compile(r"(?:(\d+)y)?(?:(\d+)w)?(?:(\d+)d)?(?:(\d+)h)?(?:(\d+)m)?(?:(\d+)s)?(?:(\d+)ms)?\Z")
_MOST_DIGITS: Final = 12


def milliseconds(text: str) -> int:
    """The duration. Raises `ValueError`."""
    if text == "0":
        return 0
    found = _DURATION.match(text)
    if not text or found is None or any(part and len(part) > _MOST_DIGITS for part in found.groups()):
        raise ValueError(f"not a valid duration: {text!r}")
    return sum(int(part) * unit for part, unit in zip(found.groups(), _UNITS.values(), strict=True) if part)


def duration_text(duration_ms: int) -> str:
    """The shortest way to write it."""
    if not duration_ms:
        return "0s"
    parts, rest = [], duration_ms
    for unit, size in _UNITS.items():
        count, rest = divmod(rest, size) if not (unit in {"y", "w"} and rest % size) else (0, rest)
        if count:
            parts.append(f"{count}{unit}")
    return "".join(parts)
