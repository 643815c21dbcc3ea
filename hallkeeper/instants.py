"""Times as people write them on a command line."""

from datetime import UTC, datetime

from fleet.errors import HallkeeperError


class BadInstant(HallkeeperError):
    """A time that cannot be read."""


def instant_ms(text: str) -> int:
    """RFC 3339 to Unix milliseconds; a time without a zone is UTC. Raises `BadInstant`."""
    try:
        found = datetime.fromisoformat(text)
    except ValueError as error:
        raise BadInstant(f"{text!r} is no time, try 2026-01-01T00:05:00Z") from error
    return round((found if found.tzinfo is not None else found.replace(tzinfo=UTC)).timestamp() * 1000)
