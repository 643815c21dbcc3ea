"""The routes of the API; reads only."""

from collections.abc import AsyncIterator, Callable
from typing import Annotated, Any

from fastapi import FastAPI, HTTPException, Query, Response
from fastapi.sse import EventSourceResponse, ServerSentEvent
from prometheus_client import CollectorRegistry
from prometheus_client.exposition import CONTENT_TYPE_LATEST, generate_latest

from bus.events import IncidentEvent
from console.explain import Explanations
from console.prometheus.routes import PrometheusApi
from console.state import LiveState, plain
from fleet.model import Site

KINDS = Annotated[str | None, Query(description="Only assets of this kind: node, pdu, rack, …")]


def build_api(
    *,
    site: Site,
    state: LiveState,
    prometheus: PrometheusApi,
    explanations: Explanations,
    registry: CollectorRegistry,
    not_ready: Callable[[], str | None],
    version: str,
) -> FastAPI:
    """The FastAPI application. Its documentation is `/openapi.json`; no page that loads scripts from elsewhere is served.

    Prometheus's routes are added as they are (`console.prometheus`); the others are ours.
    """
    api = FastAPI(title="Hallkeeper", version=version, docs_url=None, redoc_url=None)
    _add_site(api, site)
    _add_incidents(api, state)
    _add_remediations(api, state)
    _add_health(api, registry, not_ready)
    prometheus.mount(api)
    api.add_route("/api/v1/explain", explanations.endpoint, methods=["GET"], include_in_schema=False)

    @api.get("/", summary="Where to look")
    async def index() -> dict[str, Any]:
        return {
            "site": site.name,
            "version": version,
            "api": "/openapi.json",
            "incidents": "/api/v1/incidents",
            "stream": "/api/v1/stream",
            "query": "/api/v1/query",
            "explain": "/api/v1/explain",
            "metrics": "/metrics",
        }

    return api


def _add_site(api: FastAPI, site: Site) -> None:
    @api.get("/api/v1/assets", summary="The inventory")
    async def assets(kind: KINDS = None) -> list[dict[str, Any]]:
        return [
            {
                "id": asset.id,
                "kind": asset.kind,
                "labels": dict(asset.labels),
                "fed_by": list(asset.fed_by),
                "ratings": dict(asset.ratings),
                "protected": asset.protected,
            }
            for asset in site.assets.values()
            if kind is None or asset.kind == kind
        ]

    @api.get("/api/v1/assets/{asset_id}", summary="One asset: its failure domains and what lies downstream of it")
    async def asset_detail(asset_id: str) -> dict[str, Any]:
        asset = next((each for each in site.assets.values() if each.id == asset_id), None)
        if asset is None:
            raise HTTPException(404, f"no asset {asset_id!r} in site {site.name!r}; try: GET /api/v1/assets")
        return {
            "id": asset.id,
            "kind": asset.kind,
            "labels": dict(asset.labels),
            "domains": [{"kind": domain.kind, "id": domain.id} for domain in site.graph.domains_of(asset.id)],
            "downstream": sorted(site.graph.downstream(asset.id)),
            "limits": [
                {"asset": limit.asset, "quantity": limit.quantity, "value": limit.value, "phase": limit.phase}
                for limit in site.graph.limits_above(asset.id)
            ],
        }


def _add_incidents(api: FastAPI, state: LiveState) -> None:
    @api.get("/api/v1/incidents", summary="Incidents, newest first")
    async def incidents(open_only: bool = False) -> list[dict[str, Any]]:
        return [plain(each) for each in reversed(state.incidents.values()) if not open_only or each.ended_at_ms is None]

    @api.get(
        "/api/v1/incidents/{incident_id}", summary="One incident with its remediations, every gate's answer included"
    )
    async def incident_detail(incident_id: str) -> dict[str, Any]:
        incident = state.incidents.get(incident_id)
        if incident is None:
            raise HTTPException(404, f"no incident {incident_id!r}; try: GET /api/v1/incidents")
        acts = [plain(each) for each in state.remediations.values() if each.incident_id == incident_id]
        return plain(incident) | {"acts": acts}

    @api.get(
        "/api/v1/stream", response_class=EventSourceResponse, summary="Incidents as they change (server-sent events)"
    )
    async def stream() -> AsyncIterator[ServerSentEvent]:
        with state.listening() as listener:
            for incident in tuple(state.incidents.values()):
                yield _sse(incident)
            async for event in listener.changes():
                if isinstance(event, IncidentEvent):
                    yield _sse(event)


def _sse(incident: IncidentEvent) -> ServerSentEvent:
    return ServerSentEvent(event="incident", id=incident.event_id(), data=plain(incident))


def _add_remediations(api: FastAPI, state: LiveState) -> None:
    @api.get("/api/v1/alert-events", summary="Alerts by their last event (/api/v1/alerts is Prometheus's)")
    async def alert_events() -> list[dict[str, Any]]:
        return [plain(each) for each in reversed(state.alerts.values())]

    @api.get("/api/v1/remediations", summary="The ledger's last word on each remediation")
    async def remediations() -> list[dict[str, Any]]:
        return [plain(each) for each in reversed(state.remediations.values())]

    @api.get("/api/v1/remediations/{remediation_id}", summary="One remediation: why, and why not")
    async def remediation_detail(remediation_id: str) -> dict[str, Any]:
        found = state.remediations.get(remediation_id)
        if found is None:
            raise HTTPException(404, f"no remediation {remediation_id!r}; try: GET /api/v1/remediations")
        return plain(found)


def _add_health(api: FastAPI, registry: CollectorRegistry, not_ready: Callable[[], str | None]) -> None:
    @api.get("/metrics", include_in_schema=False)
    async def metrics() -> Response:
        return Response(generate_latest(registry), headers={"Content-Type": CONTENT_TYPE_LATEST})

    @api.get("/healthz", summary="Alive")
    @api.get("/-/healthy", include_in_schema=False)
    async def healthz() -> dict[str, str]:
        return {"status": "ok"}

    @api.get("/readyz", summary="Ready to answer")
    @api.get("/-/ready", include_in_schema=False)
    async def readyz(response: Response) -> dict[str, Any]:
        why = not_ready()
        response.status_code = 503 if why else 200
        return {"ready": why is None, "waiting": {"console": why} if why else {}}
