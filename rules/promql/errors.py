"""What can be wrong with an expression: before it runs, and when it runs."""

from fleet.errors import HallkeeperError


class ExpressionError(HallkeeperError):
    """The expression cannot be compiled; the message says what, where, and what to try."""

    def __init__(self, message: str, *, expr: str = "", position: int | None = None) -> None:
        """`position` counts characters of `expr` from 0; None where the whole is meant."""
        self.message, self.expr, self.position = message, expr, position
        super().__init__(f"{self.where}: {message}" if self.where else message)

    @property
    def where(self) -> str:
        """`line:column` within the expression, from 1; empty where the whole is meant."""
        if self.position is None:
            return ""
        before = self.expr[: self.position]
        return f"{before.count(chr(10)) + 1}:{self.position - before.rfind(chr(10))}"


class EvaluationError(HallkeeperError):
    """The expression has no value at this time, as Prometheus would say: many-to-many matches, doubled label sets."""
