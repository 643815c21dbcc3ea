"""What can go wrong with the bus itself."""

from fleet.errors import HallkeeperError


class BusError(HallkeeperError):
    """The bus did not do it; the message names the file or the broker and what to try."""


class UnknownMajor(HallkeeperError):
    """An event of a type or major version that this release does not know: park it and tell a human, never guess."""

    def __init__(self, kind: str) -> None:
        """Keep the type that was not known."""
        super().__init__(f"event type {kind!r} is newer than this release knows, try upgrading this service; parked")
        self.kind = kind
