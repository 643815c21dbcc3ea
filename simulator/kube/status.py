"""The API's own words for what went wrong."""

from collections.abc import Mapping

from simulator.http import Response, json_response

REASONS: Mapping[int, str] = {
    400: "BadRequest", 401: "Unauthorized", 403: "Forbidden", 404: "NotFound", 405: "MethodNotAllowed", 409: "Conflict", 410: "Expired",
    415: "UnsupportedMediaType", 422: "Invalid", 429: "TooManyRequests",
}  # fmt: skip


class ApiError(Exception):
    """A request that is answered with a failure."""

    def __init__(self, code: int, message: str, details: Mapping[str, object] | None = None) -> None:
        super().__init__(message)
        self.code = code
        self.details = details


def failure(code: int, message: str, details: Mapping[str, object] | None = None) -> dict[str, object]:
    """A Status object."""
    status: dict[str, object] = {
        "kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Failure", "message": message, "reason": REASONS[code], "code": code,
    }  # fmt: skip
    return status | ({"details": dict(details)} if details else {})


def error_response(error: ApiError) -> Response:
    return json_response(failure(error.code, str(error), error.details), error.code)
