"""How many machines of each domain may be out at our hands: the checker's own copy of the table, so that the product's cannot hide."""

import math
from collections.abc import Collection, Iterator, Mapping
from typing import Final

from fleet.model import AssetId, Kind, Site

LIMITS: Final[Mapping[Kind, tuple[int, float]]] = {
    Kind.RACK: (1, 0.10),
    Kind.ROW: (4, 0.10),
    Kind.HALL: (8, 0.07),
    Kind.SITE: (8, 0.07),
    Kind.PDU: (1, 0.34),
    Kind.BUSBAR: (4, 0.13),
    Kind.SUBSTATION: (8, 0.07),
    Kind.CDU: (4, 0.13),
    Kind.LOOP: (4, 0.13),
    Kind.SWITCH: (4, 0.13),
}
"""Count and share by kind of domain; whichever is less, and at least one for a rack or row."""


def over_limits(site: Site, node: str, out: Collection[str], at: float) -> Iterator[str]:
    """Domains of a node that have more machines out than they may."""
    for domain in site.graph.domains_of(AssetId(node)):
        limit = LIMITS.get(domain.kind)
        if limit is None:
            continue
        members = site.graph.nodes_in(domain.id)
        share = math.floor(limit[1] * len(members))
        if domain.kind in {Kind.RACK, Kind.ROW}:
            share = max(1, share)
        count = len({str(member) for member in members} & set(out))
        if count > min(limit[0], share):
            yield f"S6 {domain.id}: {count} of {len(members)} out at {at:.1f} s, {min(limit[0], share)} may be"
