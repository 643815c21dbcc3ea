"""`/api/v1/explain`: why a rule fires for a target, or does not, out of the window that queries read."""

from collections.abc import Callable, Iterable

import msgspec
from starlette.requests import Request
from starlette.responses import Response

from bus.event_types import AlertEvent
from console.prometheus.alert_series import ACTIVE
from console.prometheus.encode import failure, success
from console.prometheus.errors import ApiError, Kind, invalid
from console.prometheus.params import Params, params_of
from console.prometheus.window import QueryWindow
from fleet.clock import Clock
from fleet.nearest import nearest
from rules.explain.explain import ActiveAlert, Explanation, explain, find_rules
from rules.explain.target import Target
from rules.files.model import RuleSet
from rules.promql.errors import ExpressionError
from rules.window.window import Window


class Explanations:
    """Answers one route."""

    def __init__(
        self,
        *,
        window: QueryWindow,
        clock: Clock,
        rules: Callable[[], RuleSet],
        alerts: Callable[[], Iterable[AlertEvent]],
    ) -> None:
        """`alerts` gives the last event of every alert."""
        self._window, self._clock, self._rules, self._alerts = window, clock, rules, alerts

    async def endpoint(self, request: Request) -> Response:
        """`rule`, `target` and `time`; the answer holds an explanation for each rule of that name."""
        try:
            return await self._answer(await params_of(request))
        except ApiError as error:
            return failure(error)

    async def _answer(self, params: Params) -> Response:
        rules, name = self._rules(), params.text("rule")
        found = find_rules(rules, name)
        if not found:
            known = sorted({rule.name for group in rules.groups for rule in group.rules})
            near = nearest(name, known)
            hint = repr(near) if near else "GET /api/v1/rules"
            raise ApiError(Kind.NOT_FOUND, f"no rule is called {name!r}, try {hint}")
        try:
            target = Target.of(params.text("target"))
        except ExpressionError as error:
            raise invalid("target", error) from None
        at = params.time_ms("time", self._clock.now_ms())
        active = [
            ActiveAlert(rule=event.rule, labels=event.labels, since_ms=event.active_since_ms)
            for event in self._alerts()
            if str(event.state) in ACTIVE
        ]

        def ask(held: Window) -> list[Explanation]:
            return [explain(group, rule, target, held, at, active) for group, rule in found]

        return success(msgspec.to_builtins(await self._window.ask(ask)))
