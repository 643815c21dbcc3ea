"""A power limit over Redfish and a framework's checkpoint service: one request, guarded, looked at, whatever is lost."""

import json

import pytest

from devices.orders import VERBS, Order, State, Verdict
from devices.wire.hook_writer import HookWriter
from devices.wire.http_order import Timing
from devices.wire.redfish_writer import RedfishWriter
from fleet.clock import SystemClock
from fleet.model import AssetId, Endpoint, Wire
from fleet.secrets import Secrets
from remediator.actuator.process import writers
from tests.contract.agent.broken_server import Seen, broken, reply

CLOCK = SystemClock()
QUICK = Timing(answer_seconds=1.0, longest_poll_seconds=0.05)
CONTROL = "/redfish/v1/Chassis/HGX_GPU_SXM_1/Controls/PowerLimit_0"


def order(url: str, authority, verb: str, wire: Wire, **arguments: object) -> Order:
    endpoint = Endpoint(
        asset=AssetId("x"), name="x", wire=wire, address=url, profile="x", credentials="c", job="x"
    )  # fmt: skip
    secret = {"user": "cap", "password": "pw", "token": "t" * 20, "ca": str(authority.path)}
    return Order(
        intent="intent-1", asset=AssetId("x"), verb=verb, arguments=arguments, endpoint=endpoint, secret=Secrets(secret),
        not_after_boottime_ns=CLOCK.boottime_ns() + 10**10, effect_latency_seconds=0.2,
    )  # fmt: skip


class Bmc:
    """One control that keeps its set-point; `loses` swallows the answer to the write, after the effect."""

    def __init__(self, **control: object) -> None:
        self.control = {"ControlType": "Power", "SetPoint": 700, "SetPointUnits": "W", "AllowableMin": 200,
                        "AllowableMax": 700, "@odata.etag": 'W/"7"'} | control  # fmt: skip
        self.loses = False

    def __call__(self, seen: Seen) -> bytes | None:
        if seen.path != CONTROL:
            return reply({"error": "no"}, 404)
        if seen.method == "GET":
            return reply(self.control)
        if seen.headers.get("if-match") != self.control["@odata.etag"]:
            return reply({"error": "changed"}, 412)
        self.control |= {"SetPoint": seen.json["SetPoint"], "@odata.etag": 'W/"8"'}
        return None if self.loses else reply({}, 204)


async def limit(url: str, authority, **arguments: object) -> tuple[Verdict, list[State]]:
    states: list[State] = []
    wanted = order(
        url, authority, "redfish_power_limit", Wire.REDFISH, **({"control": CONTROL, "watts": 400} | arguments)
    )
    return await RedfishWriter(CLOCK, timing=QUICK).act(wanted, states.append), states


async def test_a_gpu_is_capped_once_for_the_version_that_was_seen(authority) -> None:
    bmc = Bmc()
    async with broken(authority, bmc) as server:
        verdict, states = await limit(server.url, authority)
        assert (verdict.state, verdict.before, verdict.after) == (State.ACKNOWLEDGED, "700 W", "400 W"), verdict.text
        assert [(write.method, write.json) for write in server.writes] == [("PATCH", {"SetPoint": 400.0})]
        assert server.writes[0].headers["authorization"].startswith("Basic ")
        again, states = await limit(server.url, authority)
        assert (again.state, states, len(server.writes)) == (State.NOT_SENT, [], 1)


async def test_a_lost_answer_is_looked_for_and_never_sent_again(authority) -> None:
    bmc = Bmc()
    bmc.loses = True
    async with broken(authority, bmc) as server:
        verdict, _ = await limit(server.url, authority)
        assert (verdict.state, verdict.after, len(server.writes)) == (State.UNKNOWN, "400 W", 1)


@pytest.mark.parametrize(("control", "arguments", "text"), [
    ({}, {"watts": 150}, "outside what"), ({"AllowableMin": None}, {}, "does not say"), ({"SetPointUnits": "%"}, {}, "not power in W"),
    ({"ControlType": "Temperature"}, {}, "Temperature"), ({}, {"control": "/redfish/v1/Systems/1/Actions/ComputerSystem.Reset"}, "Controls"),
    ({}, {"control": CONTROL.replace("HGX_GPU_SXM_1", "..")}, "try"), ({}, {"watts": True}, "try a number"),
])  # fmt: skip
async def test_what_is_no_power_limit_within_its_bounds_is_never_written(authority, control, arguments, text) -> None:
    async with broken(authority, Bmc(**control)) as server:
        verdict, states = await limit(server.url, authority, **arguments)
        assert (verdict.state, states, server.writes) == (State.NOT_SENT, [], [])
        assert text in verdict.text


async def test_a_framework_is_asked_for_a_checkpoint_once(authority) -> None:
    state = {"state": "none"}

    def service(seen: Seen) -> bytes:
        assert seen.path == "/v1/jobs/training/llama/checkpoint"
        if seen.method == "PUT":
            state.update(state="done", intent=json.loads(seen.body)["intent"])
        return reply(state)

    async with broken(authority, service) as server:
        wanted = order(server.url, authority, "checkpoint_http", Wire.HOOK, job="training/llama", deadline_seconds=20)
        verdict = await HookWriter(CLOCK, timing=QUICK).act(wanted, lambda state: None)
        assert (verdict.state, verdict.after, len(server.writes)) == (State.ACKNOWLEDGED, "done", 1), verdict.text


def test_every_wire_that_carries_orders_has_a_writer_in_the_actuator() -> None:
    made = writers(CLOCK, lambda intent, note: None)
    assert set(made) == set(VERBS.values())
    for make in made.values():
        make()
