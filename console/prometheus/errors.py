"""What goes wrong with a request, in Prometheus's words and status codes."""

from enum import Enum


class Kind(Enum):
    """Prometheus's error types, with the HTTP status of each."""

    BAD_DATA = "bad_data", 400
    EXECUTION = "execution", 422
    TIMEOUT = "timeout", 503
    UNAVAILABLE = "unavailable", 503
    NOT_FOUND = "not_found", 404
    INTERNAL = "internal", 500

    @property
    def word(self) -> str:
        """As it stands in the answer."""
        return self.value[0]

    @property
    def status(self) -> int:
        """The HTTP status."""
        return self.value[1]


class ApiError(Exception):  # caught where the answer is written, never leaves the room
    """A request that has no answer."""

    def __init__(self, kind: Kind, message: str) -> None:
        super().__init__(message)
        self.kind = kind


def invalid(parameter: str, why: object) -> ApiError:
    """A parameter that cannot be used."""
    return ApiError(Kind.BAD_DATA, f'invalid parameter "{parameter}": {why}')
