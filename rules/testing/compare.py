"""Whether what came is what was expected, and where it differs."""

import difflib
import math
from collections.abc import Sequence

from rules.testing.model import FiringAlert, Sample
from rules.testing.notation import series_text, value_text


def samples_equal(expected: Sequence[Sample], got: Sequence[Sample], *, fuzzy: bool) -> bool:
    """Whether both hold the same label sets with the same values, in whatever order."""
    if len(expected) != len(got):
        return False
    pairs = zip(ordered(expected), ordered(got), strict=True)
    return all(ours.labels == theirs.labels and close(ours.value, theirs.value, fuzzy=fuzzy) for ours, theirs in pairs)


def close(left: float, right: float, *, fuzzy: bool) -> bool:
    """Equal, NaN to NaN too; where fuzzy, a neighbour among the floating point numbers is equal as well."""
    if left == right or (math.isnan(left) and math.isnan(right)):
        return True
    return fuzzy and right in {math.nextafter(left, -math.inf), math.nextafter(left, math.inf)}


def ordered(samples: Sequence[Sample]) -> list[Sample]:
    """By labels."""
    return sorted(samples, key=lambda sample: sample.labels)


def alerts_equal(expected: Sequence[FiringAlert], got: Sequence[FiringAlert]) -> bool:
    """Whether both hold the same alerts with the same words."""
    return sorted(map(_key, expected)) == sorted(map(_key, got))


def _key(alert: FiringAlert) -> tuple[object, ...]:
    return alert.labels, alert.annotations


def sample_lines(samples: Sequence[Sample]) -> list[str]:
    """One line a sample, in the order of their labels."""
    return [f"{series_text(each.labels)} {value_text(each.value)}" for each in ordered(samples)]


def alert_lines(alerts: Sequence[FiringAlert]) -> list[str]:
    """An alert's labels, and below them its annotations."""
    lines = []
    for alert in sorted(alerts, key=lambda each: (each.labels, each.annotations)):
        lines.append(series_text(alert.labels))
        lines += [f"  {name}: {text}" for name, text in alert.annotations]
    return lines


def difference(expected: Sequence[str], got: Sequence[str]) -> list[str]:
    """Lines that are expected (-), that came instead (+), and those in common."""
    return [line for line in difflib.ndiff(list(expected), list(got)) if not line.startswith("?")]
