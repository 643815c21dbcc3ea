"""net-snmp's own tools against the simulated PDUs: an SNMP implementation that shares nothing with ours."""

import os
import shutil

import pytest

TOOLS = ("snmpget", "snmpset", "snmpbulkwalk", "snmpwalk")
EPDU = "1.3.6.1.4.1.534.6.6.7"
OUTLET_WATTS, STATE, OFF, ON = (f"{EPDU}.6.{rest}" for rest in ("5.1.3.0", "6.1.2.0", "6.1.3.0", "6.1.4.0"))
RPDU2 = "1.3.6.1.4.1.318.1.1.26"
V3, SHA1, V2C, APC = "pdu-r04-a", "pdu-r02-a", "pdu-r01-a", "pdu-r03-a"


@pytest.fixture(autouse=True)
def tools() -> None:
    absent = [name for name in TOOLS if shutil.which(name) is None]
    if absent and os.environ.get("CI"):
        pytest.fail(f"net-snmp's tools are required in CI but absent: {absent}")
    if absent:
        pytest.skip(f"real peer absent: {absent}; Debian's package is snmp")


@pytest.fixture
def snmp(site, program):
    """snmpX PDU, write or not, arguments: (status, text)."""

    async def ask(tool, pdu, *rest, write=False, word=None, user=None, options=()):
        login = site.secrets.snmp_write if write else site.secrets.snmp_read
        if pdu == V2C:
            who = ["-v2c", "-c", word or login.word]
        else:
            algorithm = "SHA" if pdu == SHA1 else "SHA-256"
            who = ["-v3", "-l", "authPriv", "-u", user or login.name, "-a", algorithm, "-A", word or login.word]
            who += ["-x", "AES", "-X", login.second_word]
        where = f"127.0.0.1:{site.ports.pdus[pdu]}"
        return await program(tool, *who, "-On", "-Oe", "-r1", "-t2", *options, where, *rest)

    return ask


@pytest.mark.parametrize("pdu", [V2C, SHA1, V3])
async def test_a_bulk_walk_reads_every_object_in_order_with_each_version_of_the_protocol(site, snmp, pdu) -> None:
    status, said = await snmp("snmpbulkwalk", pdu, "1.3.6.1")
    assert status == 0, said
    oids = [
        tuple(map(int, line.split(" ")[0].strip(".").split("."))) for line in said.splitlines() if line.startswith(".")
    ]
    assert oids == sorted(oids)
    assert len(oids) > 100
    walked = (await snmp("snmpwalk", pdu, EPDU))[1]
    assert len([line for line in walked.splitlines() if f".{EPDU}." in line]) == len(
        [one for one in oids if one[:10] == (1, 3, 6, 1, 4, 1, 534, 6, 6, 7)]
    )


async def test_every_repetition_count_walks_the_same_objects(snmp) -> None:
    whole = None
    for repetitions in ("1", "3", "10", "200"):
        said = (await snmp("snmpbulkwalk", V3, f"{EPDU}.6.1", options=(f"-Cr{repetitions}",)))[1]
        names = [line.split(" ")[0] for line in said.splitlines()]
        assert whole in (None, names)
        whole = names


async def test_values_are_those_of_the_plant(site, snmp) -> None:
    said = (await snmp("snmpget", V3, f"{OUTLET_WATTS}.1", f"{EPDU}.3.3.1.4.0.1.1", "1.3.6.1.2.1.1.2.0"))[1]
    node = site.layout.nodes_of_rack(3)[0]
    assert f"INTEGER: {round(float(site.plant.power.outlet_watts[node, 0]))}\n" in said
    assert f"INTEGER: {round(float(site.plant.power.phase_amperes[3, 0, 0]) * 1000)}\n" in said
    assert f"OID: .{EPDU}\n" in said


async def test_off_and_on_switch_the_outlet_and_the_state_is_read_back(site, snmp, truth) -> None:
    for oid, pending, state, verb in ((OFF, 2, 0, "outlet_off"), (ON, 3, 1, "outlet_on")):
        status, said = await snmp("snmpset", V3, f"{oid}.4", "i", "0", write=True)
        assert status == 0, said
        site.step(0.25)
        assert f"INTEGER: {pending}" in (await snmp("snmpget", V3, f"{STATE}.4"))[1]
        site.step(1.5)
        assert f"INTEGER: {state}" in (await snmp("snmpget", V3, f"{STATE}.4"))[1]
        entry = truth()[-1]
        assert (entry["device"], entry["verb"], entry["arguments"]["outlet"]) == (V3, verb, "4")
        assert entry["accepted"] and entry["executed"] and entry["request_id"]
    assert site.plant.power.relay.all()


async def test_apc_switches_with_one_and_two_and_shows_a_pending_command(site, snmp) -> None:
    assert "OID: .1.3.6.1.4.1.318.1.3.4.6" in (await snmp("snmpget", APC, "1.3.6.1.2.1.1.2.0"))[1]
    assert (await snmp("snmpset", APC, f"{RPDU2}.9.2.4.1.5.2", "i", "2", write=True))[0] == 0
    site.step(0.25)
    assert "INTEGER: 1" in (await snmp("snmpget", APC, f"{RPDU2}.9.2.3.1.6.2"))[1], "a command is pending"
    site.step(2)
    assert "INTEGER: 1" in (await snmp("snmpget", APC, f"{RPDU2}.9.2.3.1.5.2"))[1], "off is 1 where it is read"
    assert not site.plant.power.relay[9, 0]
    assert (await snmp("snmpset", APC, f"{RPDU2}.9.2.4.1.5.2", "i", "3", write=True))[0] != 0, "no reboot"


async def test_a_reader_may_not_write_and_is_written_down(site, snmp, truth) -> None:
    for pdu in (V2C, SHA1, V3):
        status, said = await snmp("snmpset", pdu, f"{OFF}.1", "i", "0")
        assert status != 0
        assert "noAccess" in said
        assert (truth()[-1]["verb"], truth()[-1]["accepted"], truth()[-1]["executed"]) == ("outlet_off", False, False)
    site.step(3)
    assert site.plant.power.relay.all()


async def test_strangers_are_refused_and_written_down(site, snmp, truth) -> None:
    assert "Authentication failure" in (await snmp("snmpget", V3, f"{STATE}.1", word="not-the-password"))[1]
    assert truth()[-1]["note"] == "wrong digest"
    assert "Unknown user" in (await snmp("snmpget", V3, f"{STATE}.1", user="nobody"))[1]
    assert truth()[-1]["note"] == "unknown user"
    assert "Timeout" in (await snmp("snmpset", V2C, f"{OFF}.1", "i", "0", word="guess", options=("-r0", "-t0.3")))[1]
    assert (truth()[-1]["verb"], truth()[-1]["note"], truth()[-1]["accepted"]) == (
        "outlet_off",
        "unknown community",
        False,
    )


@pytest.mark.parametrize(
    ("oid", "kind", "value", "error"),
    [
        (f"{OFF}.1", "i", "-2", "wrongValue"),
        (f"{OFF}.1", "i", "100000", "wrongValue"),
        (f"{OFF}.1", "s", "off", "wrongType"),
        (f"{EPDU}.6.5.1.4.0.1", "u", "0", "notWritable"),
        (f"{OFF}.99", "i", "0", "noCreation"),
        (f"{EPDU}.6.6.1.5.0.1", "i", "0", "notWritable"),
    ],
)
async def test_what_may_not_be_written_is_refused_by_name_and_changes_nothing(
    site, snmp, truth, oid, kind, value, error
) -> None:
    status, said = await snmp("snmpset", V3, oid, kind, value, write=True)
    assert status != 0
    assert error in said
    assert truth()[-1]["accepted"] is False
    site.step(3)
    assert site.plant.power.relay.all()


async def test_a_set_of_several_objects_is_all_or_nothing(site, snmp) -> None:
    status, _ = await snmp("snmpset", V3, f"{OFF}.1", "i", "0", f"{OFF}.99", "i", "0", write=True)
    assert status != 0
    site.step(3)
    assert site.plant.power.relay.all()
    status, _ = await snmp("snmpset", V3, f"{OFF}.1", "i", "0", f"{OFF}.2", "i", "0", write=True)
    assert status == 0
    site.step(3)
    assert (~site.plant.power.relay).sum() == 2


async def test_a_delayed_off_waits_and_can_be_cancelled(site, snmp) -> None:
    await snmp("snmpset", V3, f"{OFF}.1", "i", "20", write=True)
    site.step(10)
    assert site.plant.power.relay.all()
    await snmp("snmpset", V3, f"{OFF}.1", "i", "-1", write=True)
    site.step(30)
    assert site.plant.power.relay.all()


async def test_a_replayed_write_runs_twice_within_the_time_window_and_never_after_it(site, snmp, truth) -> None:
    agent, heard = site.snmp_agents[V3], []
    respond = agent.respond
    agent.respond = lambda data: heard.append(data) or respond(data)
    assert (await snmp("snmpset", V3, f"{OFF}.1", "i", "0", write=True))[0] == 0
    assert respond(heard[-1]) is not None
    assert [(entry["verb"], entry["executed"]) for entry in truth()] == [("outlet_off", True)] * 2, "SNMP has no fence"
    agent.started -= 200
    report = respond(heard[-1])
    assert report is not None and bytes((0x2B, 6, 1, 6, 3, 15, 1, 1, 2, 0)) in report
    assert (truth()[-1]["verb"], truth()[-1]["executed"], truth()[-1]["note"]) == (
        "outlet_off",
        False,
        "not in the time window",
    )


async def test_what_does_not_exist_is_said_to_not_exist(snmp) -> None:
    said = (await snmp("snmpget", V3, f"{STATE}.99", "1.3.6.1.9.9.0"))[1]
    assert "No Such Instance" in said
    assert "No Such Object" in said


async def test_a_card_on_a_dead_feed_still_answers_and_shows_nothing_flowing(site, snmp) -> None:
    site.faults.begin({"fault": "feed-loss", "target": V3})
    site.step(2)
    said = (await snmp("snmpget", V3, f"{OUTLET_WATTS}.1", f"{EPDU}.3.2.1.3.0.1.1", f"{EPDU}.3.3.1.4.0.1.1"))[1]
    assert said.count("INTEGER: 0\n") == 3


async def test_a_silent_pdu_answers_nobody_but_writes_down_who_tried(site, snmp, truth) -> None:
    assert (await snmp("snmpget", V3, f"{STATE}.1"))[0] == 0
    fault = site.faults.begin({"fault": "pdu-silent", "target": V2C})
    assert "Timeout" in (await snmp("snmpset", V2C, f"{OFF}.1", "i", "0", write=True, options=("-r0", "-t0.3")))[1]
    assert (truth()[-1]["verb"], truth()[-1]["accepted"]) == ("outlet_off", False)
    site.faults.heal(fault.number)
    assert (await snmp("snmpget", V2C, f"{STATE}.1"))[0] == 0


async def test_lost_replies_hide_a_switch_that_happened(site, snmp) -> None:
    site.faults.begin({"fault": "lost-replies", "target": V2C})
    assert "Timeout" in (await snmp("snmpset", V2C, f"{OFF}.1", "i", "0", write=True, options=("-r0", "-t0.3")))[1]
    site.step(3)
    assert not site.plant.power.relay[0, 0]


async def test_a_slow_pdu_answers_late(site, snmp) -> None:
    site.faults.begin({"fault": "slow", "target": V2C, "delay_seconds": 0.6})
    assert "Timeout" in (await snmp("snmpget", V2C, f"{STATE}.1", options=("-r0", "-t0.3")))[1]
    assert (await snmp("snmpget", V2C, f"{STATE}.1", options=("-r0", "-t2")))[0] == 0
