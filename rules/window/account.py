"""What a window tells of the messages that it was given."""

from dataclasses import dataclass, field

from fleet.errors import Malformed
from rules.window.layouts import Layout


@dataclass(slots=True)
class Taken:
    """What became of many messages."""

    layouts: list[Layout] = field(default_factory=list)
    """The layouts that now have a sample newer than any before, one entry a frame."""
    refused: list[tuple[int, Malformed]] = field(default_factory=list)
    """Messages that are neither frame nor table, by their place."""


@dataclass(slots=True)
class Counts:
    """What happened to frames that did not simply go to their place."""

    frames: int = 0
    points: int = 0
    duplicates: int = 0
    late: int = 0
    too_late: int = 0
    malformed: int = 0
    future: int = 0
    """Frames whose time was too far ahead."""
    refused_series: int = 0
    """Series that did not fit into the memory limit."""
    shortened: dict[str, int] = field(default_factory=dict)
    """Metrics whose ring could not be made as deep as their readers need, with the `at` at which that showed."""
