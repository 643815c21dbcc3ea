"""The register of known metrics."""

import math
import re
from pathlib import Path

import pytest

from fleet.metrics import METRICS, markdown
from fleet.register import AREAS
from fleet.register.gpu import AMD, DCGM
from fleet.register.metric import UNITS, unit_of

ROOT = Path(__file__).parents[3]
FOREIGN = {metric.name for metric in (*DCGM, *AMD)} | {
    name for name in METRICS if name.startswith(("node_", "kube_", "smartctl_")) and name not in {"node_lemon_score", "node_bandwidth_test_ratio"}
}  # fmt: skip
"""Names that exporters gave; they pass through as they are."""

UNITLESS = re.compile(
    r"(_(state|status|info|count|detected|failed|present|connected|enabled|up|valid|score|level|position|gpus|feeds|cools|links|frozen|leads"
    r"|alarm|acidity|turbidity|check|threshold)|^up|^sample_quality|^ALERTS|^ALERTS_FOR_STATE)$"
)
"""Native names that say no unit because they have none."""

CONTRACT = [
    "pdu_outlet_power_watts",
    "pdu_outlet_current_amperes",
    "pdu_outlet_voltage_volts",
    "pdu_outlet_energy_joules_total",
    "pdu_outlet_state",
    "pdu_phase_current_amperes",
    "pdu_phase_voltage_volts",
    "pdu_phase_power_watts",
    "pdu_input_power_watts",
    "pdu_input_energy_joules_total",
    "bmc_power_state",
    "bmc_power_watts",
    "bmc_inlet_temperature_celsius",
    "bmc_fan_speed_rpm",
    "DCGM_FI_DEV_POWER_USAGE",
    "DCGM_FI_DEV_GPU_TEMP",
    "DCGM_FI_DEV_XID_ERRORS",
    "agent_up_seconds",
    "agent_heartbeat_timestamp_seconds",
    "agent_gpu_power_watts",
    "agent_gpu_power_limit_watts",
    "agent_gpu_default_power_limit_watts",
    "agent_gpu_count",
    "agent_checkpoint_age_seconds",
    "bess_state_of_charge_ratio",
    "bess_state_of_health_ratio",
    "bess_power_watts",
    "bess_available_energy_joules",
    "bess_capacity_joules",
    "bess_state",
    "bess_cell_voltage_max_volts",
    "cdu_supply_temperature_celsius",
    "cdu_return_temperature_celsius",
    "cdu_flow_liters_per_minute",
    "cdu_pump_speed_rpm",
    "cdu_pressure_difference_pascals",
    "cdu_reservoir_level_ratio",
    "cdu_leak_detected",
    "fabric_port_state",
    "fabric_port_data_bytes_total",
    "kube_node_status_condition",
    "kube_node_spec_unschedulable",
    "kube_pod_status_phase",
    "fleet_job_info",
    "up",
    "fleet_node_info",
    "fleet_node_gpus",
    "fleet_node_idle_watts",
    "fleet_feeds",
    "fleet_pdu_phase_rated_amperes",
    "fleet_rack_power_limit_watts",
    "fleet_cools",
    "fleet_fabric_links",
    "device_events_total",
    "sample_quality",
    "ALERTS",
    "ALERTS_FOR_STATE",
    "breaker_time_to_trip_seconds",
]
"""Names that the rooms have agreed on."""

RULES = [f"{area}{number:02d}" for area, last in {"A": 53, "B": 30, "C": 20, "D": 16, "E": 8}.items() for number in range(1, last + 1)]  # fmt: skip
BY_EVENTS = {f"A{number:02d}" for number in (*range(1, 28), 41)}
"""Rules on device events alone: `device_events_total` names them as a range."""


def rules_named() -> set[str]:
    """Rules that some metric's meaning names."""
    return {rule for metric in METRICS.values() for rule in re.findall(r"\b([A-E]\d\d)\b", metric.meaning)}


@pytest.mark.parametrize("name", CONTRACT)
def test_every_agreed_name_is_known(name: str) -> None:
    assert name in METRICS


@pytest.mark.parametrize("rule", RULES)
def test_every_rule_of_the_catalogue_finds_a_metric(rule: str) -> None:
    assert rule in rules_named() | BY_EVENTS


def test_no_name_is_there_twice() -> None:
    names = [metric.name for metrics in AREAS.values() for metric in metrics]
    assert len(names) == len(set(names)) == len(METRICS)


@pytest.mark.parametrize("name", METRICS)
def test_native_names_follow_prometheus_and_end_in_their_unit(name: str) -> None:
    metric = METRICS[name]
    assert re.fullmatch(r"[a-zA-Z_][a-zA-Z0-9_]*", name)
    if name in FOREIGN:
        return
    assert name.startswith("ALERTS") or re.fullmatch(r"[a-z][a-z0-9]*(_[a-z0-9]+)*", name)
    assert (metric.kind == "counter") == name.endswith("_total"), "counters and only they end in _total"
    assert not re.search(
        r"_(kilo|milli|mega|percent|hours|minutes|ms|kwh|mhz|mw|kw)(_|$)", name.replace("_liters_per_minute", "")
    )
    if metric.kind != "counter" and unit_of(name) == "1":
        assert UNITLESS.search(name), f"{name} has no unit and does not read like something without one"
    if not name.startswith("ALERTS"):
        assert metric.unit == unit_of(name)


@pytest.mark.parametrize("name", METRICS)
def test_ranges_are_sane(name: str) -> None:
    metric = METRICS[name]
    assert metric.low < metric.high or metric.kind in ("info", "state")
    assert metric.low <= metric.high
    assert not math.isnan(metric.low)
    assert metric.max_rate_per_second is None or metric.max_rate_per_second > 0
    if metric.unit == "degrees Celsius":
        assert metric.low >= -273.15
    if metric.kind == "counter":
        assert metric.low == 0
    if metric.kind == "info":
        assert (metric.low, metric.high) == (1, 1)
    if metric.kind == "state":
        assert metric.states
        assert all(metric.plausible(number) for number, _ in metric.states)
    assert all(not metric.plausible(sentinel) for sentinel in metric.sentinels)


@pytest.mark.parametrize("name", METRICS)
def test_every_metric_says_what_it_means_and_who_makes_it(name: str) -> None:
    metric = METRICS[name]
    assert metric.name == name
    assert metric.meaning
    assert metric.producer
    assert "|" not in metric.meaning
    assert metric.unit in {*UNITS.values(), "1"} or name in FOREIGN or name.startswith("ALERTS")
    assert not set(metric.labels) & {"job", "instance", "asset", "node", "rack", "zone"}


def test_blanks_of_gpu_exporters_are_absent_values() -> None:
    assert not METRICS["DCGM_FI_DEV_MEMORY_TEMP"].plausible(9223372036854775794.0)
    assert not METRICS["DCGM_FI_DEV_TOTAL_ENERGY_CONSUMPTION"].plausible(float(2**63))
    assert METRICS["DCGM_FI_DEV_GPU_TEMP"].plausible(64.0)
    assert not METRICS["gpu_junction_temperature"].plausible(65_535.0)


def test_values_of_recorded_pages_are_plausible(recordings: Path) -> None:
    """Every metric of NVIDIA's page that the register knows, except its blanks."""
    page = (recordings / "exporters" / "dcgm_a100_nvidia_docs.prom").read_text()
    seen = 0
    for line in page.splitlines():
        match = re.match(r"(\w+)(?:\{.*\})?\s+(\S+)$", line)
        if match and match[1] in METRICS:
            value = float(match[2])
            seen += 1
            assert METRICS[match[1]].plausible(value) or value in METRICS[match[1]].sentinels, line
    assert seen > 10


def test_the_committed_page_is_the_registers() -> None:
    page = ROOT / "docs" / "reference" / "metrics.md"
    assert page.read_text() == markdown(), "write it anew: python -m fleet.metrics > docs/reference/metrics.md"


def test_the_page_has_a_row_for_every_metric_and_reason() -> None:
    page = markdown()
    for name in METRICS:
        assert page.count(f"| `{name}` |") == 1
    assert "| 3 | SENTINEL |" in page
    assert all(line.count("|") == 9 for line in page.splitlines() if line.startswith("| `"))
