"""Pages parsed against the layout seen last time: what stays is compared, what changes is decoded in one go.

A page of an exporter is the same from poll to poll but for its numbers. The lines lose the prefixes they had last time,
the rest is joined and decoded as one JSON list: 320 series of a 98 kB page in about 0.1 ms instead of 1 ms; the compiled
reader, where there is one, does the same in one pass over the bytes in a fifth of that. The check is
exact: a line whose prefix differs keeps it, so that the joined length gives it away; comments may say what they like.
Whatever does not fit goes to the strict parser, which alone decides what a page says.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from operator import itemgetter

import msgspec
import numpy as np
import numpy.typing as npt

from devices.reading import STALE, Series
from devices.wire.page import Page
from devices.wire.scrape_text import BLANKS, Blocks, Sample, parse_line, value_and_stamp
from fleet.errors import Malformed
from fleet.quality import Quality, Reason, pack

in_one_pass: Callable[..., int] | None
try:
    from devices.wire._pages import read_page as in_one_pass
except ImportError:  # it is built where a C compiler is; without it Python reads the same
    in_one_pass = None

SENTINELS = frozenset(range(9_223_372_036_854_775_792, 9_223_372_036_854_775_796))
"""DCGM's blank, not found, not supported, not permitted (dcgm_structs.h, DCGM_INT64_BLANK and the three after it)."""

SENTINEL_DIGITS = 19
_SENTINEL_FLOAT = 2.0**63
"""What each of them becomes as a float; other numbers do too, so a hit is settled by its digits."""

_ABSENT = pack(Quality.BAD, Reason.SENTINEL)
_NUMBERS = msgspec.json.Decoder(list[int | float])
_FIRST_BYTE = itemgetter(0)
_HASH = frozenset(b"#")
_MINUS_ZERO_ENDS = (b"-0\n", b"-0 ", b"-0\t", b"-0\r")


@dataclass(frozen=True, slots=True)
class Values:
    """The numbers of one page in the order of its layout."""

    numbers: npt.NDArray[np.float64]
    quality: npt.NDArray[np.uint8] | None = None
    """None when all are good; a sentinel is absent and marked."""

    stamps_ms: tuple[int | None, ...] | None = None
    """The exporter's own timestamps, where there are any."""


class Layout:
    """What one page looked like: its series, and everything in it that was not a number."""

    __slots__ = (
        "_blanks",
        "_count",
        "_first",
        "_fixed",
        "_pick_blanks",
        "_pick_comments",
        "_pick_samples",
        "_prefixes",
        "_template",
        "known",
        "series",
    )

    def __init__(self, lines: Sequence[bytes], samples: Sequence[Sample | None]) -> None:
        """`samples` has one entry a line: None for a comment or a blank."""
        found = [sample for sample in samples if sample is not None]
        every = [sample.series for sample in found]
        first: dict[Series, int] = {}
        for at, series in enumerate(every):
            first.setdefault(series, at)
        self.series: tuple[Series, ...] = tuple(first)
        self._first = None if len(first) == len(every) else np.array(list(first.values()))
        self._count = len(lines)
        self._template = tuple(
            None if sample is None and line.startswith(b"#") else line if sample is None else line[: sample.start]
            for line, sample in zip(lines, samples, strict=True)
        )
        """A line's prefix before its number, a whole line without one, None for a comment."""
        self._pick_samples = _picker([at for at, sample in enumerate(samples) if sample is not None])
        rest = [at for at, sample in enumerate(samples) if sample is None]
        self._pick_comments = _picker([at for at in rest if lines[at].startswith(b"#")])
        self._pick_blanks = _picker([at for at in rest if not lines[at].startswith(b"#")])
        self._prefixes = [
            line for line, sample in zip(self._template, samples, strict=True) if sample is not None and line
        ]
        self._blanks = self._pick_blanks(lines)
        self._fixed = sum(map(len, self._prefixes)) + sum(map(len, self._blanks)) - max(len(found) - 1, 0)
        self.known: dict[bytes, Series] = dict(zip(self._prefixes, every, strict=True))
        """Prefix to series: a page that gained or lost lines is learned without parsing the others again."""

    def read(self, page: Page) -> Values | None:
        """The page's numbers, or None when anything but numbers differs from this layout."""
        values = self._in_one_pass(page)
        return self._by_lines(page) if values is None else self.first(values)

    def _in_one_pass(self, page: Page) -> Values | None:
        """By the compiled reader; None leaves the page to Python, which decides."""
        if in_one_pass is None:
            return None
        numbers, blank = np.empty(len(self._prefixes)), np.zeros(len(self._prefixes), dtype=np.bool_)
        status = in_one_pass(page.body, self._template, numbers, blank)
        if not status:
            return None
        return Values(numbers) if status == 1 else _without_sentinels(numbers, blank)

    def _by_lines(self, page: Page) -> Values | None:
        lines = page.lines
        if len(lines) != self._count or not page.is_whole or self._pick_blanks(lines) != self._blanks:
            return None
        comments = self._pick_comments(lines)
        texts = b",".join(map(bytes.removeprefix, self._pick_samples(lines), self._prefixes))
        if len(texts) + self._fixed + sum(map(len, comments)) != page.size or not _are_comments(comments):
            return None
        try:
            numbers = _NUMBERS.decode(b"[%b]" % texts)
            values = np.array(numbers, dtype=np.float64)
        except (msgspec.DecodeError, OverflowError):
            return self._one_by_one(lines)
        if len(numbers) != len(self._prefixes) or _has_minus_zero(texts):
            return self._one_by_one(lines)
        if np.count_nonzero(values == _SENTINEL_FLOAT):
            blank = [isinstance(number, int) and number in SENTINELS for number in numbers]
            return self.first(_without_sentinels(values, blank))
        return self.first(Values(values))

    def first(self, every: Values) -> Values:
        """The values of the series, where the page repeats some: as in Prometheus the first one counts."""
        if self._first is None:
            return every
        quality = None if every.quality is None else every.quality[self._first]
        stamps = None if every.stamps_ms is None else tuple(every.stamps_ms[at] for at in self._first)
        return Values(every.numbers[self._first], quality, stamps)

    def _one_by_one(self, lines: list[bytes]) -> Values | None:
        """Values that are no JSON numbers (NaN, Inf, -0, timestamps); None leaves the error to the strict parser."""
        texts = map(bytes.removeprefix, self._pick_samples(lines), self._prefixes)
        try:
            found = [value_and_stamp(text.lstrip(BLANKS)) for text in texts]
        except ValueError:
            return None
        return self.first(values_of(found))


def _picker(places: list[int]) -> Callable[[Sequence[bytes]], tuple[bytes, ...]]:
    """Takes these lines out of all, in one call."""
    if not places:
        return lambda _lines: ()
    if len(places) == 1:
        return lambda lines: (lines[places[0]],)
    picker: Callable[[Sequence[bytes]], tuple[bytes, ...]] = itemgetter(*places)
    return picker


def learn(page: Page, known: dict[bytes, Series] | None = None) -> tuple[Layout, Values]:
    """The layout and the values of a page by the strict parser. Raises `Malformed` with the line that is wrong.

    `known` has the prefixes of the layout before, whose labels are then not parsed again.
    """
    lines = page.lines
    if not page.is_whole:
        raise Malformed(f"line {len(lines)}: the page ends without a line feed, so its last value may be cut short")
    blocks: Blocks = {}
    samples = [_recalled(line, known) or parse_line(line, number, blocks) for number, line in enumerate(lines, start=1)]
    layout = Layout(lines, samples)
    found = [(sample.value, sample.text, sample.stamp_ms) for sample in samples if sample is not None]
    return layout, layout.first(values_of(found))


def values_of(found: Sequence[tuple[float, bytes, int | None]]) -> Values:
    """Numbers, marks and timestamps from values parsed one by one."""
    numbers = np.array([value for value, _, _ in found], dtype=np.float64)
    blank = [len(text) == SENTINEL_DIGITS and text.isdigit() and int(text) in SENTINELS for _, text, _ in found]
    stamps = tuple(stamp for _, _, stamp in found) if any(stamp is not None for _, _, stamp in found) else None
    if not any(blank):
        return Values(numbers, None, stamps)
    marked = _without_sentinels(numbers, blank)
    return Values(marked.numbers, marked.quality, stamps)


def _recalled(line: bytes, known: dict[bytes, Series] | None) -> Sample | None:
    """The sample of a line whose prefix was there before; None when it must be parsed."""
    head, blank, text = line.rpartition(b" ")
    series = known.get(head + blank) if known else None
    if series is None:
        return None
    try:
        value, digits, stamp = value_and_stamp(text)
    except ValueError:
        return None
    return Sample(*series, len(head) + 1, value, digits, stamp)


def _are_comments(lines: tuple[bytes, ...]) -> bool:
    """Each still begins as a comment: what it says changes no value, so that it need not be compared."""
    try:
        return set(map(_FIRST_BYTE, lines)) <= _HASH
    except IndexError:
        return False


def _has_minus_zero(texts: bytes) -> bool:
    """JSON's integer -0 loses its sign; as a value it keeps it."""
    return b"-" in texts and b"-0" in texts and any(end in texts for end in _MINUS_ZERO_ENDS)


def _without_sentinels(values: npt.NDArray[np.float64], blank: Sequence[bool] | npt.NDArray[np.bool_]) -> Values:
    where = np.array(blank, dtype=np.bool_)
    if not where.any():
        return Values(values)
    values[where] = STALE
    return Values(values, np.where(where, np.uint8(_ABSENT), np.uint8(0)))
