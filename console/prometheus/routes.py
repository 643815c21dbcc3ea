"""The routes of Prometheus's API; reads only."""

from collections.abc import Awaitable, Callable, Iterable
from dataclasses import dataclass
from typing import Final

from fastapi import FastAPI
from starlette.requests import Request
from starlette.responses import Response

from bus.event_types import AlertEvent
from console.prometheus import formatting, health, listing, queries, series, targets
from console.prometheus.encode import failure, success
from console.prometheus.errors import ApiError, Kind
from console.prometheus.params import Params, params_of
from console.prometheus.window import QueryWindow
from fleet.clock import Clock
from rules.files.model import RuleSet

FOLLOWED: Final = "3.0.0"
"""The release of Prometheus whose API this is: what Grafana decides its features by."""

Answering = Callable[[Request, Params], Awaitable[Response]]


@dataclass(slots=True, kw_only=True)
class PrometheusApi:
    """What the routes read."""

    window: QueryWindow
    clock: Clock
    rules: Callable[[], RuleSet]
    alerts: Callable[[], Iterable[AlertEvent]]
    version: str

    def mount(self, api: FastAPI) -> None:
        """Add the routes, for GET and POST alike where Prometheus has both."""
        both: dict[str, Answering] = {
            "query": lambda _, params: queries.instant(params, self.window, self.clock.now_ms()),
            "query_range": lambda _, params: queries.over_range(params, self.window),
            "series": lambda _, params: series.series(params, self.window),
            "labels": lambda _, params: series.label_names(params, self.window),
            "query_exemplars": self._exemplars,
            "format_query": self._format,
        }
        reads: dict[str, Answering] = {
            "label/{name}/values": lambda request, params: series.label_values(
                request.path_params["name"], params, self.window
            ),
            "rules": self._rules,
            "alerts": self._alerts,
            "metadata": self._metadata,
            "status/buildinfo": self._build,
            "targets": lambda _, params: targets.targets(params, self.window, self.clock.now_ms()),
        }
        for path, answering in both.items():
            api.add_route(f"/api/v1/{path}", _endpoint(answering), methods=["GET", "POST"], include_in_schema=False)
        for path, answering in reads.items():
            api.add_route(f"/api/v1/{path}", _endpoint(answering), methods=["GET"], include_in_schema=False)
        api.add_route("/federate", _endpoint(self._federate), methods=["GET"], include_in_schema=False)

    async def _exemplars(self, _: Request, __: Params) -> Response:
        return success([])

    async def _format(self, _: Request, params: Params) -> Response:
        return formatting.format_query(params)

    async def _federate(self, _: Request, params: Params) -> Response:
        return await targets.federate(params, self.window, self.clock.now_ms())

    async def _rules(self, _: Request, params: Params) -> Response:
        fares = await health.of_rules(self.window, self.clock.now_ms())
        return listing.rules(params, self.rules(), tuple(self.alerts()), fares)

    async def _alerts(self, _: Request, __: Params) -> Response:
        return listing.alerts(tuple(self.alerts()))

    async def _metadata(self, _: Request, params: Params) -> Response:
        return listing.metadata(params)

    async def _build(self, _: Request, __: Params) -> Response:
        return success(
            {
                "version": FOLLOWED,
                "revision": f"hallkeeper-{self.version}",
                "branch": "",
                "buildUser": "",
                "buildDate": "",
                "goVersion": "",
            }
        )


def _endpoint(answering: Answering) -> Callable[[Request], Awaitable[Response]]:
    async def endpoint(request: Request) -> Response:
        try:
            return await answering(request, await params_of(request))
        except ApiError as error:
            return failure(error)
        except RecursionError:
            return failure(ApiError(Kind.BAD_DATA, "the expression is nested too deep"))

    return endpoint
