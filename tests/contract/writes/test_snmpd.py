"""One SET, now or not at all, against net-snmp's snmpd: v2c and v3 (SHA-256 and SHA-1 with AES-128)."""

import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from devices.orders import Order, State, Verdict
from devices.wire.snmp_set import SnmpSetWriter, Timing
from devices.wire.snmp_set_engine import Engines
from fleet.clock import SystemClock
from fleet.model import AssetId, Endpoint, Wire
from tests.faults.write_device import free_port
from tests.faults.write_snmpd import AUTH_KEY, COMMUNITY, PRIV_KEY, V3_USER, Snmpd

pytestmark = pytest.mark.peer("snmpd")
V2C = {"version": "2c", "community": COMMUNITY}
V3 = {"version": "3", "user": V3_USER, "auth": "sha256", "auth_key": AUTH_KEY, "priv": "aes128", "priv_key": PRIV_KEY}
FAST = Timing(timeout_seconds=0.5, retries=2)


@pytest.fixture
def pdu(tmp_path: Path) -> Iterator[Snmpd]:
    agent = Snmpd(tmp_path / "pdu").start()
    yield agent
    agent.stop()


def order(address: str, verb: str = "outlet_off", **changes: object) -> Order:
    endpoint = Endpoint(
        asset=AssetId("pdu-1"), name="snmp", wire=Wire.SNMP, address=address, profile="eaton-epdu-g3", credentials="pdu", job="snmp"
    )  # fmt: skip
    whole = {
        "intent": "i1",
        "asset": AssetId("pdu-1"),
        "verb": verb,
        "arguments": {"outlet": "2"},
        "endpoint": endpoint,
        "secret": V3,
        "not_after_boottime_ns": SystemClock().boottime_ns() + 10**10,
        "effect_latency_seconds": 1.0,
    }
    return Order(**(whole | changes))


async def act(
    pdu: Snmpd, verb: str, *, writer: SnmpSetWriter | None = None, **changes: object
) -> tuple[Verdict, list[State]]:
    states: list[State] = []
    writer = writer or SnmpSetWriter(SystemClock(), timing=FAST)
    return await writer.act(order(pdu.address, verb, **changes), states.append), states


@pytest.mark.parametrize("secret", [V2C, V3], ids=["v2c", "v3-sha256-aes128"])
async def test_an_outlet_goes_off_and_on_by_one_set_each_and_is_read_back(
    pdu: Snmpd, secret: dict[str, object]
) -> None:
    off, states = await act(pdu, "outlet_off", secret=secret)
    on, _ = await act(pdu, "outlet_on", secret=secret)
    assert states == [State.SENT, State.ACKNOWLEDGED]
    assert (off.state, off.before, off.after) == (State.ACKNOWLEDGED, "on", "off")
    assert (on.state, on.before, on.after) == (State.ACKNOWLEDGED, "off", "on")
    assert [run.what for run in pdu.executions()] == ["3.0.2=0", "4.0.2=0"]
    assert pdu.states() == {"1": "on", "2": "on", "3": "on", "4": "on"}


async def test_sha1_users_are_spoken_to_too(tmp_path: Path) -> None:
    agent = Snmpd(tmp_path / "pdu", auth="SHA").start()
    try:
        verdict, _ = await act(agent, "outlet_off", secret=V3 | {"auth": "sha1"})
    finally:
        agent.stop()
    assert (verdict.state, verdict.after) == (State.ACKNOWLEDGED, "off")


async def test_a_goal_that_is_met_sends_nothing_and_says_so(pdu: Snmpd) -> None:
    verdict, states = await act(pdu, "outlet_on")
    assert (verdict.state, verdict.before, verdict.after) == (State.NOT_SENT, "on", "on")
    assert states == []
    assert pdu.executions() == []


async def test_an_outlet_that_the_pdu_does_not_have_is_not_commanded(pdu: Snmpd) -> None:
    verdict, _ = await act(pdu, "outlet_off", arguments={"outlet": "9"})
    assert verdict.state is State.NOT_SENT
    assert "outlet 9" in verdict.text
    assert pdu.executions() == []


@pytest.mark.parametrize("outlet", ["", "x", "1;2", "-1", "1..2", "1.2.3.4.5", "999999", None])
async def test_an_outlet_that_is_no_number_never_becomes_an_oid(pdu: Snmpd, outlet: object) -> None:
    verdict, _ = await act(pdu, "outlet_off", arguments={"outlet": outlet})
    assert verdict.state is State.NOT_SENT
    assert "is no outlet" in verdict.text
    assert pdu.executions() == []


async def test_a_wrong_key_is_refused_before_anything_is_sent(pdu: Snmpd) -> None:
    for secret in (V3 | {"auth_key": "another-key-1"}, V3 | {"user": "nobody"}, {"version": "2c", "community": "no"}):
        verdict, _ = await act(pdu, "outlet_off", secret=secret)
        assert verdict.state is State.NOT_SENT
    assert pdu.executions() == []


async def test_a_profile_without_switching_table_is_not_commanded(pdu: Snmpd) -> None:
    base = order(pdu.address)
    strange = Endpoint(
        asset=base.asset,
        name="snmp",
        wire=Wire.SNMP,
        address=pdu.address,
        profile="toaster",
        credentials="pdu",
        job="snmp",
    )
    verdict = await SnmpSetWriter(SystemClock(), timing=FAST).act(order(pdu.address, endpoint=strange), lambda _: None)
    assert verdict.state is State.NOT_SENT
    assert "eaton-epdu-g3" in verdict.text


async def test_nothing_is_sent_after_the_deadline(pdu: Snmpd) -> None:
    verdict, _ = await act(pdu, "outlet_off", not_after_boottime_ns=SystemClock().boottime_ns() + 1_000_000)
    assert verdict.state is State.NOT_SENT
    assert "time was over" in verdict.text
    assert pdu.executions() == []


async def test_an_intent_that_cannot_be_made_durable_is_not_sent(pdu: Snmpd) -> None:
    def full_disk(_intent: str, _note: str) -> None:
        raise OSError(28, "No space left on device")

    verdict, _ = await act(pdu, "outlet_off", writer=SnmpSetWriter(SystemClock(), remember=full_disk, timing=FAST))
    assert verdict.state is State.NOT_SENT
    assert "No space" in verdict.text
    assert pdu.executions() == []


async def test_the_intent_is_durable_before_the_outlet_moves(pdu: Snmpd) -> None:
    seen: list[int] = []
    writer = SnmpSetWriter(SystemClock(), remember=lambda _i, _n: seen.append(len(pdu.executions())), timing=FAST)
    await act(pdu, "outlet_off", writer=writer)
    assert seen == [0]


async def test_an_agent_with_a_new_engine_id_gets_a_new_engine_of_ours(tmp_path: Path) -> None:
    port = free_port()
    writer = SnmpSetWriter(SystemClock(), timing=FAST)
    for place in ("first", "second"):  # another persistent folder, another engine id, the same address
        agent = Snmpd(tmp_path / place, port=port).start()
        try:
            verdict, _ = await act(agent, "outlet_off", writer=writer)
            assert (verdict.state, verdict.after) == (State.ACKNOWLEDGED, "off")
            assert len(agent.executions()) == 1
        finally:
            agent.stop()


async def test_engines_are_shared_by_login_and_bounded() -> None:
    engines = Engines(limit=2)
    from devices.wire.snmp_set_engine import Login

    for community in ("a", "b", "a", "c"):
        async with engines.conversation(
            Login(community=community), "127.0.0.1", free_port(), timeout_seconds=0.1, retries=0
        ) as talk:
            assert talk.engine is not None
    assert len(engines._engines) == 2


async def test_a_dead_pdu_is_not_sent_to_and_costs_its_patience_only() -> None:
    started = time.monotonic()
    verdict = await SnmpSetWriter(SystemClock(), timing=Timing(timeout_seconds=0.1, retries=1)).act(
        order(f"127.0.0.1:{free_port()}", secret=V2C), lambda _: None
    )
    assert verdict.state is State.NOT_SENT
    assert time.monotonic() - started < 2


async def test_snmpget_sees_what_we_did(pdu: Snmpd) -> None:
    await act(pdu, "outlet_off", secret=V2C)
    said = subprocess.run(
        ["snmpget", "-v2c", "-c", COMMUNITY, "-On", "-Oqv", pdu.address, f"{Snmpd.BASE}.2.0.2"],
        capture_output=True, text=True, timeout=20, check=True,
    )  # fmt: skip
    assert said.stdout.strip() == "0"


async def test_settling_after_a_restart_reads_and_sends_nothing(pdu: Snmpd) -> None:
    writer = SnmpSetWriter(SystemClock(), timing=FAST)
    verdict = await writer.settle(order(pdu.address, effect_latency_seconds=0.1), "set", lambda _: None)
    assert (verdict.state, verdict.after) == (State.UNKNOWN, "on")
    assert pdu.executions() == []
