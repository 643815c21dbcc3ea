"""Pages behind HTTP."""

from collections.abc import Callable

from simulator.http import Handler, Request, Response

TEXT = "text/plain; version=0.0.4; charset=utf-8"


def metrics_handler(page: Callable[[], bytes]) -> Handler:
    """Serves `page` at /metrics and nothing else."""

    def handle(request: Request) -> Response:
        if request.path != "/metrics":
            return Response(404, b"only /metrics is here\n", TEXT)
        if request.method not in ("GET", "HEAD"):
            return Response(405, b"only GET is taken\n", TEXT, {"Allow": "GET"})
        return Response(200, page(), TEXT)

    return handle
