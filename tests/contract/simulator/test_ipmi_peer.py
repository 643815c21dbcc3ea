"""ipmitool against the simulated BMCs: an RMCP+ implementation that shares nothing with ours."""

import pytest

from simulator.logs import SelRecord
from simulator.machines import NodeState

pytestmark = pytest.mark.peer("ipmitool")
NODE = "dgx-002"


@pytest.fixture
def ipmi(site, program):
    """ipmitool with the read or write user: (status, text)."""

    async def ask(*command, write=False, suite=17, level=None, user=None, word=None, node=NODE):
        login = site.secrets.bmc_write if write else site.secrets.bmc_read
        level = level or ("ADMINISTRATOR" if write else "USER")
        return await program(
            "ipmitool", "-I", "lanplus", "-H", "127.0.0.1", "-p", str(site.ports.bmcs[node]), "-C", str(suite), "-L", level,
            "-U", user or login.name, "-P", word or login.word[:20], "-N", "1", "-R", "1", *command,
        )  # fmt: skip

    return ask


@pytest.mark.parametrize("suite", [3, 17])
async def test_both_suites_log_in_and_read_the_power_state(ipmi, suite) -> None:
    assert await ipmi("power", "status", suite=suite) == (0, "Chassis Power is on\n")


async def test_a_suite_that_is_not_offered_is_refused(ipmi) -> None:
    status, said = await ipmi("power", "status", suite=2)
    assert status != 0, said


async def test_every_sensor_is_listed_with_its_reading(ipmi) -> None:
    status, said = await ipmi("sdr", "elist")
    assert status == 0
    rows = {line.split("|")[0].strip(): line for line in said.splitlines()}
    assert len(rows) == 12
    assert "degrees C" in rows["Inlet Temp"] and "RPM" in rows["Fan 1"] and "Watts" in rows["PSU1 Power In"]
    assert "Watchdog2" in rows


async def test_sensors_of_a_host_that_is_off_are_dark(site, ipmi) -> None:
    site.plant.chassis(1, on=False)
    site.step(3)
    said = (await ipmi("sdr", "elist"))[1]
    assert next(line for line in said.splitlines() if line.startswith("CPU1 Temp")).count("No Reading") == 1


async def test_the_dcmi_power_reading_is_what_the_outlets_give(site, ipmi) -> None:
    said = (await ipmi("dcmi", "power", "reading"))[1]
    watts = round(float(site.plant.power.outlet_watts[1].sum()))
    assert any(
        line.split()[:3] == ["Instantaneous", "power", "reading:"] and str(watts) in line for line in said.splitlines()
    )


async def test_off_and_on_switch_the_host_and_are_written_down_once_each(site, ipmi, truth) -> None:
    assert (await ipmi("power", "off", write=True))[0] == 0
    site.step(3)
    assert site.plant.machines.state[1] == NodeState.OFF
    assert (await ipmi("power", "status"))[1] == "Chassis Power is off\n"
    assert (await ipmi("power", "on", write=True))[0] == 0
    site.step(25)
    assert site.plant.machines.state[1] == NodeState.RUNNING
    entries = [entry for entry in truth() if entry["server"] == "ipmi"]
    assert [(entry["device"], entry["verb"], entry["accepted"], entry["executed"]) for entry in entries] == [
        (NODE, "power_off", True, True), (NODE, "power_on", True, True),
    ]  # fmt: skip
    assert all(entry["request_id"] for entry in entries)


@pytest.mark.parametrize(
    ("command", "verb"),
    [
        (("power", "cycle"), "power_cycle"),
        (("power", "reset"), "hard_reset"),
        (("power", "diag"), "diagnostic_interrupt"),
    ],
)
async def test_other_chassis_controls_are_refused_and_written_down(site, ipmi, truth, command, verb) -> None:
    assert (await ipmi(*command, write=True))[0] != 0
    site.step(5)
    assert site.plant.machines.state[1] == NodeState.RUNNING
    assert (truth()[-1]["verb"], truth()[-1]["accepted"], truth()[-1]["executed"]) == (verb, False, False)


@pytest.mark.parametrize(
    ("command", "verb"),
    [
        (("sel", "clear"), "clear_sel"),
        (("chassis", "policy", "always-off"), "set_power_restore_policy"),
    ],
)
async def test_commands_that_would_change_the_bmc_are_refused_and_written_down(ipmi, truth, command, verb) -> None:
    await ipmi(*command, write=True)
    assert (truth()[-1]["verb"], truth()[-1]["accepted"], truth()[-1]["executed"]) == (verb, False, False)


async def test_the_reader_may_not_switch_whatever_level_it_asks_for(site, ipmi, truth) -> None:
    status, said = await ipmi("power", "off")
    assert status != 0 and "Insufficient privilege" in said
    assert (truth()[-1]["verb"], truth()[-1]["accepted"]) == ("power_off", False)
    assert (await ipmi("power", "off", level="ADMINISTRATOR"))[0] != 0
    assert truth()[-1]["verb"] == "login"
    site.step(5)
    assert site.plant.machines.state[1] == NodeState.RUNNING


async def test_an_unknown_user_is_refused_and_written_down(ipmi, truth) -> None:
    assert (await ipmi("power", "status", user="nobody"))[0] != 0
    assert (truth()[-1]["verb"], truth()[-1]["arguments"], truth()[-1]["note"]) == (
        "login",
        {"user": "nobody"},
        "unknown user",
    )


async def test_a_wrong_password_is_refused(ipmi) -> None:
    assert (await ipmi("power", "status", word="wrong"))[0] != 0


async def test_the_watchdog_record_of_a_hung_node_is_in_the_event_log(site, ipmi) -> None:
    assert "Entries          : 0" in (await ipmi("sel", "info"))[1]
    site.faults.begin({"fault": "hung-node", "target": NODE})
    site.step(6)
    said = (await ipmi("sel", "elist"))[1]
    assert said.count("\n") == 1
    assert "Watchdog2" in said and "Timer expired" in said and "Asserted" in said
    assert (await ipmi("power", "status"))[1] == "Chassis Power is on\n", "a hung host is on"


async def test_a_long_event_log_is_read_whole_and_in_order(site, ipmi) -> None:
    for count in range(40):
        site.plant.sel[1].append(SelRecord(site.plant.now + count, 0x23, 0, 0x60))
    said = (await ipmi("sel", "list"))[1]
    assert [int(line.split("|")[0], 16) for line in said.splitlines()] == list(range(1, 41))


async def test_the_inventory_names_product_board_and_serial_numbers(ipmi) -> None:
    status, said = await ipmi("fru", "print")
    fields = {line.partition(":")[0].strip(): line.partition(":")[2].strip() for line in said.splitlines()}
    assert status == 0, said
    assert (fields["Product Name"], fields["Product Serial"], fields["Chassis Serial"]) == (
        "DGX H100",
        "SIM-dgx-002",
        "SIM-dgx-002",
    )
    assert fields["Board Product"] == "DGX H100 baseboard"


async def test_a_mute_bmc_answers_nothing_and_a_partitioned_one_neither(site, ipmi) -> None:
    for kind in ("bmc-mute", "partition"):
        fault = site.faults.begin({"fault": kind, "target": NODE})
        assert (await ipmi("power", "status"))[0] != 0
        assert (await ipmi("power", "status", node="dgx-003"))[0] == 0, "its neighbour is not touched"
        site.faults.heal(fault.number)
        assert (await ipmi("power", "status"))[0] == 0


async def test_a_lying_bmc_says_off_while_current_flows_and_carries_nothing_out(site, ipmi, truth) -> None:
    site.faults.begin({"fault": "bmc-lies", "target": NODE})
    assert (await ipmi("power", "status"))[1] == "Chassis Power is off\n"
    assert (await ipmi("power", "off", write=True))[0] == 0
    site.step(5)
    assert site.plant.machines.state[1] == NodeState.RUNNING
    assert (truth()[-1]["accepted"], truth()[-1]["executed"]) == (True, False)


async def test_a_bmc_without_any_supply_is_dead_and_lives_again_some_seconds_after_power_returns(site, ipmi) -> None:
    for side in (0, 1):
        site.plant.switch_outlet(1, side, on=False)
    site.step(2)
    assert (await ipmi("power", "status"))[0] != 0
    site.plant.switch_outlet(1, 0, on=True)
    site.step(3)
    assert (await ipmi("power", "status"))[0] != 0, "it still starts"
    site.step(6)
    assert (await ipmi("power", "status"))[0] == 0


async def test_a_graceful_end_is_obeyed_by_a_host_that_runs_and_not_by_one_that_hangs(site, ipmi, truth) -> None:
    assert (await ipmi("power", "soft", write=True))[0] == 0
    site.step(3)
    assert site.plant.machines.state[1] == NodeState.RUNNING, "an operating system takes its time"
    site.step(8)
    assert site.plant.machines.state[1] == NodeState.OFF
    assert (truth()[-1]["verb"], truth()[-1]["executed"]) == ("soft_shutdown", True)


async def test_a_limit_of_the_whole_node_bites_and_is_lifted(site, ipmi) -> None:
    draws = lambda: float(site.plant.machines.watts[1])  # noqa: E731
    assert draws() > 7_000
    assert (await ipmi("dcmi", "power", "set_limit", "action", "sel_logging", write=True))[0] == 0
    assert (await ipmi("dcmi", "power", "set_limit", "limit", "5000", write=True))[0] == 0
    site.step(5)
    assert draws() > 7_000, "a value alone changes nothing"
    assert (await ipmi("dcmi", "power", "activate", write=True))[0] == 0
    site.step(5)
    assert 4_500 < draws() <= 5_050
    assert (await ipmi("dcmi", "power", "deactivate", write=True))[0] == 0
    site.step(5)
    assert draws() > 7_000


async def test_a_bmc_that_restarts_is_silent_for_a_minute_and_its_host_runs_on(site, ipmi, truth) -> None:
    assert (await ipmi("mc", "reset", "cold", write=True))[0] == 0
    assert not site.plant.bmc_alive(1)
    site.step(61)
    assert site.plant.bmc_alive(1)
    assert site.plant.machines.boots[1] == 0
    assert (truth()[-1]["verb"], truth()[-1]["executed"]) == ("cold_reset", True)
