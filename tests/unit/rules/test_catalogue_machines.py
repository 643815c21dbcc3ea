"""What the sidecars of GPUs, nodes and fabric add: alerts end at their clear threshold and not before, gaps are held, and
defaults in rules are those of the table of thresholds."""

import re
from collections.abc import Callable
from pathlib import Path

import pytest

from fleet.thresholds import THRESHOLDS
from fleet.thresholds.gpu import GPU
from rules.files.load import load_rules
from rules.files.model import AlertRule
from tests.unit.rules.test_catalogue_clears import Clearing, Run, one

CATALOGUE = Path(__file__).parents[3] / "rules" / "catalogue"
FILES = [path for area in ("gpu", "node", "fabric") for path in CATALOGUE.glob(f"{area}*.yaml")]
DEFAULT = re.compile(r'scalar\(max\(fleet_threshold\{name="(\w+)"\}\) or vector\((-?[\d.e]+)\)\)')
RULES = [
    rule
    for path in FILES
    if not path.stem.endswith(".hallkeeper")
    for group in load_rules([path]).groups
    for rule in group.rules
    if isinstance(rule, AlertRule)
]


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.name)
def test_a_default_in_a_rule_is_the_default_of_the_table(path: Path) -> None:
    text = "\n".join(line for line in path.read_text().splitlines() if not line.lstrip().startswith("#"))
    found = DEFAULT.findall(text)
    assert text.count("fleet_threshold") == len(found)
    for name, default in found:
        assert float(default) == THRESHOLDS[name].default, name


def test_every_threshold_of_gpus_nodes_and_fabric_is_read_by_a_rule() -> None:
    read = {name for path in FILES for name, _ in DEFAULT.findall(path.read_text())}
    assert read == GPU.keys()


def test_every_entry_of_gpus_nodes_and_fabric_has_a_rule() -> None:
    entries = {entry for rule in RULES for entry in rule.sidecar.catalogue}
    assert {f"A{number:02d}" for number in range(1, 54)} <= entries
    assert all(rule.sidecar.catalogue for rule in RULES)


def counter(*pieces: tuple[int, float]) -> Callable[[int], float]:
    """A counter that grows by so much a second, piece after piece of so many seconds; the last goes on for ever."""

    def value(at_ms: int) -> float:
        left, total = at_ms / 1_000, 0.0
        for number, (seconds, rate) in enumerate(pieces):
            spent = left if number == len(pieces) - 1 else min(left, float(seconds))
            total, left = total + spent * rate, left - spent
        return total

    return value


def rated(
    area: str, alert: str, series: str, rates: tuple[float, float, float], clear: int, hot: int, **more: int
) -> Clearing:
    """An alert on the rate of a counter, whose window empties before the clear time begins."""
    window = more.pop("window", 60)
    between = more.get("between_seconds", 60)
    growing = {series: counter((hot, rates[0]), (between, rates[1]), (0, rates[2]))}
    return Clearing(area, alert, growing, growing, growing, clear + window, hot_seconds=hot, **more)  # type: ignore[arg-type]


G = 'asset="n1",node="n1",rack="r1",zone="1",gpu="0"'
P = 'asset="n1",node="n1",rack="r1",zone="1",device="mlx5_0",port="1"'
MARGIN, CORE, MEMORY = (f"DCGM_FI_DEV_{name}{{{G}}}" for name in ("GPU_TEMP_LIMIT", "GPU_TEMP", "MEMORY_TEMP"))
RANK = 'job_id="j",rank="0"'
CLEARINGS = [
    one("gpu", "GpuHot", CORE, (88.0, 83.0, 81.0), 60),
    one("gpu-thermal", "GpuThermalMarginGone", MARGIN, (-3.0, 4.0, 5.0), 60),
    one("gpu-thermal", "GpuThermalMarginLow", MARGIN, (9.0, 13.0, 14.0), 60),
    one("gpu-thermal", "GpuWarm", CORE, (81.0, 76.0, 74.0), 60),
    one("gpu-thermal", "GpuMemoryWarm", MEMORY, (91.0, 86.0, 84.0), 60),
    one("gpu-thermal", "GpuMemoryHot", MEMORY, (96.0, 91.0, 89.0), 60),
    rated("gpu-thermal", "GpuThermallyThrottledLong", f"DCGM_FI_DEV_THERMAL_VIOLATION{{{G}}}", (1e8, 1e7, 0.0), 300, 120, between_seconds=120, step_seconds=5),
    rated("gpu-links", "GpuNvlinkCrcErrors", f"DCGM_FI_DEV_NVLINK_CRC_FLIT_ERROR_COUNT_TOTAL{{{G}}}", (110.0, 50.0, 1.0), 300, 120, between_seconds=120, step_seconds=5),
    rated("gpu-links", "GpuPcieReplays", f"DCGM_FI_DEV_PCIE_REPLAY_COUNTER{{{G}}}", (0.3, 0.1, 0.0), 600, 400, between_seconds=200, step_seconds=10, window=120),
    rated("gpu-memory", "GpuCorrectedErrorsFast", f"DCGM_FI_DEV_ECC_SBE_VOL_TOTAL{{{G}}}", (0.3, 0.12, 0.0), 600, 600, between_seconds=400, step_seconds=15, window=300),
    rated("gpu-amd", "AmdCorrectedErrorsFast", f"gpu_ecc_correct_total{{{G}}}", (0.3, 0.12, 0.0), 600, 600, between_seconds=400, step_seconds=15, window=300),
    one("gpu-amd", "AmdGpuHot", f"gpu_junction_temperature{{{G}}}", (96.0, 91.0, 89.0), 60),
    one("gpu-jobs", "JobRankSlow", f"job_rank_slowdown_ratio{{{RANK}}}", (0.06, 0.03, 0.02), 300, hot_seconds=330, step_seconds=10, always={f"job_rank_slowdown_score{{{RANK}}}": 4.0}),
    one("node-hardware", "ClockOff", 'node_timex_offset_seconds{asset="n1",node="n1"}', (-0.2, 0.08, 0.04), 60, hot_seconds=90),
    one("fabric", "FabricPortInactive", f"node_infiniband_state_id{{{P}}}", (1.0, 2.0, 4.0), 0, before=[(600, {f"node_infiniband_state_id{{{P}}}": 4.0})], step_seconds=2),
    rated("fabric", "FabricLinkRecovering", f"node_infiniband_link_error_recovery_total{{{P}}}", (0.2, 0.05, 0.0), 300, 420, between_seconds=360, step_seconds=10, window=300),
    rated("fabric", "FabricReceiveErrors", f"node_infiniband_port_errors_received_total{{{P}}}", (20.0, 7.0, 0.0), 300, 180, between_seconds=120, step_seconds=5),
    rated("fabric", "FabricDiscards", f"node_infiniband_port_discards_transmitted_total{{{P}}}", (200.0, 70.0, 0.0), 300, 180, between_seconds=120, step_seconds=5),
    rated("fabric", "FabricAckTimeouts", f"rdma_local_ack_timeout_err_total{{{P}}}", (2.0, 0.7, 0.0), 300, 180, between_seconds=120, step_seconds=5),
    rated("fabric", "FabricSymbolErrors", f"node_infiniband_symbol_error_total{{{P}}}", (20.0, 0.02, 0.0), 60, 180, between_seconds=3_700, step_seconds=30, window=3_300),
]  # fmt: skip


@pytest.mark.parametrize("case", CLEARINGS, ids=lambda case: case.alert)
def test_an_alert_ends_when_its_clear_threshold_has_held_and_not_before(case: Clearing) -> None:
    run = Run(case.area, case.alert)
    now, counts = 0, []
    for seconds, series in case.phases:
        began = now
        while now < began + seconds * 1_000:
            run.at(now, {**case.always, **series})
            now += case.step_seconds * 1_000
        counts.append(run.firing(case.alert))
    assert counts[-3:] == [1, 1, 0], "fires, stays in between, ends"


def test_every_clear_threshold_of_gpus_nodes_and_fabric_is_shown_to_hold() -> None:
    assert {rule.name for rule in RULES if rule.sidecar.clear} == {case.alert for case in CLEARINGS}


def test_a_hot_gpu_whose_exporter_falls_silent_stays_hot_and_ends_as_unknown() -> None:
    run = Run("gpu", "GpuHot")
    for now in range(0, 20_000, 1_000):
        run.at(now, {CORE: 95.0})
    assert run.firing("GpuHot") == 1
    changes = [(now, state) for now in range(20_000, 700_000, 5_000) for _, state in run.at(now, {})]
    assert [state for _, state in changes] == ["unknown"]
    assert 590_000 <= changes[0][0] - 19_000 <= 610_000, "five minutes of lookback, and five that its sidecar holds"


def test_a_hot_gpu_fires_by_the_default_where_nobody_publishes_thresholds() -> None:
    run = Run("gpu", "GpuHot")
    for now in range(0, 10_000, 1_000):
        run.at(now, {CORE: 88.0})
    assert run.firing("GpuHot") == 1
