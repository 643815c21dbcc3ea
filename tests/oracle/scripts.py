"""Prometheus's own test scripts (`promql/promqltest/testdata/*.test`), read where Go keeps them and run on our engine.

The format: `load` gives series on a grid, `clear` forgets them, `eval` asks at a time or over a range and says what comes.
"""

import json
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from tests.oracle.answers import LabelSet, label_set

_EVAL_INSTANT: Final = re.compile(r"^eval(?:_(fail|warn|ordered|info))?\s+instant\s+(?:at\s+(.+?))?\s+(.+)$")
_EVAL_RANGE: Final = re.compile(r"^eval(?:_(fail|warn|info))?\s+range\s+from\s+(.+)\s+to\s+(.+)\s+step\s+(.+?)\s+(.+)$")
_EXPECT_RANGE: Final = re.compile(r"^expect range vector\s+from\s+(.+)\s+to\s+(.+)\s+step\s+(.+)$")
_EXPECT_FAIL: Final = re.compile(r"^expect\s+fail(?:\s+(regex|msg):(.+))?$")
_UNITS: Final = {
    "ms": 1,
    "s": 1000,
    "m": 60_000,
    "h": 3_600_000,
    "d": 86_400_000,
    "w": 604_800_000,
    "y": 31_536_000_000,
}
_DURATION: Final = re.compile(r"(\d+)(ms|[smhdwy])")
_NUMBER: Final = r"(?:(?:\d+\.?\d*|\.\d+)(?:[eE][-+]?\d+)?|[Nn]a[Nn]|[Ii]nf)"
_SCALAR: Final = re.compile(rf"^[-+]?(?:0[xX][0-9a-fA-F]+|{_NUMBER})$")
_ITEM: Final = re.compile(rf"^([-+]?{_NUMBER}|stale|_)(?:([-+]{_NUMBER})?x(\d+))?$")
_HISTOGRAM: Final = re.compile(r"\{\{.*?\}\}(?:[-+]\{\{.*?\}\})?\S*")
_LABEL: Final = re.compile(
    r'\s*("(?:\\.|[^"\\])*"|[^\s=,"{}]+)\s*(?:=\s*("(?:\\.|[^"\\])*"|\'[^\']*\'|`[^`]*`))?\s*(?:,|$)'
)
NATIVE: Final = "native"
STALE: Final = "stale"
Value = float | str | None
"""A number, a stale marker, a native histogram, nothing."""


@dataclass
class Loaded:
    """One `load` command: series on a grid that begins at 0."""

    interval_ms: int
    series: list[tuple[LabelSet, list[Value]]] = field(default_factory=list)
    started: set[str] = field(default_factory=set)
    """Metrics with start timestamps."""
    with_nhcb: bool = False
    """Whether classic histograms become native ones as well."""


@dataclass
class Case:
    """One `eval` command."""

    file: str
    line: int
    expr: str
    at_ms: int = 0
    end_ms: int = 0
    step_ms: int = 0
    fails: bool = False
    message: str | None = None
    pattern: str | None = None
    ordered: bool = False
    text: str | None = None
    scalar: float | None = None
    series: list[tuple[LabelSet, list[Value]]] = field(default_factory=list)
    matrix: tuple[int, int, int] | None = None
    """Start, end and step of the times of an expected range vector."""

    @property
    def where(self) -> str:
        """Where it stands."""
        return f"{self.file}:{self.line}"

    @property
    def expects_native(self) -> bool:
        """Whether a native histogram is expected."""
        return any(value == NATIVE for _, values in self.series for value in values)


@dataclass
class Clear:
    """Forget everything that was loaded."""


Command = Loaded | Case | Clear


def duration_ms(text: str) -> int:
    """A duration as Prometheus writes it; plain numbers are seconds."""
    sign, text = (-1, text[1:]) if text.startswith("-") else (1, text)
    if re.fullmatch(r"\d+(?:\.\d+)?", text):
        return sign * round(float(text) * 1000)
    return sign * sum(int(count) * _UNITS[unit] for count, unit in _DURATION.findall(text))


def commands(path: Path) -> Iterator[Command]:
    """Every command of a script, in order."""
    lines = ["" if line.strip().startswith("#") else line.strip() for line in path.read_text().split("\n")]
    place = 0
    while place < len(lines):
        line, first = lines[place], place
        place += 1
        word = line.split(maxsplit=1)[0].lower() if line else ""
        if word == "clear":
            yield Clear()
        elif word.startswith(("load", "eval")):
            while place < len(lines) and lines[place]:
                place += 1
            body = lines[first + 1 : place]
            yield _loaded(line, body) if word.startswith("load") else _case(path.name, first + 1, line, body)


def _loaded(line: str, body: Sequence[str]) -> Loaded:
    word, interval = line.split(maxsplit=1)
    found = Loaded(duration_ms(interval), with_nhcb=word.endswith("with_nhcb"))
    for each in body:
        metric, rest = split_metric(each)
        if rest.startswith("@st"):
            found.started.add(dict(metric).get("__name__", ""))
        else:
            found.series.append((metric, values_of(rest)))
    return found


def _case(file: str, number: int, line: str, body: Sequence[str]) -> Case:
    instant, ranged = _EVAL_INSTANT.match(line), _EVAL_RANGE.match(line)
    if ranged is not None:
        start, end, step = (duration_ms(ranged[group]) for group in (2, 3, 4))
        case = Case(file, number, ranged[5], start, end, step, fails=ranged[1] == "fail")
    else:
        assert instant is not None, line
        case = Case(file, number, instant[3], duration_ms(instant[2] or "0"), fails=instant[1] == "fail")
        case.ordered = instant[1] == "ordered"
    for each in body:
        _expect(case, each)
    return case


def _expect(case: Case, line: str) -> None:
    failed, vector = _EXPECT_FAIL.match(line), _EXPECT_RANGE.match(line)
    if failed is not None:
        case.fails = True
        if failed[1] == "regex":
            case.pattern = failed[2].strip()
        elif failed[1] == "msg":
            case.message = failed[2].strip()
    elif vector is not None:
        case.matrix = duration_ms(vector[1]), duration_ms(vector[2]), duration_ms(vector[3])
    elif line.startswith("expect string"):
        case.text = str(json.loads(line.removeprefix("expect string").strip().replace("`", '"')))
    elif line == "expect ordered":
        case.ordered = True
    elif line.startswith("expected_fail_message"):
        case.message = line.removeprefix("expected_fail_message").strip()
    elif line.startswith("expected_fail_regexp"):
        case.pattern = line.removeprefix("expected_fail_regexp").strip()
    elif line.split(maxsplit=1)[0] != "expect":
        _expect_value(case, line)


def _expect_value(case: Case, line: str) -> None:
    if _SCALAR.match(line) and not case.series:
        case.scalar = number(line)
        return
    metric, rest = split_metric(line)
    case.series.append((metric, values_of(rest)))


def split_metric(line: str) -> tuple[LabelSet, str]:
    """The labels of a series as it is written, and what follows."""
    found = re.match(r"[^\s{@]*", line)
    assert found is not None
    name, rest = found[0], line[found.end() :]
    labels = {"__name__": name} if name else {}
    if rest.startswith("{"):
        end = _closing(rest)
        inside = rest[1:end]
        rest = rest[end + 1 :]
        for pair in _LABEL.finditer(inside):
            key = _unquoted(pair[1])
            if pair[2] is None:
                labels["__name__"] = key
            else:
                labels[key] = _unquoted(pair[2])
    return label_set({key: value for key, value in labels.items() if value}), rest.strip()


def _closing(text: str) -> int:
    quote = ""
    for place, char in enumerate(text):
        if quote:
            if char == quote and text[place - 1] != "\\":
                quote = ""
        elif char in "\"'`":
            quote = char
        elif char == "}":
            return place
    raise AssertionError(text)


def _unquoted(text: str) -> str:
    if text[:1] == '"':
        return str(json.loads(re.sub(r"\\x(..)", r"\\u00\1", text)))
    return text[1:-1] if text[:1] in "'`" else text


def values_of(text: str) -> list[Value]:
    """The values of a series in the expanding notation."""
    values: list[Value] = []
    for word in _HISTOGRAM.sub(NATIVE, text).split():
        if word == NATIVE:
            values.append(NATIVE)
            continue
        found = _ITEM.match(word)
        assert found is not None, text
        start, step, times = found[1], found[2], found[3]
        if start == "_":
            values += [None] * (int(times) if times else 1)
        elif start == STALE:
            values += [STALE] * (int(times) + 1 if times else 1)
        else:
            value, delta = number(start), number(step) if step else 0.0
            for _ in range(int(times) + 1 if times else 1):
                values.append(value)
                value += delta
    return values


def number(text: str) -> float:
    """Go's reading of a number."""
    sign, plain = (-1.0, text[1:]) if text[0] == "-" else (1.0, text.removeprefix("+"))
    return sign * (float(int(plain, 16)) if plain[:2].lower() == "0x" else float(plain))
