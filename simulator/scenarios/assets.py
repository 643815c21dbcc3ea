"""What an asset name in a scenario stands for on a site."""

from collections.abc import Iterable

from simulator.layout import Layout
from simulator.scenarios.schema import SiteSize

HOUSE = ("hallkeeper", "bus", "rules", "remediator", "actuator", "collector")
"""The product's own parts: targets of faults of the house, which whoever runs the product carries out."""


def layout_of(site: SiteSize) -> Layout:
    """The site's shape. Raises `ValueError` where racks and nodes do not fit."""
    return Layout(node_count=site.nodes, rack_count=site.racks, racks_per_row=site.racks_per_row)


def names_of(layout: Layout) -> frozenset[str]:
    """Every asset that a scenario may name."""
    return layout.assets | {"site", *HOUSE}


def nodes_behind(layout: Layout, names: Iterable[str]) -> list[str]:
    """The nodes that names stand for, each once: racks, rows, PDUs and CDUs for theirs; other names for none."""
    found: dict[str, None] = {}
    for name in names:
        if name in layout.node_index:
            found[name] = None
        found |= dict.fromkeys(layout.nodes[node] for node in _nodes(layout, name))
    return list(found)


def _nodes(layout: Layout, name: str) -> Iterable[int]:
    if name in layout.racks:
        return layout.nodes_of_rack(layout.racks.index(name))
    if name in layout.pdu_index:
        return layout.nodes_of_rack(layout.pdu_index[name] // 2)
    for group in (layout.rows, layout.cdus, layout.switches):
        if name in group:
            return layout.nodes_of_row(group.index(name))
    return ()
