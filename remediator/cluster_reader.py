"""The remediator's view of a scheduler, over the Kubernetes reader."""

from collections.abc import Awaitable
from typing import TypeVar

import structlog

from devices.wire.kubernetes import KubernetesReader
from devices.wire.kubernetes import Pod as WirePod
from fleet.clock import Clock, within
from fleet.errors import HallkeeperError, Unreachable
from fleet.model import Kind, Site, Wire
from fleet.secrets import read_secret, secret_path
from remediator.cluster import JobObject, NodeObject, Pod
from remediator.shed import tier_of

READ_SECONDS = 5.0

log = structlog.get_logger("hallkeeper.remediator")

T = TypeVar("T")


class KubernetesCluster:
    """Each read asks the API server itself: what is about to be acted upon is never taken from a copy."""

    def __init__(self, reader: KubernetesReader, clock: Clock) -> None:
        self._reader = reader
        self._clock = clock

    async def node(self, name: str) -> NodeObject:
        """The node as it is now. Raises `Unreachable` also where there is none."""
        found = await self._in_time(self._reader.node(name))
        if found is None:
            raise Unreachable(f"the scheduler knows no node {name}")
        return NodeObject(
            name=found.name,
            ready=found.ready,
            unschedulable=found.unschedulable,
            out_of_service=found.out_of_service,
        )

    async def pods_on(self, node: str) -> tuple[Pod, ...]:
        """Every pod bound to the node."""
        return tuple(pod_of(pod) for pod in await self._in_time(self._reader.pods_on(node)))

    async def pods_of(self, job: str) -> tuple[Pod, ...]:
        """Every pod of a job."""
        namespace, _, name = job.partition("/")
        return tuple(pod_of(pod) for pod in await self._in_time(self._reader.pods_of_job(namespace, name)))

    async def job(self, job: str) -> JobObject | None:
        """The job as it is now."""
        namespace, _, name = job.partition("/")
        found = await self._in_time(self._reader.job(namespace, name))
        if found is None:
            return None
        return JobObject(job=job, suspended=found.suspended, tier=tier_of(found.priority_class), gpus=found.gpus)

    async def close(self) -> None:
        """Give its connections back."""
        await self._reader.close()

    async def _in_time(self, read: Awaitable[T]) -> T:
        try:
            return await within(self._clock, READ_SECONDS, read)
        except TimeoutError as error:
            raise Unreachable(f"the scheduler did not answer within {READ_SECONDS:g} s") from error


def pod_of(pod: WirePod) -> Pod:
    """A pod in the remediator's words."""
    return Pod(
        namespace=pod.namespace,
        name=pod.name,
        uid=pod.uid,
        node=pod.node,
        phase=pod.phase,
        job=pod.job,
        deleting=pod.deletion_timestamp is not None,
        daemon=pod.daemonset,
    )


def open_cluster(site: Site, clock: Clock) -> KubernetesCluster | None:
    """The site's scheduler with its read credentials; None where the inventory names none that can be read."""
    for scheduler in site.of_kind(Kind.SCHEDULER):
        endpoint = scheduler.endpoint("api")
        reference = None if endpoint is None else site.credentials_for(endpoint, write=False)
        if endpoint is None or endpoint.wire is not Wire.KUBERNETES or reference is None:
            continue
        try:
            secret = dict(read_secret(reference, base=site.base))
            if isinstance(secret.get("ca"), str):
                secret["ca"] = str(secret_path(reference, base=site.base).parent / str(secret["ca"]))
            return KubernetesCluster(KubernetesReader(endpoint, secret, clock), clock)
        except HallkeeperError as error:
            log.error("scheduler cannot be read", scheduler=str(scheduler.id), why=str(error))
    return None
