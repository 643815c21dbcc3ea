"""The table of known metrics, by area; `fleet.metrics` is its door.

It is for facts about numbers. It must never hold a threshold at which something is done: that is a rule.
"""

from collections.abc import Mapping
from itertools import chain
from types import MappingProxyType

from fleet.register.cooling import COOLING
from fleet.register.gpu import AMD, DCGM
from fleet.register.jobs import JOBS
from fleet.register.metric import Metric
from fleet.register.node import NODE
from fleet.register.plant import PLANT
from fleet.register.power import POWER
from fleet.register.service import SERVICE

AREAS: Mapping[str, tuple[Metric, ...]] = MappingProxyType(
    {
        "Power: PDUs and the feeds above them": POWER,
        "Power: storage, generation, emissions, the site": PLANT,
        "Cooling": COOLING,
        "GPUs: dcgm-exporter": DCGM,
        "GPUs: AMD device-metrics-exporter": AMD,
        "Nodes: BMC, agent, node_exporter, fabric": NODE,
        "Jobs, schedulers and the inventory as series": JOBS,
        "Hallkeeper itself": SERVICE,
    }
)

METRICS: Mapping[str, Metric] = MappingProxyType(
    {metric.name: metric for metric in chain.from_iterable(AREAS.values())}
)
