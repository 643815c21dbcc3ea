"""What no verb and no writer can do: breakers, contactors, valves, generators, fire systems, emergency stops, blind repeats."""

import inspect
import re
from pathlib import Path

import pytest

import devices.wire
from devices.orders import POWER_GOALS, VERBS, VERBS_OF, Order
from devices.profiles.switching import SWITCHING
from devices.profiles.writing import WRITABLE
from devices.wire.ipmi_subjects import subject_of
from devices.wire.rmcp_dcmi import PowerLimit
from devices.wire.slurm_reader import SlurmReader
from devices.wire.slurm_writer import _subject
from devices.wire.sunspec import places_of
from fleet.model import AssetId, Endpoint, Wire
from remediator.verbs import TRAITS, Plane, Verb

FORBIDDEN = re.compile(
    r"breaker|contactor|valve|genset|generator|trip|fire|e_?stop|emergency|relay|cycle|toggle|shutdown|kill|reboot_outlet"
)
IPMI_ALLOWED = {
    ((0x00, 0x02), b"\x00"), ((0x00, 0x02), b"\x01"), ((0x00, 0x02), b"\x05"), ((0x06, 0x02), b""),
    ((0x2C, 0x05), b"\xdc\x00\x00\x00"), ((0x2C, 0x05), b"\xdc\x01\x00\x00"),
}  # fmt: skip
SCONTROL = re.compile(
    r"update NodeName=\S+ State=(DRAIN Reason=hallkeeper .*|RESUME)|update PartitionName=\S+ State=(DOWN|UP)|"
    r"(suspend|resume|hold|release|requeue) \d+|delete ReservationName=hallkeeper\S*|"
    r"create reservation ReservationName=hallkeeper\S* Nodes=\S+ StartTime=now Duration=\d+ Users=\S+ Flags=maint,ignore_jobs"
)


def test_no_verb_names_what_is_never_commanded() -> None:
    assert {verb for verb in {*Verb, *VERBS} if FORBIDDEN.search(verb)} == set()
    assert {verb.value for verb in Verb} - set(VERBS) == {v.value for v in Verb if TRAITS[v].plane is Plane.BUS}


@pytest.mark.parametrize("verb", VERBS_OF[Wire.IPMI])
def test_a_bmc_hears_only_absolute_power_its_own_restart_and_its_limit(verb: str) -> None:
    subject = subject_of(verb, {"watts": 3000})
    if verb == "dcmi_power_limit":
        subject._held = PowerLimit(active=True, watts=5000, correction_ms=2000, exception=1, sampling_s=5)
        command, payload = subject.request()
        assert command == (0x2C, 0x04)
        assert payload[4] == 0x11  # what cannot be kept is logged: a limit never becomes a power off
    else:
        assert subject.request() in IPMI_ALLOWED


def test_outlets_are_switched_by_two_values_a_family_and_at_no_other_place() -> None:
    for switching in SWITCHING.values():
        assert {switching.off.oid, switching.on.oid} <= {
            oid for oid in (switching.off.oid, switching.on.oid) if "{outlet}" in oid
        }
        assert (switching.off.oid, switching.off.value) != (switching.on.oid, switching.on.value)


def test_over_modbus_two_requests_and_one_set_point_are_all_there_is() -> None:
    assert {(profile, verb) for profile, points in WRITABLE.items() for verb in points} == {
        ("cdu-modbus", "coolant_set_point"), ("cdu-modbus", "standby_pump"),
    }  # fmt: skip
    block = [places_of(704)[name].offset for name in ("WSetEna", "WSetRvrtTms")]
    assert block == [22, 31]
    outside = {"Conn", "LocRemCtl", "OpCtl", "AntiIslEna", "PFWInjEna", "WMaxLimPctEna", "VarSetEna"}
    written = {name for name, place in places_of(704).items() if 22 <= place.offset <= 32}
    assert not written & outside


class Never:
    """A peer that is only named."""

    where = "x"


@pytest.mark.parametrize("verb", [verb for verb in VERBS_OF[Wire.SLURM] if verb != "slurm_signal"])
def test_scontrol_is_called_for_nothing_but_the_closed_list(verb: str) -> None:
    endpoint = Endpoint(
        asset=AssetId("s"), name="api", wire=Wire.SLURM, address="x", profile="slurm", credentials="s", job="s"
    )
    arguments = {
        "node": "n1",
        "job_id": 7,
        "restarts": 0,
        "partition": "main",
        "name": "hallkeeper-1",
        "nodes": ["n1"],
        "minutes": 5,
    }
    order = Order(
        intent="i1", asset=AssetId("s"), verb=verb, arguments=arguments, endpoint=endpoint, secret={"user": "ops"},
        not_after_boottime_ns=0, effect_latency_seconds=0,
    )  # fmt: skip
    call = _subject(order, SlurmReader(Never())).call()
    assert call.method == "scontrol"
    assert SCONTROL.fullmatch(" ".join(call.arguments)), call.arguments


def test_every_power_goal_is_a_state_and_never_a_change_of_one() -> None:
    assert set(POWER_GOALS.values()) == {"off", "on"}
    assert set(POWER_GOALS) <= set(VERBS)


def test_no_writer_holds_a_retry_of_anything_that_it_sends() -> None:
    """stamina and tenacity repeat; none of them is near a writer."""
    folder = Path(inspect.getfile(devices.wire)).parent
    for path in folder.glob("*writer*.py"):
        assert not re.search(r"stamina|tenacity|backoff|retries=[1-9]", path.read_text()), path.name
