"""Amounts as operators write them: 3MW, 250kW, 90s, 2h."""

import re
from typing import Final

from rules.files.durations import milliseconds

_WATTS: Final = re.compile(r"([0-9]+(?:\.[0-9]+)?)\s*(W|kW|MW|GW)?")
_SCALE: Final = {None: 1.0, "W": 1.0, "kW": 1e3, "MW": 1e6, "GW": 1e9}


def watts(text: str) -> float:
    """`3MW` as watts. Raises `ValueError` with what to try."""
    found = _WATTS.fullmatch(text.strip())
    if found is None:
        raise ValueError(f"{text!r} is no power; try: 3MW, 250kW or 3000000")
    return float(found[1]) * _SCALE[found[2]]


def seconds(text: str) -> float:
    """`2h` as seconds. Raises `ValueError` with what to try."""
    try:
        return milliseconds(text) / 1000
    except ValueError as error:
        raise ValueError(f"{text!r} is no length of time ({error}); try: 90s, 15m or 2h") from error


def in_words(amount: float) -> str:
    """3.2 MW, 250 kW, 12 W."""
    for unit in ("MW", "kW"):
        if abs(amount) >= _SCALE[unit]:
            return f"{amount / _SCALE[unit]:.3g} {unit}"
    return f"{amount:.0f} W"
