"""From a unit-test file to what it says: promtool's format, strictly, every mistake with its line and column."""

import glob
import math
import re
from collections import Counter
from collections.abc import Callable
from datetime import datetime
from pathlib import Path
from typing import Final, TypeVar

from fleet.document import read_document
from fleet.errors import ConfigurationError, Problem, in_order
from fleet.nodes import Node
from rules.files.fields import Fields, Mistakes
from rules.testing.model import AlertCase, ExprCase, FiringAlert, InputSeries, Sample, Setup, UnitFile
from rules.testing.notation import Labels, NotationError, metric_of, values_of

T = TypeVar("T")
DEFAULT_INTERVAL_MS: Final = 60_000
"""promtool's, where the file names none."""
_FILE_FIELDS: Final = ("rule_files", "evaluation_interval", "group_eval_order", "tests", "fuzzy_compare")
_SETUP_FIELDS: Final = (
    "name", "interval", "start_timestamp", "input_series", "alert_rule_test", "promql_expr_test",
    "external_labels", "external_url",
)  # fmt: skip
_TRUE: Final = frozenset({"true", "yes", "on", "y"})
_FALSE: Final = frozenset({"false", "no", "off", "n", ""})
_INFINITE: Final = re.compile(r"([-+]?)\.?inf", re.IGNORECASE)
_NUMBER: Final = re.compile(r"[-+]?(?:\d[\d_]*(?:\.[\d_]*)?|\.\d[\d_]*)(?:[eE][-+]?\d+)?")


class UnitFileError(ConfigurationError):
    """A unit-test file that cannot be used: all its mistakes at once."""


def read_unit_file(path: Path) -> UnitFile:
    """A unit-test file. Raises `UnitFileError` with every mistake."""
    document = read_document(path, UnitFileError)
    mistakes = Mistakes(str(path), list(document.problems))
    fields = Fields(document.root, "", mistakes, _FILE_FIELDS)
    files, warnings = _rule_files(_texts(fields, "rule_files", mistakes), path)
    interval = fields.duration_ms("evaluation_interval") or DEFAULT_INTERVAL_MS
    order = _texts(fields, "group_eval_order", mistakes)
    for name, count in Counter(order).items():
        if count > 1:
            mistakes.add(fields.node_of("group_eval_order") or document.root, "group_eval_order", f"repeats {name!r}")
    setups = tuple(
        _SetupReader(node, f"tests[{number}]", mistakes, interval).read(number)
        for number, node in enumerate(fields.items("tests"))
    )
    unit = UnitFile(
        path=path,
        rule_files=files,
        interval_ms=interval,
        order=tuple(order),
        fuzzy=_switch(fields, "fuzzy_compare", mistakes),
        setups=setups,
        warnings=warnings,
    )
    if mistakes.problems:
        raise UnitFileError(in_order(mistakes.problems))
    return unit


def _rule_files(patterns: list[str], path: Path) -> tuple[tuple[Path, ...], tuple[str, ...]]:
    """The rule files that the patterns match, beside the test file where they are relative."""
    found: list[Path] = []
    warnings = []
    for pattern in patterns:
        matched = sorted(glob.glob(str(path.parent / pattern)))  # noqa: PTH207 - patterns may be absolute
        if not matched:
            warnings.append(f"{path}: no file matches {pattern!r} of rule_files, try a path from {path.parent}")
        found += [Path(each) for each in matched]
    return tuple(dict.fromkeys(found)), tuple(warnings)


def _texts(fields: Fields, name: str, mistakes: Mistakes) -> list[str]:
    """A list of texts."""
    found = []
    for number, node in enumerate(fields.items(name)):
        text = getattr(node, "text", None)
        if isinstance(text, str):
            found.append(text)
        else:
            mistakes.add(node, f"{fields.at(name)}[{number}]", "must be text", "one value")
    return found


def _switch(fields: Fields, name: str, mistakes: Mistakes) -> bool:
    text = fields.text(name).lower()
    if text not in _TRUE | _FALSE:
        mistakes.add(fields.node_of(name) or fields.node, fields.at(name), f"must be true or false, is {text!r}")
    return text in _TRUE


class _SetupReader:
    """One item of `tests`."""

    def __init__(self, node: Node, path: str, mistakes: Mistakes, interval_ms: int) -> None:
        self._mistakes = mistakes
        self._own = Mistakes(mistakes.file)
        """What is wrong with series and samples: it spoils this test, and no other."""
        self._fields = Fields(node, path, mistakes, _SETUP_FIELDS)
        self._default_ms = interval_ms

    def read(self, number: int) -> Setup:
        fields = self._fields
        start = self._read(fields, "start_timestamp", _timestamp_ms, 0, "1609459200 or 2021-01-01T00:00:00Z")
        series = tuple(self._series(each) for each in self._each("input_series", ("series", "values")))
        return Setup(
            name=fields.text("name") or f"unnamed#{number}",
            interval_ms=fields.duration_ms("interval") or self._default_ms,
            start_ms=start,
            series=series,
            problems=self._taken(),
            alerts=tuple(
                self._alert(each) for each in self._each("alert_rule_test", ("eval_time", "alertname", "exp_alerts"))
            ),
            exprs=tuple(
                self._expr(each) for each in self._each("promql_expr_test", ("expr", "eval_time", "exp_samples"))
            ),
            external_labels={name: text for name, (text, _) in fields.texts("external_labels").items()},
            external_url=fields.text("external_url"),
        )

    def _each(self, name: str, allowed: tuple[str, ...], within: Fields | None = None) -> list[Fields]:
        fields = within or self._fields
        return [
            Fields(node, f"{fields.at(name)}[{number}]", self._mistakes, allowed)
            for number, node in enumerate(fields.items(name))
        ]

    def _series(self, fields: Fields) -> InputSeries:
        fields.text("series", required=True)
        return InputSeries(
            labels=self._read(fields, "series", metric_of, (), 'up{job="node"}'),
            values=tuple(
                self._read(
                    fields,
                    "values",
                    values_of,
                    [],
                    "1, 1x4, 1+2x4, _, _x3, stale, NaN, Inf; of histograms the classic _bucket series",
                )
            ),
        )

    def _alert(self, fields: Fields) -> AlertCase:
        return AlertCase(
            alertname=fields.text("alertname", required=True),
            eval_ms=fields.duration_ms("eval_time"),
            expected=tuple(
                FiringAlert(labels=_pairs(each, "exp_labels"), annotations=_pairs(each, "exp_annotations"))
                for each in self._each("exp_alerts", ("exp_labels", "exp_annotations"), fields)
            ),
            place=self._mistakes.place(fields.node),
        )

    def _expr(self, fields: Fields) -> ExprCase:
        expected = [self._sample(each) for each in self._each("exp_samples", ("labels", "value", "histogram"), fields)]
        return ExprCase(
            expr=fields.text("expr", required=True),
            eval_ms=fields.duration_ms("eval_time"),
            expected=tuple(expected),
            place=self._mistakes.place(fields.node),
            problem=next(iter(self._taken()), None),
        )

    def _taken(self) -> tuple[Problem, ...]:
        """What was found wrong since the last time."""
        found = tuple(self._own.problems)
        self._own.problems.clear()
        return found

    def _sample(self, fields: Fields) -> Sample:
        if fields.text("histogram"):
            node = fields.node_of("histogram") or fields.node
            message = "native histograms are not supported"
            self._own.add(node, fields.at("histogram"), message, "the classic histogram's _bucket series")
        return Sample(
            labels=self._read(fields, "labels", metric_of, (), 'up{job="node"}'),
            value=self._read(fields, "value", number_of, 0.0, "5, 1e3, NaN, +Inf"),
        )

    def _read(self, fields: Fields, name: str, reader: Callable[[str], T], default: T, suggestion: str) -> T:
        node = fields.node_of(name)
        text = fields.text(name)
        if node is None or not text:
            return default
        try:
            return reader(text)
        except (NotationError, ValueError) as error:
            self._own.add(node, fields.at(name), str(error), suggestion)
            return default


def _pairs(fields: Fields, name: str) -> Labels:
    return tuple(sorted((label, text) for label, (text, _) in fields.texts(name).items()))


def number_of(text: str) -> float:
    """A number as YAML or PromQL writes it. Raises `ValueError`."""
    plain = text.strip()
    infinite = _INFINITE.fullmatch(plain)
    if infinite is not None:
        return -math.inf if infinite[1] == "-" else math.inf
    if plain.lower().lstrip(".") == "nan":
        return math.nan
    if _NUMBER.fullmatch(plain):
        return float(plain.replace("_", ""))
    try:
        return float(int(plain, 0))
    except ValueError:
        raise ValueError(f"{text!r} is no number") from None


def _timestamp_ms(text: str) -> int:
    """Unix seconds or RFC 3339. Raises `ValueError`."""
    try:
        return math.floor(float(text) * 1000)
    except (ValueError, OverflowError):
        pass
    try:
        at = datetime.fromisoformat(text)
    except ValueError:
        raise ValueError(f"{text!r} is no time") from None
    if at.tzinfo is None:
        raise ValueError(f"{text!r} names no zone")
    return round(at.timestamp() * 1000)
