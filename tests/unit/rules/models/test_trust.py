"""A sensor is doubted when it stands still for no reason, jumps as nothing can, or is contradicted; else it is believed."""

import math

import pytest

from bus.frames import FrameWriter
from fleet.metrics import METRICS
from fleet.quality import Quality, Reason, quality_of, reason_of
from rules.engine import Engine
from rules.files.load import load_rules
from rules.models.trust import JUMPING, Trust
from rules.models.trust_claims import CLAIMS, STUCK

RULE = """
groups:
  - name: g
    interval: 1s
    rules:
      - alert: Doubted
        expr: sample_quality > 0
        labels: {severity: warning}
        annotations: {summary: s, description: "{{ $labels.asset }}"}
"""
SUPPLY = 'cdu_supply_temperature_celsius{asset="cdu-1",zone="1"}'
RETURN = 'cdu_return_temperature_celsius{asset="cdu-1",zone="1"}'
COOLS = 'fleet_cools{asset="r01",cdu="cdu-1",loop="l",rack="r01",zone="1"}'
WATTS = 'pdu_outlet_power_watts{asset="p1",outlet="1",rack="r01"}'


@pytest.fixture
def doubts(bench, tmp_path):
    """Runs series over a time and gives every doubt's beginning and end."""
    b = bench(RULE)
    b.engine = Engine(load_rules([tmp_path]), models=[Trust()])

    def run(times, series):
        found = []
        for at in times:
            for each in b.at(at, series(at)):
                found.append((at, each.labels["metric"], each.labels["reason"], str(each.state)))
        assert b.engine.failures == {}
        return found

    return run


def test_a_coolant_that_jumps_and_freezes_is_doubted_until_it_is_back(doubts) -> None:
    jump = lambda at: {SUPPLY: 43.0 + 0.1 * (at // 1000 % 2) if at < 10_000 or at >= 60_000 else 71.0}  # noqa: E731
    assert doubts(range(0, 70_000, 1_000), jump) == [
        (10_000, "cdu_supply_temperature_celsius", "rate", "firing"),
        (60_000, "cdu_supply_temperature_celsius", "rate", "resolved"),
    ]


def test_a_coolant_that_truly_warms_is_believed(doubts) -> None:
    """No flow: 4 K/s is the fastest that the register allows for."""
    assert doubts(range(0, 15_000, 1_000), lambda at: {SUPPLY: 43.0 + 4.0 * at / 1000}) == []


def test_a_jump_that_slow_physics_can_have_reached_meanwhile_is_forgiven(doubts) -> None:
    found = doubts(range(0, 300_000, 1_000), lambda at: {SUPPLY: 43.0 if at < 10_000 else 53.0})
    assert [(at, state) for at, _, _, state in found] == [(10_000, "firing"), (110_000, "resolved")]


def test_a_jump_over_a_sample_that_was_bad_is_seen_too(doubts, bench) -> None:
    series = lambda at: None if at in {10_000, 11_000} else {SUPPLY: 43.0 if at < 10_000 else 71.0}  # noqa: E731
    assert [at for at, *_ in doubts(range(0, 20_000, 1_000), series)] == [12_000]


def loop(at: int, *, stuck_from: int, load_swings: bool, moves: bool = True) -> dict[str, float]:
    """A return temperature that follows its load to a tenth of a kelvin, until it is stuck."""
    watts = 40_000.0 + (8_000.0 * math.sin(at / 20_000) if load_swings else 0.0)
    now = min(at, stuck_from)
    return {
        COOLS: 1.0,
        WATTS: watts,
        RETURN: round(46.0 + (2.0 * math.sin(now / 20_000 - 0.5) if moves else 0.0), 1),
    }


def test_a_sensor_that_stands_still_while_its_load_swings_is_stuck(doubts) -> None:
    found = doubts(range(0, 400_000, 1_000), lambda at: loop(at, stuck_from=200_000, load_swings=True))
    assert [(reason, state) for _, _, reason, state in found] == [("stuck", "firing")]
    assert 260_000 <= found[0][0] <= 264_000


def test_a_sensor_that_stands_still_with_its_load_is_believed(doubts) -> None:
    assert doubts(range(0, 400_000, 1_000), lambda at: loop(at, stuck_from=200_000, load_swings=at < 200_000)) == []


def test_a_sensor_that_never_moved_is_regulated_and_believed(doubts) -> None:
    assert doubts(range(0, 400_000, 1_000), lambda at: loop(at, stuck_from=0, load_swings=True, moves=False)) == []


def test_a_stuck_sensor_that_moves_again_is_believed_again(doubts) -> None:
    def series(at: int) -> dict[str, float]:
        return loop(at, stuck_from=200_000 if at < 300_000 else at, load_swings=True)

    assert [state for *_, state in doubts(range(0, 400_000, 1_000), series)] == ["firing", "resolved"]


def test_sixty_looks_at_one_sample_are_one_sample(doubts) -> None:
    """A sensor that is read every three seconds needs three minutes to be stuck."""
    series = lambda at: loop(at, stuck_from=180_000, load_swings=True) if at % 3_000 == 0 else None  # noqa: E731
    assert doubts(range(0, 357_000, 1_000), series) == []
    assert [at for at, *_ in doubts(range(357_000, 366_000, 1_000), series)] == [360_000]


PDU = {
    'pdu_outlet_power_watts{asset="p1",job="snmp",outlet="1",rack="r01",zone="1"}': 4_000.0,
    'pdu_outlet_power_watts{asset="p1",job="snmp",outlet="2",rack="r01",zone="1"}': 5_000.0,
}
INPUT = 'pdu_input_power_watts{asset="p1",job="snmp",rack="r01",zone="1"}'


def test_outlets_that_do_not_add_up_to_their_pdu_are_doubted_after_a_minute(doubts) -> None:
    found = doubts(range(0, 90_000, 1_000), lambda at: PDU | {INPUT: 9_000.0 if at < 10_000 else 11_000.0})
    assert found == [(70_000, "pdu_input_power_watts", "balance", "firing")]


def test_outlets_that_add_up_within_a_tenth_are_believed(doubts) -> None:
    assert doubts(range(0, 90_000, 1_000), lambda _: PDU | {INPUT: 9_800.0}) == []


def test_a_flow_that_vanishes_while_its_pressure_stays_is_doubted(doubts) -> None:
    flow = lambda at, pressure: {  # noqa: E731
        'cdu_flow_liters_per_minute{asset="cdu-1",zone="1"}': 400.0 if at < 20_000 else 0.0,
        'cdu_pressure_difference_pascals{asset="cdu-1",zone="1"}': 120_000.0 if at < 20_000 else pressure,
    }
    assert doubts(range(0, 30_000, 1_000), lambda at: flow(at, 20_000.0)) == []
    assert [at for at, *_ in doubts(range(30_000, 60_000, 1_000), lambda at: flow(at - 30_000, 118_000.0))] == [53_000]


def test_a_bmc_that_says_another_power_than_its_outlets_is_doubted(doubts) -> None:
    series = {
        'bmc_power_watts{asset="n1",node="n1",rack="r01"}': 3_000.0,
        'fleet_feeds{asset="p1",feed="A",node="n1",outlet="1",pdu="p1"}': 1.0,
        'fleet_feeds{asset="p1",feed="B",node="n1",outlet="2",pdu="p1"}': 1.0,
    }
    assert doubts(range(0, 200_000, 5_000), lambda _: PDU | series) == [
        (120_000, "bmc_power_watts", "disagrees", "firing")
    ]
    series['bmc_power_watts{asset="n1",node="n1",rack="r01"}'] = 8_500.0
    assert [state for *_, state in doubts([200_000, 205_000], lambda _: PDU | series)] == ["resolved"]


def test_a_doubt_says_what_kind_it_is_in_the_byte_that_frames_carry(bench, tmp_path) -> None:
    b = bench(RULE)
    b.engine = Engine(load_rules([tmp_path]), models=[Trust()])
    b.at(0, {SUPPLY: 43.0})
    (change,) = b.at(1_000, {SUPPLY: 71.0})
    assert (quality_of(int(change.value)), reason_of(int(change.value))) == (Quality.UNCERTAIN, Reason.RATE)


def test_what_was_learnt_of_a_sensor_outlives_the_process(bench, tmp_path) -> None:
    b = bench(RULE)
    b.engine = Engine(load_rules([tmp_path]), models=[Trust()])
    for at in range(0, 200_000, 1_000):
        b.at(at, loop(at, stuck_from=200_000, load_swings=True))
    state = b.engine.state(199_000)
    b.engine = Engine(load_rules([tmp_path]), models=[Trust()])
    b.engine.restore(state, 200_000)
    b.writer = FrameWriter(6)
    fired = [
        at for at in range(200_000, 300_000, 1_000) for _ in b.at(at, loop(at, stuck_from=200_000, load_swings=True))
    ]
    assert len(fired) == 1


def test_the_tables_name_metrics_of_the_register_and_no_doubt_twice() -> None:
    assert all(METRICS[metric].max_rate_per_second for metric in JUMPING)
    assert {check.metric for check in STUCK} | {claim.metric for claim in CLAIMS} <= METRICS.keys()
    kinds = [(claim.metric, claim.reason) for claim in CLAIMS]
    assert len(set(kinds)) == len(kinds)
    assert not {reason for _, reason in kinds} & {Reason.RATE, Reason.STUCK}
