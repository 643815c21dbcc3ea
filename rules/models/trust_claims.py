"""What the trust model looks for: sensors that must move with what drives them, and instruments that contradict another.

Each claim is PromQL that yields an element for every series under doubt. Percentages are defaults to tune; they lie above
what the instruments' classes of accuracy explain (rack PDUs 1 %, BMC power readings 5 to 10 %, clamp-on flow meters 3 %).
"""

from dataclasses import dataclass
from typing import Final

from fleet.quality import Reason

RACK_WATTS: Final = "sum by (rack) (pdu_outlet_power_watts)"
CDU_WATTS: Final = f"""label_replace(
  sum by (cdu) (max by (cdu, rack) (fleet_cools) * on (rack) group_left () {RACK_WATTS}),
  "asset", "$1", "cdu", "(.+)"
)"""
"""Electrical power of the racks that a CDU cools, under the CDU's name."""
OUTLETS_OF_NODE: Final = """sum by (node) (
  pdu_outlet_power_watts * on (asset, outlet) group_left (node) max by (asset, outlet, node) (fleet_feeds)
)"""


@dataclass(frozen=True, slots=True, kw_only=True)
class StuckCheck:
    """A sensor that must move when its driver does."""

    metric: str
    driver: str
    """PromQL: one value for each value of the label `on`."""
    on: str
    least: float
    """A driver below this is as good as zero: its moves mean nothing."""


STUCK: Final = (
    StuckCheck(metric="cdu_supply_temperature_celsius", driver=CDU_WATTS, on="asset", least=10_000.0),
    StuckCheck(metric="cdu_return_temperature_celsius", driver=CDU_WATTS, on="asset", least=10_000.0),
    StuckCheck(metric="cdu_flow_liters_per_minute", driver=CDU_WATTS, on="asset", least=10_000.0),
    StuckCheck(metric="rack_supply_temperature_celsius", driver=RACK_WATTS, on="rack", least=2_000.0),
    StuckCheck(metric="rack_return_temperature_celsius", driver=RACK_WATTS, on="rack", least=2_000.0),
    StuckCheck(metric="rack_flow_liters_per_minute", driver=RACK_WATTS, on="rack", least=2_000.0),
    StuckCheck(metric="bmc_power_watts", driver=OUTLETS_OF_NODE, on="node", least=500.0),
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Claim:
    """One contradiction between instruments."""

    name: str
    metric: str
    """The metric that is doubted."""
    reason: Reason
    expr: str
    """PromQL: one element a series under doubt, with the labels by which it is known."""
    lasting_seconds: float


CLAIMS: Final = (
    Claim(
        name="pdu input and outlets",
        metric="pdu_input_power_watts",
        reason=Reason.BALANCE,
        # a PDU's own use is tens of watts: below 1 kW the share means nothing
        expr="""abs(
          sum by (job, instance, asset, rack, zone) (pdu_outlet_power_watts)
          / on (asset) group_left () max by (asset) (pdu_input_power_watts > 1000)
          - 1
        ) > 0.10""",
        lasting_seconds=60.0,
    ),
    Claim(
        name="bmc and outlets",
        metric="bmc_power_watts",
        reason=Reason.DISAGREES,
        expr=f"abs(bmc_power_watts / on (node) group_left () ({OUTLETS_OF_NODE} > 500) - 1) > 0.25",
        lasting_seconds=120.0,
    ),
    Claim(
        name="agent and exporter",
        metric="DCGM_FI_DEV_GPU_TEMP",
        reason=Reason.DISAGREES,
        expr="""abs(
          DCGM_FI_DEV_GPU_TEMP
          - on (node, gpu) group_left () max by (node, gpu) (agent_gpu_temperature_celsius)
        ) > 10""",
        lasting_seconds=120.0,
    ),
    Claim(
        name="flow and pressure",
        metric="cdu_flow_liters_per_minute",
        reason=Reason.DISAGREES,
        # pressure falls with the square of the flow: a third of the flow leaves a ninth of the pressure
        expr="""(cdu_flow_liters_per_minute < 0.3 * max_over_time(cdu_flow_liters_per_minute[15m]))
        and on (asset) (
          cdu_pressure_difference_pascals > 0.7 * max_over_time(cdu_pressure_difference_pascals[15m])
        )""",
        lasting_seconds=3.0,
    ),
)
