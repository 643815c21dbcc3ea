"""Numbers that a site must tune: what rules compare with, by name, with what holds where nobody has set them.

Rules read them as series, `x > on () group_left () fleet_threshold{name="coolant_supply_hot_celsius"}`; the settings' key
`thresholds` overrides them. A name ends in its unit, like a metric's. This is a table of numbers and nothing else: what is
compared with them, and for how long, stands in the rules.
"""

from collections.abc import Mapping
from itertools import chain
from types import MappingProxyType

from fleet.thresholds.cooling import COOLING
from fleet.thresholds.gpu import GPU
from fleet.thresholds.jobs import JOBS
from fleet.thresholds.plant import PLANT
from fleet.thresholds.power import POWER
from fleet.thresholds.service import SERVICE
from fleet.thresholds.threshold import Threshold

__all__ = ["AREAS", "METRIC", "THRESHOLDS", "Threshold", "site_thresholds"]

METRIC = "fleet_threshold"
"""The series that carries them, by the label `name`."""

AREAS: Mapping[str, Mapping[str, Threshold]] = MappingProxyType(
    {
        "GPUs and nodes": GPU,
        "Power: PDUs, feeders, busbars": POWER,
        "Power: storage, generation, emissions, the site": PLANT,
        "Cooling": COOLING,
        "Jobs and their schedulers": JOBS,
        "Hallkeeper itself": SERVICE,
    }
)

THRESHOLDS: Mapping[str, Threshold] = MappingProxyType(
    dict(chain.from_iterable(area.items() for area in AREAS.values()))
)


def site_thresholds(settings: Mapping[str, float]) -> dict[str, float]:
    """Every threshold as the site has it: the settings' number, else the default."""
    return {name: float(settings.get(name, threshold.default)) for name, threshold in THRESHOLDS.items()}
