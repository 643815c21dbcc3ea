"""Final labels: what the inventory knows of a target, joined with what the device says of each series. Pure."""

from collections.abc import Mapping, Sequence

from devices.reading import Labels, Series
from fleet.errors import Malformed
from fleet.model import Asset, Endpoint

INVENTORY_LABELS = ("node", "rack", "zone")
"""Labels of an asset that its series carry; hall and row are joined over `fleet_node_info`."""

SERIES_LIMIT = 16_384
"""Series in one frame."""


def target_labels(endpoint: Endpoint, asset: Asset) -> Mapping[str, str]:
    """What every series of a target carries."""
    labels = {"job": endpoint.job, "instance": endpoint.instance, "asset": str(asset.id)}
    labels |= {name: asset.labels[name] for name in INVENTORY_LABELS if asset.labels.get(name)}
    labels.setdefault("zone", str(asset.zone))
    return labels


def labelled(series: Sequence[Series], inventory: Mapping[str, str]) -> list[Series]:
    """The series with their final labels, sorted. Raises `Malformed` when there are too many for one frame."""
    if len(series) > SERIES_LIMIT:
        raise Malformed(f"{len(series)} series in one answer, {SERIES_LIMIT} at most, try splitting the endpoint")
    joined = {labels: _joined(labels, inventory) for labels in {labels for _, labels in series}}
    return [(name, joined[labels]) for name, labels in series]


def _joined(own: Labels, inventory: Mapping[str, str]) -> Labels:
    """Both sets; where they collide the inventory's stays and the device's becomes `exported_*`, as in Prometheus.

    A label without value is no label.
    """
    labels = dict(inventory)
    for name, value in own:
        if value:
            free = name
            while free in inventory:
                free = f"exported_{free}"
            labels[free] = value
    return tuple(sorted(labels.items()))
