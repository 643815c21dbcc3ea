"""The fault campaign with few trials: one send an order, nothing runs after the fence, nothing is claimed that is not so.

The whole one: `python tests/faults/write_campaign.py --trials 500 --json`.
"""

import os

import pytest

from tests.faults.proxy import Fault
from tests.faults.write_campaign import FAULTS, IpmiBench, SnmpBench, measure
from tests.faults.write_tally import HEAD, row

TRIALS = int(os.environ.get("HK_FAULT_TRIALS", "8"))


@pytest.mark.peer("ipmi_sim")
@pytest.mark.parametrize("fault", FAULTS)
async def test_power_commands_through_a_faulty_network(fault: Fault) -> None:
    tally = await measure(IpmiBench, fault, trials=TRIALS, seed=7, workers=8)
    print(f"\n{HEAD}\n{row(tally)}")
    assert tally.sent >= TRIALS
    assert tally.most_sends == 1
    assert tally.sends_of_unsent == 0
    assert tally.after_fence == 0
    assert tally.false_done == tally.false_undone == 0


@pytest.mark.peer("snmpd")
@pytest.mark.parametrize("fault", FAULTS)
async def test_outlet_commands_through_a_faulty_network(fault: Fault) -> None:
    tally = await measure(SnmpBench, fault, trials=TRIALS, seed=7, workers=8)
    print(f"\n{HEAD}\n{row(tally)}")
    assert tally.sent >= TRIALS
    assert tally.most_sends == 1
    assert tally.sends_of_unsent == 0
    assert tally.false_done == 0
