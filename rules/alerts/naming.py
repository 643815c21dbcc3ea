"""The final labels of a rule's alerts, and the id that follows from them."""

from collections.abc import Callable, Mapping
from typing import Final

from bus.identity import alert_id, fingerprint
from rules.files.model import AlertRule
from rules.labels import NAME, LabelTable
from rules.promql.errors import EvaluationError
from rules.promql.vector import Vector
from rules.templates import Surroundings

ALERTNAME: Final = "alertname"
TWICE: Final = "vector contains metrics with the same labelset after applying alert labels"

Around = Callable[[], Surroundings]
"""What templates see besides the alert itself, at this moment."""


class Naming:
    """A rule's own labels over those of its expression's elements."""

    def __init__(self, rule: AlertRule) -> None:
        self._rule = rule
        self._constant = {name: label.source for name, label in rule.labels.items() if label.constant}
        self._constant[ALERTNAME] = rule.name
        self._templated = {name: label for name, label in rule.labels.items() if not label.constant}

    @property
    def templated(self) -> bool:
        """Whether the labels follow the value: then another value may be another alert, as in Prometheus."""
        return bool(self._templated)

    def final(self, element: Mapping[str, str], value: float, around: Around) -> dict[str, str]:
        """The alert's labels, sorted; what is empty is left out."""
        templated: dict[str, str] = {}
        if self._templated:
            seen = around()
            templated = {name: label.expand(element, value, seen) for name, label in self._templated.items()}
        labels = {name: text for name, text in {**element, **templated, **self._constant}.items() if text}
        labels.pop(NAME, None)
        return dict(sorted(labels.items()))

    def identity(self, labels: Mapping[str, str]) -> tuple[str, str]:
        """The alert's id, and its fingerprint."""
        mark = fingerprint(labels)
        return alert_id(self._rule.uid, mark), mark

    def element_of(self, labels: Mapping[str, str]) -> dict[str, str]:
        """The labels of the element that an alert was made of, without those that the rule set."""
        own = self._constant.keys() | self._templated.keys()
        return {name: text for name, text in labels.items() if name not in own}

    def check(self, vector: Vector) -> None:
        """Raises `EvaluationError` where constant labels would make one alert of two elements."""
        if vector.labels.unique and not self._constant.keys() & vector.labels.columns.keys():
            return
        final: LabelTable = vector.labels.constant(self._constant)
        try:
            Vector(final, vector.values, vector.present).checked()
        except EvaluationError as error:
            raise EvaluationError(TWICE) from error
