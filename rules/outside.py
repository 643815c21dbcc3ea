"""What templates see besides their alert: external labels and url, and queries over the window of the moment."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Final

from rules.promql.errors import EvaluationError, ExpressionError
from rules.promql.node import Node
from rules.promql.passes import Pass
from rules.promql.plan import Planner
from rules.promql.vector import Vector
from rules.templates import QueriedSample, QueryFailed, Surroundings

PLANS: Final = 1_000
"""Queries whose plan is kept; templates can write as many different ones as there are labels."""


@dataclass(slots=True)
class Outside:
    """The same for all rules of an engine; plans of queries are kept."""

    external_labels: Mapping[str, str]
    external_url: str
    _plans: dict[str, Node] = field(default_factory=dict)

    def around(self, now: Pass) -> Callable[[], Surroundings]:
        """What a template that is expanded in this pass sees, made only where one asks."""

        def made() -> Surroundings:
            return Surroundings(
                external_labels=dict(self.external_labels),
                external_url=self.external_url,
                at_seconds=now.at_ms / 1000.0,
                query=lambda text: self.ask(text, now),
            )

        return made

    def ask(self, text: str, now: Pass) -> list[QueriedSample]:
        """An instant query over what the window holds. Raises `QueryFailed`."""
        try:
            value = self._plan(text).evaluate(Pass(now.window, now.at_ms))
        except (ExpressionError, EvaluationError) as error:
            raise QueryFailed(str(error)) from error
        if isinstance(value, float):
            return [QueriedSample(labels={}, value=value)]
        if not isinstance(value, Vector):
            raise QueryFailed("a query in a template must yield numbers")
        return [
            QueriedSample(labels=value.labels.row(row), value=float(value.values[row])) for row in value.rows.tolist()
        ]

    def _plan(self, text: str) -> Node:
        plan = self._plans.get(text)
        if plan is None:
            if len(self._plans) >= PLANS:
                self._plans.clear()
            plan = self._plans[text] = Planner().compile(text)
        return plan
