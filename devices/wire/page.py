"""A page of an exporter as lines: made once where it arrives, so that nobody copies 98 kB again."""

from io import BytesIO
from typing import NamedTuple


class Page(NamedTuple):
    """One page."""

    lines: list[bytes]
    """With their line feeds; a last line without one was perhaps cut short."""
    size: int
    """Bytes of all lines."""

    @property
    def is_whole(self) -> bool:
        """The last line has its line feed."""
        return not self.lines or self.lines[-1].endswith(b"\n")


def page_of(body: bytes) -> Page:
    """The page in a body: io looks for line feeds with memchr, 18 µs for 98 kB, where bytes.split takes 46."""
    return Page(list(BytesIO(body)), len(body))
