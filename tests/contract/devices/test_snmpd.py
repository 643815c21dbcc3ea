"""gufo against net-snmp's snmpd: v2c and v3 with authentication and privacy, and what its refusals become."""

from pathlib import Path

import pytest

from devices.profiles import PROFILES
from devices.wire.snmp import SnmpReader
from fleet.clock import SystemClock
from fleet.errors import Refused, Unreachable
from tests.peers import snmpd
from tests.peers.targets import pdu_endpoint

pytestmark = pytest.mark.peer("snmpd")
DUE = frozenset({"inlet", "outlet"})


def v3(user: str = "sha256aes", auth: str = "sha256", auth_key: str = snmpd.AUTH_KEY, priv_key: str = snmpd.PRIV_KEY):
    return {"version": "3", "user": user, "auth": auth, "auth_key": auth_key, "priv": "aes128", "priv_key": priv_key}


def reader(address: str, secret: dict[str, str]) -> SnmpReader:
    return SnmpReader(pdu_endpoint(address), secret, PROFILES["eaton-epdu-g3"], SystemClock())


@pytest.fixture
async def agent(tmp_path: Path, recordings: Path):
    async with snmpd.running(tmp_path, recordings / "snmp" / "eatonpdu_2.snmprec") as address:
        yield address


async def test_v2c_and_v3_with_sha_256_and_aes_say_the_same(agent: str) -> None:
    plain = await reader(agent, {"version": "2c", "community": snmpd.COMMUNITY}).read(DUE, deadline_seconds=10)
    private = await reader(agent, v3()).read(DUE, deadline_seconds=10)
    assert [reading.series for reading in plain] == [reading.series for reading in private]
    assert [reading.values.tolist() for reading in plain] == [reading.values.tolist() for reading in private]
    assert all(reading.quality is None for reading in private), "authenticated values carry no reservation"
    assert len(private[0].series) == 4
    assert private[0].values[0] == pytest.approx(118.45)


@pytest.mark.parametrize(("user", "auth"), [("sha1aes", "sha1"), ("sha512aes", "sha512")])
async def test_other_digests_work_too(agent: str, user: str, auth: str) -> None:
    assert await reader(agent, v3(user, auth)).read(DUE, deadline_seconds=10)


@pytest.mark.parametrize("secret", [v3(user="nobody"), v3(auth_key="not-the-words"), v3(auth="sha1")])
async def test_a_wrong_user_key_or_digest_is_refused_at_once(agent: str, secret: dict[str, str]) -> None:
    with pytest.raises(Refused, match="authentication failed.*try user"):
        await reader(agent, secret).read(DUE, deadline_seconds=10)


@pytest.mark.parametrize("secret", [{"version": "2c", "community": "not-it"}, v3(priv_key="not-the-words")])
async def test_an_agent_that_stays_silent_is_unreachable_and_the_error_names_what_to_check(
    agent: str, secret: dict[str, str]
) -> None:
    with pytest.raises(Unreachable, match="pdu-1/snmp.*community or user"):
        await reader(agent, secret).read(DUE, deadline_seconds=10)


async def test_a_v3_session_survives_a_restart_of_the_agent(tmp_path: Path, recordings: Path) -> None:
    walk = recordings / "snmp" / "eatonpdu_2.snmprec"
    port = snmpd.free_port()
    async with snmpd.running(tmp_path, walk, port) as address:
        polled = reader(address, v3())
        before = await polled.read(DUE, deadline_seconds=10)
    async with snmpd.running(tmp_path, walk, port):
        after = await polled.read(DUE, deadline_seconds=10)
    await polled.close()
    assert [reading.series for reading in before] == [reading.series for reading in after]
