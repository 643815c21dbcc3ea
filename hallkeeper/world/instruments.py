"""What the hall's instruments read of the plant, as the series that the product's own profiles give.

One block is one signal of one kind of device, for all devices at once: an array a moment, a row a device. No page, no walk, no
decoder: those have suites of their own.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from bus.frames import SeriesLayout
from collectors.naming import labelled, target_labels
from collectors.target import UP
from devices.reading import Series
from fleet.model import Endpoint, Site
from simulator.identity import gpu_uuid
from simulator.layout import GPUS, PHASES
from simulator.machines import DEFAULT_CAP_WATTS, NodeState
from simulator.nodeagent.jobs import Checkpoints
from simulator.plant import Plant
from simulator.reach import Reach
from simulator.workload import Workload

Floats = npt.NDArray[np.float64]


def series(name: str, **labels: str) -> Series:
    """One series of a device, its own labels sorted."""
    return name, tuple(sorted(labels.items()))


@dataclass(frozen=True, slots=True)
class Block:
    """One signal of many devices of a kind."""

    endpoints: tuple[Endpoint, ...]
    interval_seconds: float
    layouts: tuple[SeriesLayout, ...]
    read: Callable[[float], Floats]
    """Unix seconds to an array: a row a device, a column a series (the last one, `up`, is not in it)."""
    answers: Callable[[str], bool]
    """Whether the device of that asset answers now."""


class Instruments:
    """All blocks of a site."""

    def __init__(
        self, plant: Plant, reach: Reach, workload: Workload, checkpoints: Checkpoints, site: Site, intervals: object
    ) -> None:
        self._plant, self._reach, self._workload, self._site = plant, reach, workload, site
        self._checkpoints = checkpoints
        self._intervals = intervals

    def blocks(self, *, registers: bool = False) -> Iterator[Block]:
        """One a signal; with `registers` without the devices that are read by their registers."""
        layout = self._plant.layout
        yield self._block("agent", layout.nodes, self._agent_series, "agent", self._agents, self._reach.agent)
        yield self._block("ipmi", layout.nodes, self._bmc_series, "bmc", self._bmcs, self._reach.bmc)
        yield self._block("dcgm", layout.nodes, self._page_series, "gpu", self._pages, self._reach.exporter)
        yield self._block("snmp", layout.pdus, self._pdu_series, "outlet", self._pdus, self._reach.device)
        yield self._block("fabric", layout.switches, self._switch_series, "fabric", self._switches, self._reach.device)
        if not registers:
            yield self._block("cdu", layout.cdus, self._cdu_series, "cooling", self._cdus, self._reach.device)

    def _block(
        self,
        job: str,
        assets: Sequence[str],
        series_of: Callable[[str], Sequence[Series]],
        signal: str,
        read: Callable[[float], Floats],
        answers: Callable[[str], bool],
    ) -> Block:
        endpoints = tuple(self._endpoint(asset, job) for asset in assets)
        layouts = tuple(
            SeriesLayout.of(labelled((*series_of(e.asset), UP), target_labels(e, self._site.asset(e.asset))))
            for e in endpoints
        )
        return Block(endpoints, float(getattr(self._intervals, signal)), layouts, read, answers)

    def _endpoint(self, asset: str, job: str) -> Endpoint:
        wanted = {"dcgm": "dcgm", "cdu": "modbus", "fabric": "fabric"}.get(job, job)
        found = self._site.asset(asset).endpoints
        return next(e for e in found if wanted in {e.name, e.job, str(e.wire)} or len(found) == 1)

    # nodes

    def _agent_series(self, _: str) -> Sequence[Series]:
        names = ("agent_heartbeat_timestamp_seconds", "agent_up_seconds", "agent_gpu_count")
        gpu_names = ("agent_gpu_power_watts", "agent_gpu_power_limit_watts", "agent_gpu_default_power_limit_watts")
        return (
            *(series(name) for name in names),
            *(series(name, gpu=str(gpu)) for name in gpu_names for gpu in range(GPUS)),
            *(series("agent_checkpoint_age_seconds", job_id=job.key) for job in self._plant.layout.jobs),
        )

    def _agents(self, now: float) -> Floats:
        machines, plant = self._plant.machines, self._plant
        count = plant.layout.node_count
        ages = np.array([self._checkpoints.age_seconds(job.key) for job in plant.layout.jobs])
        return np.concatenate(
            [
                np.full((count, 1), round(now, 1)),
                np.round(plant.now - machines.booted_at, 1)[:, None],
                machines.present.sum(axis=1, dtype=np.float64)[:, None],
                machines.gpu_watts,
                machines.cap,
                np.full((count, GPUS), DEFAULT_CAP_WATTS),
                np.broadcast_to(ages, (count, len(ages))),
            ],
            axis=1,
        )

    def _bmc_series(self, _: str) -> Sequence[Series]:
        return (series("bmc_power_state"), series("bmc_power_watts"))

    def _bmcs(self, _: float) -> Floats:
        machines = self._plant.machines
        on = (machines.state != NodeState.OFF).astype(np.float64)
        return np.stack([on, np.round(machines.watts)], axis=1)

    def _page_series(self, asset: str) -> Sequence[Series]:
        return tuple(
            series(name, gpu=str(gpu), UUID=gpu_uuid(asset, gpu))
            for name in ("DCGM_FI_DEV_POWER_USAGE", "DCGM_FI_DEV_GPU_TEMP")
            for gpu in range(GPUS)
        )

    def _pages(self, _: float) -> Floats:
        machines = self._plant.machines
        return np.concatenate([machines.gpu_watts, np.round(machines.gpu_celsius)], axis=1)

    # power and cooling

    def _pdu_series(self, asset: str) -> Sequence[Series]:
        layout = self._plant.layout
        phases = [str(phase + 1) for phase in range(PHASES)]
        places = range(max(len(layout.nodes_of_rack(rack)) for rack in range(layout.rack_count)))
        del asset
        return (
            *(series("pdu_phase_current_amperes", phase=phase) for phase in phases),
            *(series("pdu_phase_voltage_volts", phase=phase) for phase in phases),
            series("pdu_input_power_watts"),
            *(series("pdu_outlet_power_watts", outlet=str(place + 1)) for place in places),
        )

    def _pdus(self, _: float) -> Floats:
        power, layout = self._plant.power, self._plant.layout
        racks = layout.rack_count
        amperes = power.phase_amperes.reshape(racks * 2, PHASES)
        volts = power.volts.reshape(racks * 2, PHASES)
        watts = power.phase_watts.reshape(racks * 2, PHASES).sum(axis=1, keepdims=True)
        places = max(len(layout.nodes_of_rack(rack)) for rack in range(racks))
        outlets = np.zeros((racks, 2, places))
        outlets[layout.rack_of, :, layout.position_of] = power.outlet_watts
        return np.concatenate([amperes, volts, np.round(watts), np.round(outlets.reshape(racks * 2, places))], axis=1)

    def _cdu_series(self, _: str) -> Sequence[Series]:
        return (
            series("cdu_flow_liters_per_minute"),
            *(series("cdu_pump_speed_rpm", pump=str(pump)) for pump in (1, 2)),
            series("cdu_supply_temperature_celsius"),
            series("cdu_return_temperature_celsius"),
            series("cdu_leak_detected"),
        )

    def _cdus(self, _: float) -> Floats:
        cooling = self._plant.cooling
        columns = [
            cooling.flow,
            cooling.pump_rpm[:, 0],
            cooling.pump_rpm[:, 1],
            cooling.supply_celsius,
            cooling.return_celsius,
        ]
        return np.stack([*columns, (cooling.leak_bits > 0).astype(np.float64)], axis=1)

    # fabric

    def _switch_series(self, asset: str) -> Sequence[Series]:
        ports = self._site.asset(asset).ports
        return (
            *(series("fabric_port_state", port=port) for port in ports),
            *(series("fabric_port_data_bytes_total", port=port) for port in ports),
        )

    def _switches(self, _: float) -> Floats:
        plant, rows = self._plant, []
        for switch in plant.layout.switches:
            nodes = [plant.layout.node_index[str(node)] for node in self._site.asset(switch).ports.values()]
            rows.append(np.concatenate([plant.fabric_up()[nodes], np.trunc(plant.fabric_bytes[nodes])]))
        return np.array(rows)
