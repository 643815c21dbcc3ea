"""Whether the settings name thresholds that exist, with numbers that can be meant."""

from collections.abc import Iterator

from fleet.document import Document
from fleet.errors import Problem
from fleet.nearest import nearest
from fleet.thresholds import THRESHOLDS

KEY = "thresholds"


def threshold_problems(document: Document) -> list[Problem]:
    """Every mistake below the key `thresholds`; what is no number is pydantic's to refuse."""
    found = document.data.get(KEY) if isinstance(document.data, dict) else None
    return list(_problems(document, found)) if isinstance(found, dict) else []


def _problems(document: Document, found: dict[str, object]) -> Iterator[Problem]:
    known = sorted(THRESHOLDS)
    for name, value in found.items():
        threshold = THRESHOLDS.get(name)
        if threshold is None:
            near = nearest(name, known)
            suggestion = f"{near!r}" if near else "a name of docs/reference/thresholds.md"
            yield document.problem((KEY, name), f"unknown threshold {name!r}", suggestion, key=True)
        elif isinstance(value, int | float) and not threshold.low <= value <= threshold.high:
            message = f"{value:g} is no {threshold.unit} that can be meant"
            yield document.problem((KEY, name), message, f"{threshold.low:g} to {threshold.high:g}")
