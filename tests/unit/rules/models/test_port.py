"""Models: their series are plain series to every rule, their memory outlives the process, and their cost is counted."""

from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np
import pytest
from prometheus_client import CollectorRegistry

from rules.engine import Engine
from rules.files.load import load_rules
from rules.meters import RulesMeters, Tally
from rules.models.port import History, Input, Kept, Output, Series, Step
from rules.models.rows import carried, remembered

RULE = """
groups:
  - name: g
    interval: 1s
    rules:
      - alert: Tired
        expr: charge_joules > 20
        labels: {severity: warning}
        annotations: {summary: s, description: "{{ $labels.asset }}"}
"""
ONE, TWO = 'load_watts{asset="a"}', 'load_watts{asset="b"}'


@dataclass
class Charge:
    """Adds up a load over time: one number kept a series."""

    name: str = "charge"
    interval_ms: int = 1_000
    reads: Mapping[str, str] = field(default_factory=lambda: {"load": "load_watts"})
    writes: frozenset[str] = frozenset({"charge_joules"})
    constant: Mapping[str, str] = field(default_factory=dict)

    def step(self, at_ms: int, inputs: Mapping[str, Input], kept: Kept) -> Step:
        load = inputs["load"]
        assert isinstance(load, Series)
        columns = carried(kept, load.labels, {"sum": 0.0, "at": float(at_ms)})
        columns["sum"] += load.values * (at_ms - columns["at"]) / 1000.0
        columns["at"][:] = at_ms
        output = Output("charge_joules", load.labels, columns["sum"], load.present, self.constant)
        return Step((output,), remembered(load.labels, columns))


@pytest.fixture
def engine_with(bench, tmp_path):
    def make(model, text: str = RULE):
        b = bench(text)
        b.engine = Engine(load_rules([tmp_path]), models=[model])
        return b

    return make


def test_a_model_of_two_series_gives_frames_that_a_rule_of_the_same_pass_fires_on(engine_with) -> None:
    b = engine_with(Charge())
    times = range(0, 6_000, 1_000)
    fired = [(at, each.labels["asset"]) for at in times for each in b.at(at, {ONE: 10.0, TWO: 1.0}) if each.state]
    assert (3_000, "a") in fired
    assert {asset for _, asset in fired} == {"a"}
    sources = {message.key for message in b.engine.drain_recorded()}
    assert sources == {"rules/charge"}


def test_a_series_that_goes_ends_with_its_input(engine_with) -> None:
    b = engine_with(Charge())
    for at in range(0, 5_000, 1_000):
        b.at(at, {ONE: 10.0})
    assert len(b.engine.alerts()) == 1
    assert [str(each.state) for each in b.at(400_000)] == ["resolved"]


def test_what_a_model_keeps_outlives_the_process(engine_with) -> None:
    b, again = engine_with(Charge()), engine_with(Charge())
    for at in range(0, 3_000, 1_000):
        b.at(at, {ONE: 10.0, TWO: 1.0})
    again.engine.restore(b.engine.state(2_000), 2_500)
    assert [each.labels["asset"] for each in again.at(3_000, {TWO: 1.0, ONE: 10.0})] == ["a"]


def test_what_a_model_keeps_of_another_kind_is_begun_anew_and_named(engine_with) -> None:
    b = engine_with(Charge())
    b.engine.models.restore({"charge": b"no msgpack"}, b.engine.failures)
    assert "models/charge" in b.engine.failures
    b.at(0, {ONE: 10.0})
    assert b.engine.failures == {}


def test_it_goes_on_over_a_reload(engine_with) -> None:
    b = engine_with(Charge())
    for at in range(0, 3_000, 1_000):
        b.at(at, {ONE: 10.0})
    b.engine.reload(b.engine.rules, 2_500)
    assert [str(each.state) for each in b.at(3_000, {ONE: 10.0})] == ["firing"]


def test_a_model_that_nobody_reads_does_not_run_and_keeps_nothing_in_the_window(engine_with) -> None:
    b = engine_with(Charge(writes=frozenset({"other_joules"})))
    b.at(0, {ONE: 10.0})
    assert b.engine.models.running == {}
    assert b.engine.window.series == 0


def test_a_model_that_only_another_model_reads_runs_before_it(bench, tmp_path) -> None:
    b = bench(RULE)
    second = Charge(name="second", reads={"load": "half_watts"})
    first = Charge(name="first", writes=frozenset({"half_watts"}))
    first.step = lambda at_ms, inputs, _: Step(  # type: ignore[method-assign]
        (Output("half_watts", inputs["load"].labels, inputs["load"].values / 2, inputs["load"].present),)
    )
    b.engine = Engine(load_rules([tmp_path]), models=[second, first])
    assert list(b.engine.models.running) == ["first", "second"]
    fired = [at for at in range(0, 9_000, 1_000) for _ in b.at(at, {ONE: 10.0})]
    assert fired == [5_000]


def test_a_model_steps_at_its_own_pace_and_its_cost_is_counted(engine_with) -> None:
    b = engine_with(Charge(interval_ms=2_000))
    for at in range(0, 5_000, 100):
        b.at(at, {ONE: 10.0, TWO: 1.0})
    cost = b.engine.models.running["charge"].cost
    assert (cost.steps, cost.rows, cost.series) == (3, 6, 2)
    assert cost.seconds > 0


def test_a_model_waits_while_the_bus_lags(engine_with) -> None:
    b = engine_with(Charge())
    b.at(0, {ONE: 10.0}, lagging=True)
    assert b.engine.models.running["charge"].cost.steps == 0


def test_a_model_that_fails_is_named_and_rules_go_on(engine_with) -> None:
    broken = Charge()
    broken.step = lambda at_ms, inputs, kept: Step((Output("charge_joules", None, 1 / 0, None),))  # type: ignore[method-assign]
    b = engine_with(broken)
    b.at(0, {ONE: 10.0})
    assert b.engine.failures == {"models/charge": "ZeroDivisionError: division by zero"}
    assert b.engine.evaluated_rules == 1


def test_a_metric_under_constant_labels_that_a_step_leaves_out_ends(engine_with) -> None:
    model = Charge(constant={"why": "one"})
    b = engine_with(model)
    for at in range(0, 5_000, 1_000):
        b.at(at, {ONE: 10.0})
    assert b.engine.alerts()[0][1].labels["why"] == "one"
    model.constant = {"why": "two"}
    assert sorted((each.labels["why"], str(each.state)) for each in b.at(5_000, {ONE: 10.0})) == [
        ("one", "resolved"),
        ("two", "firing"),
    ]


def test_a_range_gives_every_good_sample_of_each_row_oldest_first(engine_with) -> None:
    seen: list[History] = []
    model = Charge(reads={"load": "load_watts[3s]"})

    def step(at_ms: int, inputs: Mapping[str, Input], kept: Kept) -> Step:
        del at_ms, kept
        history = inputs["load"]
        assert isinstance(history, History)
        seen.append(history)
        return Step()

    model.step = step  # type: ignore[method-assign]
    b = engine_with(model)
    assert b.at(0) == []
    for at in range(500, 6_000, 500):
        b.feed(at, {ONE: at / 1000, TWO: 1.0}, quality=[2 if at == 4_000 else 0, 0])
    b.at(5_600)
    history = seen[-1]
    assert history.counts.tolist() == [5, 6]
    assert history.values[:, 0][history.valid[:, 0]].tolist() == [3.0, 3.5, 4.5, 5.0, 5.5]
    assert history.times[:, 1].tolist() == [3_000, 3_500, 4_000, 4_500, 5_000, 5_500]


def test_numbers_kept_follow_their_series_whatever_order_they_come_in(engine_with) -> None:
    b = engine_with(Charge())
    b.at(0, {ONE: 10.0, TWO: 1.0})
    table = b.engine.window.blocks["load_watts"].labels
    kept = remembered(table, {"sum": np.array([1.0, 2.0])})
    turned = table.take(np.array([1, 0]))
    assert carried(kept, turned, {"sum": 0.0})["sum"].tolist() == [2.0, 1.0]
    assert carried(kept, table.take(np.array([1])), {"sum": 0.0, "new": 7.0})["new"].tolist() == [7.0]


def test_what_each_model_costs_is_on_the_page_of_metrics(engine_with) -> None:
    b = engine_with(Charge())
    b.at(0, {ONE: 10.0, TWO: 1.0})
    registry = CollectorRegistry()
    RulesMeters(registry, lambda: b.engine, Tally(), lambda: True)
    assert registry.get_sample_value("hallkeeper_rules_model_steps_total", {"model": "charge"}) == 1
    assert registry.get_sample_value("hallkeeper_rules_model_series", {"model": "charge"}) == 2
    assert registry.get_sample_value("hallkeeper_rules_model_seconds_total", {"model": "charge"}) > 0
