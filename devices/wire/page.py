"""A page of an exporter where it arrived: its bytes for whoever looks at them in place, its lines for whoever wants lines."""

from collections.abc import Callable
from functools import cached_property
from io import BytesIO


class Page:
    """One page; its bytes are there until its lines are taken or it is closed."""

    def __init__(self, body: memoryview, lines: Callable[[], list[bytes]], closed: Callable[[], None]) -> None:
        """`lines` splits what `body` shows, once, after `body` is let go of; `closed` hears that nobody looks any more."""
        self.body = body
        self.size = len(body)
        """Bytes of all lines."""
        self._split = lines
        self._closed = closed

    def close(self) -> None:
        """Let go of where it arrived."""
        self.body.release()
        self._closed()

    @cached_property
    def lines(self) -> list[bytes]:
        """With their line feeds; a last line without one was perhaps cut short."""
        self.body.release()
        return self._split()

    @property
    def is_whole(self) -> bool:
        """The last line has its line feed."""
        return not self.lines or self.lines[-1].endswith(b"\n")


def page_of(body: bytes) -> Page:
    """The page in a body: io looks for line feeds with memchr, 18 µs for 98 kB, where bytes.split takes 46."""
    return Page(memoryview(body), lambda: list(BytesIO(body)), lambda: None)
