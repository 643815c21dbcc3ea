"""What the remediator asks of a scheduler, in its own words; the adapter to the wire lies in `cluster_reader.py`."""

from dataclasses import dataclass
from typing import Protocol

RUNNING = "Running"
FINISHED = frozenset({"Succeeded", "Failed"})


@dataclass(frozen=True, slots=True, kw_only=True)
class Pod:
    """One pod as the cluster has it."""

    namespace: str
    name: str
    uid: str
    node: str | None
    phase: str
    job: str | None = None
    """`namespace/name` of the job that owns it; None for what no job owns."""
    deleting: bool = False
    daemon: bool = False
    """Belongs to the node itself (a DaemonSet's, a static pod): it is no work."""

    @property
    def works(self) -> bool:
        """It is work that a node must be drained of."""
        return not self.daemon and self.phase not in FINISHED


@dataclass(frozen=True, slots=True, kw_only=True)
class NodeObject:
    """One node as the cluster has it."""

    name: str
    ready: bool | None
    """None: the cluster itself does not know."""
    unschedulable: bool
    out_of_service: bool
    heartbeat_at_ms: int | None = None
    """When its kubelet last renewed its lease; None where that is not told."""


@dataclass(frozen=True, slots=True, kw_only=True)
class JobObject:
    """One job as the cluster has it."""

    job: str
    suspended: bool
    tier: str = "T3"
    """`T0` (never touched) to `T5` (first); a job without one counts as research."""
    gpus: int = 0


class Cluster(Protocol):
    """Reads of one scheduler. Each raises `Unreachable` when it does not answer."""

    async def node(self, name: str) -> NodeObject: ...

    async def pods_on(self, node: str) -> tuple[Pod, ...]: ...

    async def pods_of(self, job: str) -> tuple[Pod, ...]: ...

    async def job(self, job: str) -> JobObject | None: ...
