"""Carries out the Slurm verbs: a look by slurmrestd, one request (`scontrol`, or slurmrestd for a signal), a look again."""

import os
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from devices.orders import Order
from devices.wire.http_order import Seen, Subject
from devices.wire.once import Call, Courier
from devices.wire.order_writer import OrderWriter
from devices.wire.scontrol import Scontrol
from devices.wire.slurm_objects import SlurmJob, SlurmNode
from devices.wire.slurm_reader import SlurmReader
from fleet.errors import Refused
from fleet.secrets import reveal

OURS = "hallkeeper"
"""Begins the reason of every drain and the name of every reservation of ours: only these are taken back."""
SIGNALS = frozenset({"USR1", "USR2"})
"""Those that jobs are taught to checkpoint on; none that ends or stops a process."""
LONGEST_RESERVATION_MINUTES = 7 * 24 * 60

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,62}")
_HOSTS = re.compile(r"[A-Za-z0-9][A-Za-z0-9._,\[\]-]{0,4000}")


class SlurmWriter(OrderWriter):
    """One cluster's writer: the verbs of the closed list and nothing else.

    What an earlier process began ended with that process: nothing is left to fence.
    """

    def prepared(self, order: Order) -> tuple[Courier, Subject]:
        reader = SlurmReader.of(order.endpoint, order.secret)
        subject = _subject(order, reader)
        return (reader.peer if order.verb == "slurm_signal" else self._scontrol(order)), subject

    def _scontrol(self, order: Order) -> Scontrol:
        """The token goes by the environment, never by arguments that others can read.

        With `auth: munge` in the secret the user of this process is believed instead: 22.05's scontrol cannot decode the
        answers to suspend and resume when it holds a token (seen), so that with one they end as unknown and are read.
        """
        environment = {"PATH": os.environ.get("PATH", "/usr/bin:/bin"), "LC_ALL": "C"}
        if reveal(order.secret.get("auth", "jwt")) != "munge":
            environment["SLURM_JWT"] = reveal(order.secret["token"])
        if "conf" in order.secret:
            environment["SLURM_CONF"] = reveal(order.secret["conf"])
        return Scontrol(clock=self._clock, not_after_boottime_ns=order.not_after_boottime_ns, environment=environment)


def _subject(order: Order, reader: SlurmReader) -> Subject:
    """The object of the verb. Raises `Refused` for another verb and `ValueError` for arguments that are none."""
    make = _SUBJECTS.get(order.verb)
    if make is None:
        raise Refused(f"{order.verb!r} is no verb of Slurm, try one of devices.orders.VERBS")
    return make(order, reader)


def _name(arguments: Mapping[str, object], key: str) -> str:
    value = arguments.get(key)
    if not isinstance(value, str) or not _NAME.fullmatch(value):
        raise ValueError(f"{key} is {value!r}, try a name of letters, digits, '-', '_' and '.'")
    return value


def _number(arguments: Mapping[str, object], key: str, high: int) -> int:
    value = arguments.get(key)
    number = int(value) if isinstance(value, str) and value.isascii() and value.isdigit() else value
    if not isinstance(number, int) or isinstance(number, bool) or not 1 <= number <= high:
        raise ValueError(f"{key} is {value!r}, try a whole number from 1 to {high}")
    return number


def _scontrol(*arguments: str) -> Call:
    return Call(method="scontrol", path="", arguments=arguments)


@dataclass(slots=True)
class _Drain:
    """Whether Slurm puts new work on a node. A drain that somebody else made stays theirs."""

    reader: SlurmReader
    name: str
    wanted: bool
    intent: str

    async def look(self) -> Seen:
        node = await self._node()
        return Seen(node.word, node.drained is self.wanted)

    async def _node(self) -> SlurmNode:
        node = await self.reader.node(self.name)
        if node is None:
            raise Refused(f"{self.reader.peer.where}: there is no node {self.name}, try its name in slurm.conf")
        if not self.wanted and node.drained and not node.reason.startswith(OURS):
            raise Refused(f"{self.name} is drained by somebody else ({node.reason[:80]!r}): theirs to give back")
        return node

    def call(self) -> Call:
        state = ("State=DRAIN", f"Reason={OURS} {self.intent[:64]}") if self.wanted else ("State=RESUME",)
        return _scontrol("update", f"NodeName={self.name}", *state)


@dataclass(slots=True)
class _Admissions:
    """Whether jobs of a partition may start; running ones are not touched."""

    reader: SlurmReader
    name: str
    wanted: str

    async def look(self) -> Seen:
        partition = await self.reader.partition(self.name)
        if partition is None:
            raise Refused(f"{self.reader.peer.where}: there is no partition {self.name}")
        return Seen(partition.word, self.wanted in partition.states)

    def call(self) -> Call:
        return _scontrol("update", f"PartitionName={self.name}", f"State={self.wanted.upper()}")


@dataclass(slots=True)
class _Job:
    """One job and what it shall be."""

    reader: SlurmReader
    job_id: int
    command: str
    from_states: frozenset[str]
    """States from which the command makes sense; another one refuses it before it is sent."""
    met: Callable[[SlurmJob], bool]

    async def look(self) -> Seen:
        job = await _job(self.reader, self.job_id)
        return Seen(job.word, self.met(job), final=not job.states & self.from_states)

    def call(self) -> Call:
        return _scontrol(self.command, str(self.job_id))


async def _job(reader: SlurmReader, job_id: int) -> SlurmJob:
    job = await reader.job(job_id)
    if job is None:
        raise Refused(f"{reader.peer.where}: there is no job {job_id}, it may have ended")
    return job


@dataclass(slots=True)
class _Requeue:
    """A job back in its queue: one restart more than it had when this was decided, which makes it absolute."""

    reader: SlurmReader
    job_id: int
    restarts: int

    async def look(self) -> Seen:
        job = await _job(self.reader, self.job_id)
        return Seen(f"{job.word}, restarted {job.restarts} times", job.restarts > self.restarts)

    def call(self) -> Call:
        return _scontrol("requeue", str(self.job_id))


@dataclass(slots=True)
class _Signal:
    """A signal to every process of a job. What the job makes of it is seen elsewhere."""

    reader: SlurmReader
    job_id: int
    signal: str

    async def look(self) -> Seen:
        job = await _job(self.reader, self.job_id)
        if "running" not in job.states:
            raise Refused(f"job {self.job_id} is {job.word}: only a running one takes signals")
        return Seen(job.word, goal=False, final=True)

    def call(self) -> Call:
        return Call(method="DELETE", path=f"/slurm/{self.reader.api}/job/{self.job_id}?signal={self.signal}")


@dataclass(slots=True)
class _Reservation:
    """Nodes set aside under a name of ours; a name that is taken is refused by the controller."""

    reader: SlurmReader
    name: str
    creation: tuple[str, ...] | None
    """What it is made with; None deletes it."""

    async def look(self) -> Seen:
        found = await self.reader.reservation(self.name)
        return Seen(
            "absent" if found is None else f"reserves {found.nodes}", (found is None) is (self.creation is None)
        )

    def call(self) -> Call:
        if self.creation is None:
            return _scontrol("delete", f"ReservationName={self.name}")
        return _scontrol("create", "reservation", f"ReservationName={self.name}", *self.creation)


def _reservation(order: Order, reader: SlurmReader) -> Subject:
    name = _name(order.arguments, "name")
    if not name.startswith(OURS):
        raise ValueError(f"name is {name!r}, try one that begins with {OURS}: others' reservations are theirs")
    if order.verb == "slurm_unreserve":
        return _Reservation(reader, name, None)
    nodes = order.arguments.get("nodes")
    nodes = ",".join(nodes) if isinstance(nodes, list | tuple) and all(isinstance(n, str) for n in nodes) else nodes
    if not isinstance(nodes, str) or not _HOSTS.fullmatch(nodes):
        raise ValueError(f"nodes is {nodes!r}, try a list of node names")
    minutes = _number(order.arguments, "minutes", LONGEST_RESERVATION_MINUTES)
    user = reveal(order.secret["user"])
    made = (f"Nodes={nodes}", "StartTime=now", f"Duration={minutes}", f"Users={user}", "Flags=maint,ignore_jobs")
    return _Reservation(reader, name, made)


def _signal(order: Order, reader: SlurmReader) -> Subject:
    signal = order.arguments.get("signal")
    if signal not in SIGNALS:
        raise ValueError(f"signal is {signal!r}, try one of {', '.join(sorted(SIGNALS))}")
    return _Signal(reader, _job_id(order), str(signal))


def _requeue(order: Order, reader: SlurmReader) -> Subject:
    restarts = order.arguments.get("restarts")
    if not isinstance(restarts, int) or isinstance(restarts, bool) or restarts < 0:
        raise ValueError(f"restarts is {restarts!r}, try the restart count that the job has now")
    return _Requeue(reader, _job_id(order), restarts)


def _job_id(order: Order) -> int:
    return _number(order.arguments, "job_id", 2**31 - 1)


def _drain(order: Order, reader: SlurmReader) -> Subject:
    return _Drain(reader, _name(order.arguments, "node"), order.verb == "slurm_drain", order.intent)


def _admissions(order: Order, reader: SlurmReader) -> Subject:
    wanted = "down" if order.verb == "slurm_stop_admissions" else "up"
    return _Admissions(reader, _name(order.arguments, "partition"), wanted)


def _of_job(
    command: str, states: frozenset[str], met: Callable[[SlurmJob], bool]
) -> Callable[[Order, SlurmReader], Subject]:
    return lambda order, reader: _Job(reader, _job_id(order), command, states, met)


_STOPPABLE = frozenset({"running", "suspended"})
_QUEUED = frozenset({"pending"})
_SUBJECTS: Mapping[str, Callable[[Order, SlurmReader], Subject]] = {
    "slurm_drain": _drain,
    "slurm_resume": _drain,
    "slurm_requeue": _requeue,
    "slurm_suspend": _of_job("suspend", _STOPPABLE, lambda job: "suspended" in job.states),
    "slurm_unsuspend": _of_job("resume", _STOPPABLE, lambda job: "running" in job.states),
    "slurm_hold": _of_job("hold", _QUEUED, lambda job: job.held),
    "slurm_release": _of_job("release", _QUEUED, lambda job: not job.held),
    "slurm_signal": _signal,
    "slurm_reserve": _reservation,
    "slurm_unreserve": _reservation,
    "slurm_stop_admissions": _admissions,
    "slurm_allow_admissions": _admissions,
}
