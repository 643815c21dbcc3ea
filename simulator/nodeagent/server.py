"""One node's agent: what it answers to each request."""

import asyncio
import hmac
import time
from collections.abc import Callable, Mapping
from typing import TypeVar

import msgspec

from simulator.http import Request, Response, json_response
from simulator.identity import derived_uuid, gpu_uuid
from simulator.layout import GPUS
from simulator.machines import DEFAULT_CAP_WATTS, MIN_CAP_WATTS
from simulator.nodeagent.jobs import Checkpoints
from simulator.nodeagent.repairs import Repairs
from simulator.nodeagent.requests import CheckpointRequest, GpuResetRequest, PowerLimitRequest, RebootRequest, Refusal
from simulator.plant import Plant
from simulator.truth import GroundTruth

EVENTS_IN_AN_ANSWER = 1_000
MOST_INTENTS = 10_000
LONGEST_WAIT_SECONDS = 60.0
HEARTBEAT_SECONDS = 2.0

Wanted = TypeVar("Wanted", PowerLimitRequest, CheckpointRequest, GpuResetRequest, RebootRequest)


class NodeAgent:
    """Answers for one node."""

    def __init__(self, *, plant: Plant, node: int, jobs_of: Callable[[str], list[str]], checkpoints: Checkpoints, truth: GroundTruth,
                 tokens: Mapping[str, bool], unix_seconds_at: Callable[[float], float], speed: float, run_id: str) -> None:  # fmt: skip
        self.plant = plant
        self.node = node
        self.name = plant.layout.nodes[node]
        self._jobs_of = jobs_of
        self._checkpoints = checkpoints
        self._truth = truth
        self._tokens = tokens
        """Token → whether it may write."""
        self._unix_seconds_at = unix_seconds_at
        self._speed = speed
        self._run_id = run_id
        self._uuids = [gpu_uuid(self.name, gpu) for gpu in range(GPUS)]
        self._repairs = Repairs(plant, node, self.boot_id, lambda: jobs_of(self.name), _now_ms)
        self._intents: dict[str, bytes] = {}
        self._waiting: list[asyncio.Future[None]] = []

    def handle(self, request: Request) -> "Response | asyncio.Future[Response]":
        """The answer to one request; the long poll for events answers later."""
        try:
            may_write = self._authorise(request)
            return self._read(request) if request.method == "GET" else self._write(request, may_write=may_write)
        except Refusal as refusal:
            if request.method != "GET":
                self._note(request, accepted=False, executed=False, note=str(refusal))
            return json_response({"error": str(refusal), "try": refusal.hint}, refusal.status)

    def _authorise(self, request: Request) -> bool:
        given = request.header("authorization").removeprefix("Bearer ")
        for token, may_write in self._tokens.items():
            if hmac.compare_digest(token.encode(), given.encode()):
                return may_write
        raise Refusal(401, "unknown token", "Authorization: Bearer <token>")

    def unheard(self, request: Request) -> None:
        """A request that reached a silent node."""
        if request.method != "GET":
            self._note(request, accepted=False, executed=False, note="silenced by a fault")

    # Reading ---------------------------------------------------------------------------------------------------------

    def _read(self, request: Request) -> "Response | asyncio.Future[Response]":
        match request.segments:
            case ("v1", "heartbeat"):
                uptime = self._uptime_seconds()
                return json_response(
                    {"node": self.name, "boot_id": self.boot_id(), "uptime_seconds": uptime, "at": self._clock_ms(), "sequence": int(uptime / HEARTBEAT_SECONDS)}
                )  # fmt: skip
            case ("v1", "readings"):
                return json_response(self._readings())
            case ("v1", "repair"):
                return json_response(self._repairs.as_json())
            case ("v1", "events"):
                return self._events(request)
            case ("v1", "jobs", namespace, name, "checkpoint"):
                return json_response(self._checkpoints.of(f"{namespace}/{name}"))
            case _:
                raise Refusal(404, f"nothing is at {request.path}", "/v1/heartbeat, /v1/readings, /v1/events")

    def boot_id(self) -> str:
        return str(derived_uuid("boot", self._run_id, self.name, int(self.plant.machines.boots[self.node])))

    def _clock_ms(self) -> int:
        """The node's own clock, right or wrong."""
        return _now_ms() + round(1000.0 * float(self.plant.clock_offset_seconds[self.node]))

    def _uptime_seconds(self) -> float:
        return round((self.plant.now - float(self.plant.machines.booted_at[self.node])) / self._speed, 3)

    def _readings(self) -> dict[str, object]:
        machines, node = self.plant.machines, self.node
        watts, caps = machines.gpu_watts[node].tolist(), machines.cap_set[node].tolist()
        celsius, present = machines.gpu_celsius[node].tolist(), machines.present[node].tolist()
        return {
            "at": self._clock_ms(),
            "boot_id": self.boot_id(),
            "uptime_seconds": self._uptime_seconds(),
            "gpus": [
                {
                    "gpu": gpu,
                    "uuid": self._uuids[gpu],
                    "power_watts": round(watts[gpu], 1),
                    "power_limit_watts": caps[gpu],
                    "default_power_limit_watts": DEFAULT_CAP_WATTS,
                    "min_power_limit_watts": MIN_CAP_WATTS,
                    "max_power_limit_watts": DEFAULT_CAP_WATTS,
                    "temperature_celsius": round(celsius[gpu]),
                }
                for gpu in range(GPUS)
                if present[gpu]
            ],
            "jobs": [
                {"job": job, "checkpoint_age_seconds": round(self._checkpoints.age_seconds(job), 1)}
                for job in self._jobs_of(self.name)
            ],
        }

    # Events ----------------------------------------------------------------------------------------------------------

    def _events(self, request: Request) -> "Response | asyncio.Future[Response]":
        query = request.query
        try:
            after, wait = int(query.get("after", "0")), min(float(query.get("wait_seconds", "0")), LONGEST_WAIT_SECONDS)
        except ValueError as error:
            raise Refusal(422, f"{error}", "after=<number>&wait_seconds=<seconds>") from error
        if len(self.plant.events[self.node]) > after or wait <= 0.0:
            return self._events_after(after)
        return asyncio.ensure_future(self._wait(after, wait))

    async def _wait(self, after: int, seconds: float) -> Response:
        woken: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._waiting.append(woken)
        await asyncio.wait((woken,), timeout=seconds)
        if woken in self._waiting:
            self._waiting.remove(woken)
        return self._events_after(after)

    def wake(self) -> None:
        """Called when the node has a new event."""
        waiting, self._waiting = self._waiting, []
        for one in waiting:
            if not one.done():
                one.set_result(None)

    def _events_after(self, after: int) -> Response:
        events = self.plant.events[self.node]
        part = list(enumerate(events, start=1))[max(0, after) :][:EVENTS_IN_AN_ANSWER]
        return json_response(
            {
                "boot_id": self.boot_id(),
                "cursor": part[-1][0] if part else len(events),
                "oldest": 1,
                "events": [
                    {"id": number, "at": int(self._unix_seconds_at(event.at_seconds) * 1000), "kind": event.kind, "code": event.code, "gpu": event.gpu, "text": event.text}
                    for number, event in part
                ],
            }
        )  # fmt: skip

    # Writing ---------------------------------------------------------------------------------------------------------

    def _write(self, request: Request, *, may_write: bool) -> Response:
        if not may_write:
            raise Refusal(403, "this token may only read", "the write token")
        match (request.method, *request.segments):
            case ("PUT", "v1", "gpus", "power-limit"):
                return self._limit(request)
            case ("PUT", "v1", "gpus", "reset"):
                return self._repaired(request, self._repairs.reset(_decode(request.body, GpuResetRequest)))
            case ("PUT", "v1", "reboot"):
                return self._repaired(request, self._repairs.reboot(_decode(request.body, RebootRequest)))
            case ("PUT", "v1", "jobs", namespace, name, "checkpoint"):
                return self._checkpoint(request, f"{namespace}/{name}")
            case _:
                raise Refusal(404, f"nothing takes {request.method} {request.path}", "PUT /v1/gpus/power-limit")

    def _seen_before(self, intent: str, request: Request) -> bool:
        """Whether this intent acted already. Raises `Refusal` where it named something else."""
        what = request.path.encode() + b"\n" + request.body
        known = self._intents.setdefault(intent, what)
        if known is what:
            while len(self._intents) > MOST_INTENTS:
                self._intents.pop(next(iter(self._intents)))
            return False
        if known != what:
            raise Refusal(409, f"intent {intent} asked for something else before", "a new intent")
        return True

    def _limit(self, request: Request) -> Response:
        wanted = _decode(request.body, PowerLimitRequest)
        present = self.plant.machines.present[self.node]
        chosen = wanted.gpus if wanted.gpus is not None else [gpu for gpu in range(GPUS) if present[gpu]]
        absent = [gpu for gpu in chosen if not present[gpu]]
        if absent:
            raise Refusal(409, f"GPU {absent[0]} is not there", f"gpus: {[gpu for gpu in chosen if present[gpu]]}")
        repeated = self._seen_before(wanted.intent, request)
        self._note(request, accepted=True, executed=not repeated)
        if not repeated:
            self.plant.limit_power(self.node, chosen, wanted.watts)
        caps = self.plant.machines.cap_set[self.node].tolist()
        return json_response({"gpus": [{"gpu": gpu, "power_limit_watts": caps[gpu]} for gpu in chosen]})

    def _checkpoint(self, request: Request, job: str) -> Response:
        wanted = _decode(request.body, CheckpointRequest)
        if job not in self._jobs_of(self.name):
            raise Refusal(404, f"job {job} has no process on {self.name}", f"one of {self._jobs_of(self.name)}")
        repeated = self._seen_before(wanted.intent, request)
        if not repeated and not self._checkpoints.ask(job, wanted.intent, wanted.deadline_seconds):
            raise Refusal(409, f"job {job} is making a checkpoint already", "wait for it to be done")
        self._note(request, accepted=True, executed=not repeated)
        return json_response(self._checkpoints.of(job), 202)

    def _repaired(self, request: Request, fresh: bool) -> Response:
        self._note(request, accepted=True, executed=fresh)
        return json_response(self._repairs.as_json(), 202)

    def _note(self, request: Request, *, accepted: bool, executed: bool, note: str = "") -> None:
        match (request.method, *request.segments):
            case ("PUT", "v1", "gpus", "power-limit"):
                verb = "gpu_power_limit"
            case ("PUT", "v1", "gpus", "reset"):
                verb = "gpu_reset"
            case ("PUT", "v1", "reboot"):
                verb = "reboot"
            case ("PUT", "v1", "jobs", _, _, "checkpoint"):
                verb = "checkpoint"
            case _:
                verb = f"{request.method} {request.path}"
        try:
            body = msgspec.json.decode(request.body) if request.body else {}
        except msgspec.DecodeError:
            body = {"undecodable_bytes": len(request.body)}
        arguments: dict[str, object] = {"path": request.path, **(body if isinstance(body, dict) else {"body": body})}
        self._truth.record(
            device=self.name, server="agent", verb=verb, arguments=arguments, request_id=str(arguments.get("intent", "")),
            accepted=accepted, executed=executed, note=note,
        )  # fmt: skip


def _decode(body: bytes, kind: type[Wanted]) -> Wanted:
    try:
        return msgspec.json.decode(body, type=kind)
    except msgspec.ValidationError as error:
        raise Refusal(422, str(error), "the fields of protocol version 1") from error
    except msgspec.DecodeError as error:
        raise Refusal(400, str(error), "a JSON object") from error


def _now_ms() -> int:
    return time.time_ns() // 1_000_000
