"""Which warm spare takes a lost node's place: one on the same rails and leaves first, so that the job's collectives stay near. Pure."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from fleet.model import AssetId, Kind, Site


@dataclass(frozen=True, slots=True, kw_only=True)
class Candidate:
    """A node that might take over, as its instruments show it now."""

    node: AssetId
    ready: bool
    """The scheduler sees it ready and may put work on it."""
    idle: bool
    """No job has work on it."""
    gpus: int
    """How many answer."""
    alerting: bool = False
    """Something about it is wrong: it is no spare, whatever the scheduler says."""


@dataclass(frozen=True, slots=True)
class Spare:
    """A chosen node, and how near it is."""

    node: AssetId
    shared: int
    """Switches that it shares with the lost node; all of them is the same leaf on every rail."""
    text: str


def leaves_of(node: AssetId, site: Site) -> frozenset[AssetId]:
    """The switches that a node hangs on: one a rail where the fabric has rails."""
    return frozenset(switch.id for switch in site.of_kind(Kind.SWITCH) if node in switch.ports.values())


def spares_for(lost: AssetId, candidates: Iterable[Candidate], site: Site) -> tuple[Spare, ...]:
    """Every usable spare, the nearest first, by name among equals; a node behind the lost one's failed supply is last.

    Usable: ready, idle, whole (as many GPUs as the lost node has), without an alert, of no protected asset.
    """
    home = leaves_of(lost, site)
    wanted = int(site.asset(lost).ratings.get("gpus", 0))
    feeds = site.graph.upstream(lost)
    found: list[tuple[tuple[int, int, str], Spare]] = []
    for candidate in candidates:
        if candidate.node == lost or not _usable(candidate, wanted, site):
            continue
        shared = len(home & leaves_of(candidate.node, site))
        kin = len(feeds & site.graph.upstream(candidate.node) - {site.of_kind(Kind.SITE)[0].id})
        near = "same leaf on every rail" if home and shared == len(home) else f"{shared} of {len(home)} leaves shared"
        found.append(((-shared, kin, str(candidate.node)), Spare(candidate.node, shared, near)))
    return tuple(spare for _, spare in sorted(found, key=lambda pair: pair[0]))


def gang_spares(lost: Sequence[AssetId], candidates: Sequence[Candidate], site: Site) -> dict[AssetId, Spare] | None:
    """A spare for each lost node of one gang, each spare once; None where they do not suffice: a gang runs whole or not."""
    taken: dict[AssetId, Spare] = {}
    for node in sorted(lost, key=lambda node: len(spares_for(node, candidates, site))):
        used = {spare.node for spare in taken.values()}
        free = [spare for spare in spares_for(node, candidates, site) if spare.node not in used | set(lost)]
        if not free:
            return None
        taken[node] = free[0]
    return taken


def _usable(candidate: Candidate, gpus: int, site: Site) -> bool:
    whole = candidate.gpus >= gpus and not candidate.alerting
    return candidate.ready and candidate.idle and whole and not site.asset(candidate.node).protected
