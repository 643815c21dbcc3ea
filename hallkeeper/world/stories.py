"""Ten short stories on a small hall: what the crash sweep and the planted bugs are tried on."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from hallkeeper.world.faultplan import Planned
from hallkeeper.world.hall import Ground
from hallkeeper.world.seeds import campaign_ground
from simulator.layout import Layout

BEGUN: Final = 32.0
"""When the first machine falls ill: until then the remediator learns what is usual."""
NODE: Final = "dgx-002"
OTHER: Final = "dgx-007"
SMALL: Final = Layout(node_count=16, rack_count=4, apc_rack_count=0)


@dataclass(frozen=True, slots=True)
class Story:
    """What happens, and until when everything must have come to rest."""

    plan: tuple[Planned, ...]
    seconds: float


def ill(kind: str, target: str, at: float = BEGUN) -> Planned:
    """A machine's own fault."""
    return Planned(at=at, until=1e6, number="ill", kind=kind, target=target)


def trouble(number: str, kind: str, at: float, until: float, target: str = "", **settings: float) -> Planned:
    """A trouble with its settings."""
    return Planned(at=at, until=until, number=number, kind=kind, target=target, settings=settings)


STORIES: Final[Mapping[str, Story]] = {
    "hung node": Story((ill("hung-node", NODE),), 130.0),
    "gpu off its bus": Story((ill("gpu-off-bus", NODE),), 160.0),
    "bmc that lies": Story((ill("hung-node", NODE), trouble("F17", "bmc-lies", 10, 1e6, NODE)), 190.0),
    "answers lost": Story((ill("hung-node", NODE), trouble("F6", "network", 40, 100, mute=1.0)), 230.0),
    "requests lost": Story((ill("hung-node", NODE), trouble("F6", "network", 40, 75, lost=0.7)), 230.0),
    "datagrams late": Story((ill("hung-node", NODE), trouble("F7", "network", 30, 120, late=1.0, doubled=1.0)), 230.0),
    "two nodes": Story((ill("hung-node", NODE), ill("hung-node", OTHER, BEGUN + 6)), 250.0),
    "bmc slow to act": Story(
        (ill("hung-node", NODE), trouble("F17", "effect-late", 10, 1e6, NODE, seconds=3.5)), 190.0
    ),
    "scheduler away": Story((ill("hung-node", NODE), trouble("F25", "device-silent", 52, 75, "k8s-1")), 190.0),
    "stop and resume": Story((ill("hung-node", NODE), trouble("people", "stop", 55, 80)), 220.0),
}


def small_ground(folder: Path) -> Ground:
    """16 nodes in 4 racks."""
    return campaign_ground(folder, SMALL)
