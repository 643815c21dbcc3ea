"""What a template sees besides its alert's labels and value."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final


class QueryFailed(ValueError):
    """A query has no answer; the message goes into the text."""


@dataclass(frozen=True, slots=True, kw_only=True)
class QueriedSample:
    """One element of a query's answer."""

    labels: Mapping[str, str]
    value: float


def _nothing(_: str) -> Sequence[QueriedSample]:
    raise QueryFailed("there is nothing to ask")


@dataclass(frozen=True, slots=True, kw_only=True)
class Surroundings:
    """Made anew for each evaluation."""

    external_labels: Mapping[str, str] = field(default_factory=dict)
    external_url: str = ""
    query: Callable[[str], Sequence[QueriedSample]] = _nothing
    """An instant query at the evaluation's time. Raises `QueryFailed`."""
    at_seconds: float = 0.0
    """The evaluation's time (Unix)."""


NOWHERE: Final = Surroundings()
"""Nothing besides the alert."""
