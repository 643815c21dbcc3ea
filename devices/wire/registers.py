"""Registers to numbers: which blocks to read for a set of points, and what their words mean. Pure."""

import math
import struct
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import cast

from devices.profiles.registers import RegisterPoint
from fleet.errors import Malformed

BLOCK_LIMIT = 120
"""Registers asked in one request; Modbus allows 125, some gateways 120."""

GAP_LIMIT = 24
"""Unneeded registers read to save a request: a register costs 2 bytes, a request a round trip (a default to tune)."""


@dataclass(frozen=True, slots=True, order=True)
class Span:
    """Registers `start` to `start + count - 1`."""

    start: int
    count: int

    @property
    def end(self) -> int:
        return self.start + self.count


def merge(spans: Sequence[Span], *, block: int = BLOCK_LIMIT, gap: int = GAP_LIMIT) -> tuple[Span, ...]:
    """The fewest requests in address order that cover `spans`, never cutting one: neighbours share a request."""
    merged: list[Span] = []
    for span in sorted(set(spans)):
        last = merged[-1] if merged else None
        if last is not None and span.start <= last.end + gap and max(last.end, span.end) - last.start <= block:
            merged[-1] = Span(last.start, max(last.end, span.end) - last.start)
        else:
            merged.append(span)
    return tuple(merged)


WORDS: Mapping[str, int] = {"u16": 1, "s16": 1, "u32": 2, "s32": 2, "f32": 2, "u64": 4, "s64": 4, "f64": 4}
"""Registers that a value of each type takes."""

_UNPACK: Mapping[str, Callable[[bytes], float]] = {
    kind: cast("Callable[[bytes], float]", lambda raw, code=code: struct.unpack(code, raw)[0])
    for kind, code in {
        "u16": ">H",
        "s16": ">h",
        "u32": ">I",
        "s32": ">i",
        "f32": ">f",
        "u64": ">Q",
        "s64": ">q",
        "f64": ">d",
    }.items()
}


def number(words: Sequence[int], kind: str, *, low_word_first: bool = False) -> float:
    """The raw number in one, two or four registers. Raises `KeyError` for an unknown type: profiles are checked first."""
    ordered = reversed(words) if low_word_first else words
    return _UNPACK[kind](b"".join(word.to_bytes(2, "big") for word in ordered))


def span_of(point: RegisterPoint) -> Span:
    """The registers that hold the point."""
    return Span(point.column, WORDS[point.type])


def words_at(blocks: Mapping[Span, Sequence[int]], span: Span) -> Sequence[int] | None:
    """The span's registers out of the blocks that were read, or None where no block has them all."""
    for block, words in blocks.items():
        if block.start <= span.start and span.end <= block.end:
            return words[span.start - block.start : span.end - block.start]
    return None


def value_of(point: RegisterPoint, blocks: Mapping[Span, Sequence[int]]) -> float | None:
    """The point in base units, or None when the device says that it has no such value.

    Raises `Malformed` when the blocks lack its registers.
    """
    words = words_at(blocks, span_of(point))
    if words is None:
        raise Malformed(f"register {point.column} of {point.metric} is missing from the answer, try the register map")
    if point.bit is not None:
        return _bit(point, point.bit, int(words[0]), blocks)
    raw = number(words, point.type, low_word_first=point.low_word_first)
    if raw in point.absent or not math.isfinite(raw):
        return None
    return raw * point.scale + point.offset


def _bit(point: RegisterPoint, bit: int, word: int, blocks: Mapping[Span, Sequence[int]]) -> float | None:
    if word in point.absent:
        return None
    if point.fitted_column is not None:
        fitted = words_at(blocks, Span(point.fitted_column, 1))
        if fitted is None or fitted[0] in point.absent or not fitted[0] >> bit & 1:
            return None
    return float(word >> bit & 1)
