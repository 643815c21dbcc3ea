"""What a rule's templates ask of the window."""

import contextlib

from rules.files.model import AlertRule
from rules.promql.errors import ExpressionError
from rules.promql.plan import Planner


def demand_queries(rule: AlertRule, planner: Planner) -> None:
    """Let the window keep what the rule's templates ask for; a query that cannot be read says so in the text."""
    for template in (*rule.labels.values(), *rule.annotations.values()):
        for text in template.queries:
            with contextlib.suppress(ExpressionError):
                planner.compile(text)
