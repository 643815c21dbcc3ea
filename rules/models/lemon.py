"""Which nodes fail far more often than their fleet: a weighted sum of what befell them over 28 days, each against the fleet.

The idea is Meta's ("Revisiting Reliability in Large-Scale Machine Learning Research Clusters": lemon nodes, found by
exclusions, XIDs, tickets, nodes out of service and failures of jobs). A few nodes cause many of a fleet's job failures.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

import numpy as np

from rules.arrays import Floats
from rules.models.port import Input, Kept, Output, Series, Step
from rules.models.rows import looked_up

NODES: Final = "nodes"
SCORE: Final = "node_lemon_score"
HARD_XIDS: Final = "46|48|54|6[124]|74|79|95|109|110|119|120|136|14[03-9]|15[0568]|160|162"
"""XIDs by hardware, driver or power, as in the rules on storms."""
LARGEST_DEVIATION: Final = 10.0
"""One signal alone says no more than this many standard deviations; a default to tune."""


@dataclass(frozen=True, slots=True)
class Signal:
    """One kind of misfortune, by node."""

    expr: str
    weight: float
    """Defaults to tune: what needs a human's hand weighs more."""


def _by_node(expr: str) -> str:
    return f"sum by (node) ({expr})"


SIGNALS: Final[Mapping[str, Signal]] = {
    "fatal_xids": Signal(
        _by_node(f'increase(device_event_bursts_total{{kind="xid", code=~"{HARD_XIDS}"}}[28d])'), weight=2.0
    ),
    "fatal_xids_this_week": Signal(
        _by_node(f'increase(device_event_bursts_total{{kind="xid", code=~"{HARD_XIDS}"}}[7d])'), weight=1.0
    ),
    "starts": Signal(_by_node('increase(device_event_bursts_total{kind="boot"}[28d])'), weight=1.0),
    "bmc_records": Signal(
        _by_node('increase(device_event_bursts_total{kind="sel", code=~"0x7:.*|0x8:.*|0x9:.*|0xc:.*|0x13:.*"}[28d])'),
        weight=1.0,
    ),
    "out_of_service": Signal("max by (node) (avg_over_time(kube_node_spec_unschedulable[28d]))", weight=2.0),
    "job_failures": Signal(_by_node("increase(kube_pod_container_status_restarts_total[28d])"), weight=1.0),
    "link_downs": Signal(_by_node("increase(node_infiniband_link_downed_total[28d])"), weight=1.0),
}


@dataclass(frozen=True)
class Lemon:
    """A score for each node of the inventory, once in five minutes."""

    name: str = "lemon"
    interval_ms: int = 300_000

    @property
    def reads(self) -> Mapping[str, str]:
        """The nodes, and each signal by node."""
        nodes = {NODES: "max by (asset, node, rack, zone) (fleet_node_info)"}
        return nodes | {name: signal.expr for name, signal in SIGNALS.items()}

    @property
    def writes(self) -> frozenset[str]:
        """The score."""
        return frozenset({SCORE})

    def step(self, at_ms: int, inputs: Mapping[str, Input], kept: Kept) -> Step:
        """Score every node."""
        del at_ms, kept
        nodes = inputs[NODES]
        if not isinstance(nodes, Series):
            return Step()
        columns = {
            name: looked_up(found, nodes.labels, "node")[nodes.present]
            for name in SIGNALS
            if isinstance(found := inputs.get(name), Series)
        }
        values = np.zeros(nodes.labels.size)
        values[nodes.present] = scores(columns, int(nodes.present.sum()))
        return Step([Output(SCORE, nodes.labels, values, nodes.present)])


def scores(columns: Mapping[str, Floats], nodes: int) -> Floats:
    """The weighted sum of each node's deviations above the fleet's mean, in standard deviations; 0 for a node like the others.

    A node of which a signal says nothing (NaN) had none of it.
    """
    total = np.zeros(nodes)
    for name, column in columns.items():
        counts = np.nan_to_num(column, nan=0.0)
        spread = counts.std() if nodes else 0.0
        if spread > 0:
            deviations = (counts - counts.mean()) / spread
            total += SIGNALS[name].weight * np.clip(deviations, 0.0, LARGEST_DEVIATION)
    return total
