"""The BMC poller against OpenIPMI's ipmi_sim: one session kept, sensors by meaning, the event log's tail once."""

import asyncio
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest

from collectors.ipmi import IpmiPoller, open_poller
from devices.wire import ipmi_reader
from fleet.clock import SystemClock
from fleet.errors import Refused, Unreachable
from fleet.model import AssetId, Endpoint, Wire
from tests.faults.write_peers import PASSWORD, IpmiSim

pytestmark = pytest.mark.peer("ipmi_sim")
BOTH = frozenset({"bmc", "sel"})
FAST = frozenset({"bmc"})


@pytest.fixture
def bmc(tmp_path: Path) -> Iterator[IpmiSim]:
    sim = IpmiSim(tmp_path / "bmc", sixbit_fan=True).start()
    yield sim
    sim.stop()


def opened(bmc: IpmiSim, **changes: object) -> IpmiPoller:
    endpoint = Endpoint(
        asset=AssetId("n1"),
        name="bmc",
        wire=Wire.IPMI,
        address=bmc.address,
        profile="openbmc",
        credentials="b",
        job="ipmi",
    )
    secret = {"user": "reader", "password": PASSWORD, "suite": 3} | changes
    return open_poller(endpoint, secret, None, SystemClock())


@pytest.fixture
async def poller(bmc: IpmiSim) -> AsyncIterator[IpmiPoller]:
    made = opened(bmc)
    yield made
    await made.close()


async def test_a_user_of_the_lowest_privilege_reads_power_sensors_and_log(poller: IpmiPoller) -> None:
    poll = await poller.poll(BOTH)
    found = {
        series: value
        for reading in poll.readings
        for series, value in zip(reading.series, reading.values.tolist(), strict=True)
    }
    assert found["bmc_power_state", ()] == 1.0
    assert found["bmc_inlet_temperature_celsius", ()] == 42.0
    fans = {labels: value for (name, labels), value in found.items() if name == "bmc_fan_speed_rpm"}
    assert list(fans.values()) == [150.0 * 40]
    assert found["bmc_sel_entries_count", ()] == 2.0
    assert [(event.kind, event.code, event.severity) for event in poll.events] == [
        ("sel", "0xc:0x0", "warning"),
        ("sel", "0x8:0x3", "critical"),
    ]
    assert poll.events[1].text.endswith("input lost")


async def test_each_record_is_told_once_and_one_session_serves_every_poll(poller: IpmiPoller) -> None:
    first = await poller.poll(BOTH)
    client = poller._reader._client
    for _ in range(5):
        assert (await poller.poll(BOTH)).events == ()
    assert poller._reader._client is client
    assert len(first.events) == 2


async def test_only_what_is_due_is_asked(poller: IpmiPoller) -> None:
    poll = await poller.poll(FAST)
    assert [reading.signal for reading in poll.readings] == ["bmc"]
    assert poll.events == ()


async def test_the_power_state_follows_the_chassis(poller: IpmiPoller, bmc: IpmiSim) -> None:
    bmc.set_power("off")
    (reading,) = (await poller.poll(FAST)).readings
    assert reading.values[reading.series.index(("bmc_power_state", ()))] == 0.0
    assert bmc.executions() == []


async def test_a_bmc_that_went_away_is_unreachable_and_read_again_when_it_returns(
    poller, bmc: IpmiSim, monkeypatch
) -> None:
    monkeypatch.setattr(ipmi_reader, "PATIENCE", ipmi_reader.Patience(timeout_seconds=0.3, tries=2, logins=1))
    await poller.poll(FAST)
    poller._reader._client.patience = ipmi_reader.PATIENCE
    bmc.stop()
    for _ in range(2):
        with pytest.raises(Unreachable):
            await poller.poll(FAST)
    monkeypatch.setattr("tests.faults.write_peers.free_port", lambda port=bmc.port: port)
    bmc.start()
    assert (await poller.poll(BOTH)).readings


async def test_a_session_that_the_bmc_forgot_is_opened_again(poller, bmc: IpmiSim, monkeypatch) -> None:
    from devices.wire import rmcp_bmc

    await poller.poll(FAST)
    await rmcp_bmc.chassis_status(poller._reader._client)
    await poller._reader._client.close_session()
    with pytest.raises(Unreachable):
        await poller.poll(FAST)
    assert (await poller.poll(FAST)).readings


async def test_a_wrong_password_is_refused_and_never_shown(bmc: IpmiSim) -> None:
    poller = opened(bmc, password="guess-guess")
    with pytest.raises(Refused) as caught:
        await poller.poll(FAST)
    assert "guess" not in str(caught.value)
    await poller.close()


@pytest.mark.parametrize("secret", [{"suite": 0}, {"suite": "x"}, {"suite": None}])
def test_a_suite_that_is_none_or_not_safe_is_refused_before_anything_is_sent(
    bmc: IpmiSim, secret: dict[str, object]
) -> None:
    with pytest.raises(Refused):
        opened(bmc, **secret)


async def test_a_slow_repository_is_read_over_several_polls_while_power_is_told(poller, monkeypatch) -> None:
    monkeypatch.setattr(ipmi_reader, "REPOSITORY_SECONDS", -1.0)
    (first,) = (await poller.poll(FAST)).readings
    assert [name for name, _ in first.series] == ["bmc_power_state"]
    for _ in range(4):
        (later,) = (await poller.poll(FAST)).readings
    assert ("bmc_inlet_temperature_celsius", ()) in later.series


async def test_a_cancelled_poll_ends_its_session(poller: IpmiPoller) -> None:
    await poller.poll(FAST)
    task = asyncio.create_task(poller.poll(BOTH))
    await asyncio.sleep(0)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert poller._reader._client is None
    assert (await poller.poll(FAST)).readings


async def test_a_poller_without_credentials_is_refused() -> None:
    endpoint = Endpoint(
        asset=AssetId("n"),
        name="bmc",
        wire=Wire.IPMI,
        address="127.0.0.1:1",
        profile="openbmc",
        credentials=None,
        job="ipmi",
    )
    with pytest.raises(Refused, match="credentials"):
        open_poller(endpoint, None, None, SystemClock())
