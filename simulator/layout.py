"""Which halls, racks, nodes, PDUs and jobs the simulated site has: names and numbers, nothing that changes."""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

RACKS_PER_ROW = 4
"""Where nothing else is said."""
ROWS_PER_BUSBAR = 2
GPUS = 8
PHASES = 3
IDLE_WATTS = 2_000.0
MAX_WATTS = 10_200.0
"""DGX H100, maximum of the data sheet."""
VOLTS = 230.0
OVERLOAD_RATED_AMPERES = 35.0
"""The tight rack: with one feed lost its phases reach 108-111 %; caps alone bring the worst to 97 %, its idle host's outlet to 73 %."""
AMPERES_PER_NODE_ON_A_PHASE = 50.0
"""Every other rack: one feed alone carries full load at about 82 % of this."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Job:
    """One job of the default workload: ranks of eight GPUs each."""

    name: str
    namespace: str
    tier: str
    """T2 production training, T3 research, T4 batch."""
    priority: int
    demand_watts: float
    """What each of its GPUs draws when nothing caps it."""
    gang: bool
    ranks: int
    max_unavailable: int | None
    """Its disruption budget; None for no budget."""

    @property
    def key(self) -> str:
        return f"{self.namespace}/{self.name}"

    @property
    def priority_class(self) -> str:
        return {"T2": "t2-training", "T3": "t3-research", "T4": "t4-batch"}[self.tier]


@dataclass(frozen=True)
class Layout:
    """The site's shape. Racks are filled in order and evenly; PDU 2 x rack is feed A, the next one feed B."""

    node_count: int = 64
    rack_count: int = 16
    apc_rack_count: int = 2
    """How many racks carry APC rPDU2 instead of Eaton ePDU G3."""
    racks_per_row: int = RACKS_PER_ROW
    """How many racks share a row, its CDU and its leaf switch."""

    def __post_init__(self) -> None:
        if not 1 <= self.rack_count <= self.node_count:
            raise ValueError(f"{self.rack_count} racks for {self.node_count} nodes: give every rack at least one node")

    @cached_property
    def rack_starts(self) -> NDArray[np.intp]:
        """First node of each rack, and at the end the number of nodes."""
        return np.arange(self.rack_count + 1) * self.node_count // self.rack_count

    @cached_property
    def nodes(self) -> tuple[str, ...]:
        return tuple(f"dgx-{index + 1:03d}" for index in range(self.node_count))

    @cached_property
    def racks(self) -> tuple[str, ...]:
        return tuple(f"r{index + 1:02d}" for index in range(self.rack_count))

    @cached_property
    def rows(self) -> tuple[str, ...]:
        return tuple(f"row-{index + 1:02d}" for index in range(math.ceil(self.rack_count / self.racks_per_row)))

    @cached_property
    def pdus(self) -> tuple[str, ...]:
        return tuple(f"pdu-{rack}-{feed}" for rack in self.racks for feed in "ab")

    @cached_property
    def cdus(self) -> tuple[str, ...]:
        return tuple(f"cdu-{index + 1}" for index in range(len(self.rows)))

    @cached_property
    def switches(self) -> tuple[str, ...]:
        return tuple(f"leaf-{index + 1}" for index in range(len(self.rows)))

    sources = ("grid-1", "grid-2", "gen-1", "gen-2", "gen-3", "gen-4", "bess-1")
    """What the site draws power from."""
    sides = ("sub-a", "sub-b")
    """The two substations, one for each feed."""

    @cached_property
    def assets(self) -> frozenset[str]:
        """Every name that something of the site goes by, jobs and the scheduler with it."""
        groups = (
            self.nodes, self.racks, self.rows, self.pdus, self.cdus, self.switches, self.busbars, self.sources, self.sides,
        )  # fmt: skip
        return frozenset(("k8s-1", *(job.key for job in self.jobs), *(name for group in groups for name in group)))

    @cached_property
    def busbars(self) -> tuple[str, ...]:
        """One of each feed for every two rows."""
        return tuple(
            f"busbar-{pair + 1}{feed}" for pair in range(math.ceil(len(self.rows) / ROWS_PER_BUSBAR)) for feed in "ab"
        )

    @cached_property
    def node_index(self) -> Mapping[str, int]:
        return {name: index for index, name in enumerate(self.nodes)}

    @cached_property
    def pdu_index(self) -> Mapping[str, int]:
        return {name: index for index, name in enumerate(self.pdus)}

    @cached_property
    def rack_of(self) -> NDArray[np.intp]:
        """Rack number of each node."""
        return np.repeat(np.arange(self.rack_count), np.diff(self.rack_starts))

    @cached_property
    def position_of(self) -> NDArray[np.intp]:
        """Place of each node in its rack, from 0; its outlet on both PDUs is this plus one."""
        return np.asarray(np.arange(self.node_count) - self.rack_starts[self.rack_of])

    @cached_property
    def phase_of(self) -> NDArray[np.intp]:
        """Phase (0..2) that feeds each node: places 0, 1, 2, 3 sit on L1, L2, L3, L1."""
        return self.position_of % PHASES

    @cached_property
    def row_of(self) -> NDArray[np.intp]:
        """Row number of each node."""
        return self.rack_of // self.racks_per_row

    def racks_of_row(self, row: int) -> range:
        return range(row * self.racks_per_row, min((row + 1) * self.racks_per_row, self.rack_count))

    def nodes_of_row(self, row: int) -> range:
        racks = self.racks_of_row(row)
        return range(int(self.rack_starts[racks[0]]), int(self.rack_starts[racks[-1] + 1]))

    def nodes_of_rack(self, rack: int) -> range:
        return range(int(self.rack_starts[rack]), int(self.rack_starts[rack + 1]))

    @cached_property
    def overload_rack(self) -> int | None:
        """The rack that is dimensioned too tightly for one feed; the last, where it holds four nodes."""
        last = self.rack_count - 1
        return last if len(self.nodes_of_rack(last)) == 4 else None

    def rated_amperes(self, rack: int) -> float:
        """Rating of each phase of a rack's PDUs."""
        if rack == self.overload_rack:
            return OVERLOAD_RATED_AMPERES
        return AMPERES_PER_NODE_ON_A_PHASE * math.ceil(len(self.nodes_of_rack(rack)) / PHASES)

    def is_apc(self, rack: int) -> bool:
        """Every eighth rack from the third on, up to the number asked for."""
        return rack % 8 == 2 and rack // 8 < self.apc_rack_count and rack != self.overload_rack

    @cached_property
    def jobs(self) -> tuple[Job, ...]:
        """36, 10 and 6 of 64 nodes, scaled to the site; the rest stays idle."""
        share = self.node_count / 64
        train, research = max(1, round(36 * share)), max(1, round(10 * share))
        batch = max(1, min(round(6 * share), self.node_count - train - research))
        return (
            Job(name="train-a", namespace="training", tier="T2", priority=8_000, demand_watts=680.0, gang=True, ranks=train, max_unavailable=1),
            Job(name="research-b", namespace="research", tier="T3", priority=6_000, demand_watts=490.0, gang=False, ranks=research, max_unavailable=2),
            Job(name="batch-c", namespace="batch", tier="T4", priority=4_000, demand_watts=640.0, gang=False, ranks=batch, max_unavailable=None),
        )  # fmt: skip

    @cached_property
    def job_keys(self) -> tuple[str, ...]:
        return tuple(job.key for job in self.jobs)

    @cached_property
    def placement(self) -> Mapping[str, tuple[Job, int]]:
        """Node → (job, rank) at the start: the tight rack holds research, batch, batch and an idle host."""
        train, research, batch = self.jobs
        tight = (
            [self.nodes[i] for i in self.nodes_of_rack(self.overload_rack)] if self.overload_rack is not None else []
        )
        wanted = [(job, rank) for job in (research, batch) for rank in range(job.ranks)]
        placed: dict[str, tuple[Job, int]] = {}
        for node, job in zip(tight, (research, batch, batch), strict=False):
            pick = next((item for item in wanted if item[0] is job), None)
            if pick:
                wanted.remove(pick)
                placed[node] = pick
        free = [node for node in self.nodes if node not in tight]
        queue = [(train, rank) for rank in range(train.ranks)] + wanted
        return placed | dict(zip(free, queue, strict=False))
