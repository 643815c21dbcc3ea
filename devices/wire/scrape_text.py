"""The strict parser of Prometheus text pages (format 0.0.4): every line is understood or named in the error.

It is the judge of what a page says; the layout parser is only a faster way to the same numbers. About 3 µs a line.
"""

import re
from typing import NamedTuple

from devices.reading import Labels, Series
from fleet.errors import Malformed

BLANKS = b" \t\r\n"
_NAME = re.compile(rb"[a-zA-Z_:][a-zA-Z0-9_:]*")
_LABEL = re.compile(
    rb'[ \t\r]*([a-zA-Z_][a-zA-Z0-9_]*)[ \t\r]*=[ \t\r]*"([^"\\]*+(?:\\.[^"\\]*+)*+)"[ \t\r]*', re.DOTALL
)
_BLOCK = re.compile(rb'\{(?:[^"{}]++|"[^"\\]*+(?:\\.[^"\\]*+)*+")*+\}', re.DOTALL)
"""Possessive: no label set makes it look twice at a byte."""
_PLAIN = re.compile(
    rb'([a-zA-Z_:][a-zA-Z0-9_:]*+)(\{(?:[^"{}]++|"[^"\\]*+(?:\\.[^"\\]*+)*+")*+\})? ([+-]?[0-9]++(?:\.[0-9]*+)?)\n?',
    re.DOTALL,
)
"""What almost every line looks like; whatever does not match is taken apart step by step, and judged."""
_NUMBER = re.compile(
    rb"[+-]?(?:[0-9]+\.?[0-9]*|\.[0-9]+)(?:[eE][+-]?[0-9]+)?|[+-]?(?:inf(?:inity)?|nan)", re.IGNORECASE
)
_REST = re.compile(rb"([^ \t\r\n]+)(?:[ \t\r]+(-?[0-9]+))?[ \t\r]*(?:#[ \t\r]*\{.*)?\n?")
_ESCAPE = re.compile(rb'\\([\\n"])')
_ESCAPED = {b"\\": b"\\", b"n": b"\n", b'"': b'"'}
Blocks = dict[bytes, Labels]
SHORT = 300
"""Digits that a 64-bit float holds without overflow."""
_SHOWN = 60
"""Bytes of a bad line that an error quotes."""


class Sample(NamedTuple):
    """One line that carries a value."""

    name: str
    labels: Labels
    start: int
    """Where in the line the value begins: what lies before stays the same from page to page."""

    value: float
    text: bytes
    """The value as it stood there: sentinels are told from their digits, not from a rounded float."""

    stamp_ms: int | None
    """The exporter's own timestamp."""

    @property
    def series(self) -> Series:
        return self.name, self.labels


def number_of(text: bytes) -> float:
    """The value in `text`. Raises `ValueError` for what Prometheus would not take: hex, underscores, overflow."""
    if _NUMBER.fullmatch(text) is None:
        raise ValueError(f"{_shown(text)} is not a number")
    number = float(text)
    if number in {float("inf"), float("-inf")} and b"n" not in text.lower():
        raise ValueError(f"{_shown(text)} does not fit a 64-bit float")
    return number


def value_and_stamp(rest: bytes) -> tuple[float, bytes, int | None]:
    """Value, its text and the exporter's timestamp in the part of a line behind its labels; an exemplar is passed over."""
    match = _REST.fullmatch(rest)
    if match is None:
        raise ValueError(f"{_shown(rest)} is not a value with an optional timestamp")
    stamp = match[2]
    return number_of(match[1]), match[1], None if stamp is None else int(stamp)


def parse_line(line: bytes, number: int, blocks: Blocks | None = None) -> Sample | None:
    """The sample in one line, None for a blank or a comment. Raises `Malformed` naming line `number`.

    `blocks` keeps label sets between lines: an exporter repeats each of them for every metric.
    """
    if line.startswith(b"#"):
        return None
    try:
        plain = _PLAIN.fullmatch(line)
        if plain is not None and len(plain[3]) < SHORT:
            labels = () if plain[2] is None else _known(plain[2], blocks)
            return Sample(plain[1].decode(), labels, plain.start(3), float(plain[3]), plain[3], None)
        body = line.lstrip(BLANKS)
        if not body or body.startswith(b"#"):
            return None
        return _sample(line, len(line) - len(body), blocks)
    except (ValueError, UnicodeDecodeError) as error:
        raise Malformed(f"line {number}: {error}: {_shown(line)}, try the page in a browser") from error


def _known(block: bytes, blocks: Blocks | None) -> Labels:
    """The labels of a block, parsed once."""
    if blocks is None:
        return _labels(block)
    labels = blocks.get(block)
    if labels is None:
        labels = blocks[block] = _labels(block)
    return labels


def _sample(line: bytes, at: int, blocks: Blocks | None) -> Sample:
    name = _NAME.match(line, at)
    if name is None:
        raise ValueError("no metric name")
    at = name.end()
    labels: Labels = ()
    after = _past_blanks(line, at)
    if line[after : after + 1] == b"{":
        block = _BLOCK.match(line, after)
        if block is None:
            raise ValueError(f"the labels from column {after + 1} on are not closed")
        labels = _known(block[0], blocks)
        after = _past_blanks(line, block.end())
    elif after == at:
        raise ValueError("nothing between the metric name and what follows")
    value, text, stamp = value_and_stamp(line[after:])
    return Sample(name[0].decode(), labels, after, value, text, stamp)


def _labels(block: bytes) -> Labels:
    """The label pairs of a block in braces. Raises `ValueError` for anything else in it."""
    pairs: dict[str, str] = {}
    at = 1
    while (match := _LABEL.match(block, at)) is not None:
        label = match[1].decode()
        if label in pairs:
            raise ValueError(f"label {label} is there twice")
        pairs[label] = _ESCAPE.sub(lambda found: _ESCAPED[found[1]], match[2]).decode()
        at = match.end()
        if block[at : at + 1] != b",":
            break
        at += 1
    at = _past_blanks(block, at)
    if at != len(block) - 1:
        raise ValueError(f"{_shown(block[at:])} is no label")
    return tuple(sorted(pairs.items()))


def _past_blanks(line: bytes, at: int) -> int:
    while line[at : at + 1] in {b" ", b"\t", b"\r"}:
        at += 1
    return at


def _shown(text: bytes) -> str:
    return repr(text[:_SHOWN].decode(errors="replace")) + ("…" if len(text) > _SHOWN else "")
