"""The agent's repairs as an order sees them: a GPU reset or a reboot, for one boot of the machine."""

import re
from collections.abc import Mapping
from dataclasses import dataclass

import msgspec

from devices.wire.agent_protocol import Repair, decoded
from devices.wire.http_order import Seen
from devices.wire.once import Call, Peer
from fleet.errors import Refused

_BOOT = re.compile(r"[A-Za-z0-9-]{1,128}")


def gpu_numbers(arguments: Mapping[str, object]) -> list[int] | None:
    """The GPUs that are meant, None (or `all`) for all of the node. Raises `ValueError`."""
    wanted = arguments.get("gpus")
    if wanted is None or wanted == "all":
        return None
    if not isinstance(wanted, list | tuple) or not wanted or not all(type(number) is int for number in wanted):
        raise ValueError(f"gpus is {wanted!r}, try a list of GPU numbers")
    return sorted(set(wanted))


@dataclass(slots=True)
class Repairing:
    """A machine that repairs itself, once for this intent. A reboot is seen by another boot id and nothing else.

    The boot is pinned by the first look where the order does not name it, so that a copy that comes after the restart is for
    a boot that is over.
    """

    peer: Peer
    intent: str
    verb: str
    arguments: Mapping[str, object]
    _boot: str | None = None

    def __post_init__(self) -> None:
        boot = self.arguments.get("boot_id")
        if boot is not None and (not isinstance(boot, str) or not _BOOT.fullmatch(boot)):
            raise ValueError(f"boot_id is {boot!r}, try the one that the agent says")
        gpu_numbers(self.arguments)
        self._boot = boot

    async def look(self) -> Seen:
        """`idle`, `running`, `done`, `failed` or `restarted`."""
        answer = await self.peer.get("/v1/repair")
        if answer.status != 200:
            raise Refused(f"{self.peer.where}: status {answer.status} for its repairs, try the agent's version")
        repair = decoded(answer.body, Repair, self.peer.where)
        self._boot = self._boot or repair.boot_id
        ours_before = repair.intent == self.intent and repair.taken_in not in {None, repair.boot_id}
        if self.verb == "reboot" and (repair.boot_id != self._boot or ours_before):
            return Seen("restarted", goal=True)
        if repair.intent != self.intent:
            return Seen("idle", goal=False)
        done = repair.state == "done"
        return Seen(repair.state, goal=done and self.verb == "gpu_reset", final=repair.state == "failed")

    def call(self) -> Call:
        asked: dict[str, object] = {"intent": self.intent, "boot_id": self._boot}
        if self.verb == "gpu_reset":
            asked["gpus"] = gpu_numbers(self.arguments)
        path = "/v1/gpus/reset" if self.verb == "gpu_reset" else "/v1/reboot"
        return Call(method="PUT", path=path, body=msgspec.json.encode(asked))
