"""What every instrument of the simulated site reads at a moment, straight from the plant: no socket, no page, no decoder.

For recordings that are made faster than time. Series and labels are those that the product's own profiles give.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from devices.reading import STALE, Series
from fleet.model import Site
from simulator.exporters.dcgm import DRIVER, FIELDS, WHOLE, values
from simulator.identity import gpu_uuid, pci_bus_id
from simulator.layout import GPUS, PHASES
from simulator.machines import NodeState
from simulator.plant import Plant
from simulator.workload import Workload

Floats = npt.NDArray[np.float64]
Read = Callable[[float], Sequence[float] | Floats | None]
"""Unix seconds to the values; None while the device is silent."""
_WHOLE = np.array(sorted(WHOLE))


@dataclass(frozen=True, slots=True)
class Signal:
    """One signal of one endpoint."""

    source: str
    """`asset/endpoint`."""
    name: str
    interval_seconds: int
    series: tuple[Series, ...]
    read: Read

    def values(self, at_ms: int) -> Floats | None:
        """What it reads now."""
        found = self.read(at_ms / 1000)
        return None if found is None else np.asarray(found, dtype=np.float64)


def _series(name: str, **labels: str) -> Series:
    return name, tuple(sorted(labels.items()))


class Readings:
    """All signals of a plant that the site file names."""

    def __init__(self, plant: Plant, workload: Workload, site: Site) -> None:
        self._plant, self._workload, self._site = plant, workload, site
        self._pages: Floats = np.zeros((0, 0))
        self._pages_of = -1

    def signals(self) -> Iterator[Signal]:
        """Every signal, endpoint by endpoint."""
        makers: Mapping[str, Callable[[str, str], Iterator[Signal]]] = {
            "dcgm": self._exporter,
            "agent": self._agent,
            "bmc": self._bmc,
            "snmp": self._pdu,
            "fabric": self._switch,
            "modbus": self._modbus,
            "kubernetes": self._cluster,
        }
        for endpoint in self._site.endpoints():
            kind = next((name for name in makers if name in {endpoint.name, endpoint.job}), None)
            if kind is not None:
                yield from makers[kind](str(endpoint.asset), endpoint.source)

    def _page(self, node: int) -> Floats:
        """The exporter's page of a node; those of all nodes are made at once when the plant has moved."""
        if self._pages_of != self._plant.tick:
            self._pages_of = self._plant.tick
            pages = values(self._plant, slice(None))
            pages[_WHOLE] = np.trunc(pages[_WHOLE])  # as the exporter prints them
            pages = np.round(pages, 6)
            pages[:, ~self._plant.machines.present] = STALE
            self._pages = np.ascontiguousarray(pages.transpose(1, 0, 2)).reshape(len(self._plant.layout.nodes), -1)
        return np.asarray(self._pages[node])

    def _running(self, node: int) -> bool:
        return bool(self._plant.machines.state[node] == NodeState.RUNNING)

    # nodes

    def _exporter(self, asset: str, source: str) -> Iterator[Signal]:
        node = self._plant.layout.node_index[asset]
        labels = [
            {
                "gpu": str(gpu),
                "UUID": gpu_uuid(asset, gpu),
                "pci_bus_id": pci_bus_id(gpu),
                "device": f"nvidia{gpu}",
                "modelName": "NVIDIA H100 80GB HBM3",
                "Hostname": asset,
                "DCGM_FI_DRIVER_VERSION": DRIVER,
            }
            for gpu in range(GPUS)
        ]
        series = tuple(_series(name, **labels[gpu]) for name, _, _ in FIELDS for gpu in range(GPUS))

        def read(_: float) -> Floats | None:
            return self._page(node) if self._running(node) else None

        yield Signal(source, "gpu", 1, series, read)

    def _agent(self, asset: str, source: str) -> Iterator[Signal]:
        machines, node = self._plant.machines, self._plant.layout.node_index[asset]
        names = ("agent_heartbeat_timestamp_seconds", "agent_up_seconds", "agent_gpu_count")
        gpu_names = ("agent_gpu_power_watts", "agent_gpu_power_limit_watts", "agent_gpu_default_power_limit_watts")
        series = (
            *(_series(name) for name in names),
            *(_series(name, gpu=str(gpu)) for name in gpu_names for gpu in range(GPUS)),
        )

        def read(now: float) -> list[float] | None:
            if not self._running(node):
                return None
            up = round(1e6 + self._plant.now, 1)
            watts = np.round(machines.gpu_watts[node], 3).tolist()
            limits, default = machines.cap[node].tolist(), [700.0] * GPUS
            return [round(now, 1), up, float(machines.present[node].sum()), *watts, *limits, *default]

        yield Signal(source, "agent", 2, series, read)

    def _bmc(self, asset: str, source: str) -> Iterator[Signal]:
        plant, node = self._plant, self._plant.layout.node_index[asset]
        series = (_series("bmc_power_state"), _series("bmc_power_watts"))

        def read(_: float) -> list[float] | None:
            if not plant.bmc_alive(node):
                return None
            on = plant.machines.state[node] != NodeState.OFF
            return [float(on), float(np.round(plant.machines.watts[node]))]

        yield Signal(source, "bmc", 10, series, read)

    # power and cooling

    def _pdu(self, asset: str, source: str) -> Iterator[Signal]:
        power, layout = self._plant.power, self._plant.layout
        rack, side = divmod(layout.pdu_index[asset], 2)
        nodes = list(layout.nodes_of_rack(rack))
        phases = [str(phase + 1) for phase in range(PHASES)]
        inlet = (
            *(_series("pdu_phase_current_amperes", phase=phase) for phase in phases),
            *(_series("pdu_phase_voltage_volts", phase=phase) for phase in phases),
            _series("pdu_input_power_watts"),
        )
        outlet = tuple(_series("pdu_outlet_power_watts", outlet=str(n + 1)) for n in range(len(nodes)))

        def read_inlet(_: float) -> Floats:
            amperes, volts = power.phase_amperes[rack, side], power.volts[rack, side]
            watts = power.phase_watts[rack, side].sum()
            return np.concatenate([np.round(amperes, 3), np.round(volts, 3), [np.round(watts)]])

        def read_outlets(_: float) -> Floats:
            return np.asarray(np.round(power.outlet_watts[nodes, side]))

        yield Signal(source, "inlet", 1, inlet, read_inlet)
        yield Signal(source, "outlet", 10, outlet, read_outlets)

    def _modbus(self, asset: str, source: str) -> Iterator[Signal]:
        if asset in self._plant.layout.cdus:
            yield self._cdu(self._plant.layout.cdus.index(asset), source)
        else:
            battery = self._plant.battery
            series = (_series("bess_state_of_charge_ratio"), _series("bess_power_watts"))
            yield Signal(source, "bess", 1, series, lambda _: [round(battery.charge_ratio, 4), battery.watts])

    def _cdu(self, row: int, source: str) -> Signal:
        cooling = self._plant.cooling
        series = (
            _series("cdu_flow_liters_per_minute"),
            *(_series("cdu_pump_speed_rpm", pump=str(pump)) for pump in (1, 2)),
            _series("cdu_supply_temperature_celsius"),
            _series("cdu_return_temperature_celsius"),
            _series("cdu_leak_detected"),
        )

        def read(_: float) -> list[float]:
            rpm = np.round(cooling.pump_rpm[row]).tolist()
            warm = [round(float(cooling.supply_celsius[row]), 2), round(float(cooling.return_celsius[row]), 2)]
            return [round(float(cooling.flow[row]), 1), *rpm, *warm, float(cooling.leak_bits[row] > 0)]

        return Signal(source, "cooling", 1, series, read)

    # fabric and scheduler

    def _switch(self, asset: str, source: str) -> Iterator[Signal]:
        plant, ports = self._plant, self._site.asset(asset).ports
        nodes = [plant.layout.node_index[str(node)] for node in ports.values()]
        series = (
            *(_series("fabric_port_state", port=port) for port in ports),
            *(_series("fabric_port_data_bytes_total", port=port) for port in ports),
        )

        def read(_: float) -> Floats:
            return np.concatenate([plant.fabric_up()[nodes], np.trunc(plant.fabric_bytes[nodes])])

        yield Signal(source, "fabric", 2, series, read)

    def _cluster(self, _: str, source: str) -> Iterator[Signal]:
        layout, index = self._plant.layout, self._plant.layout.node_index
        jobs = {job.key: job for job in layout.jobs}
        placed = [(job, node) for node in layout.nodes for job in self._workload.jobs_on(node)]
        series = (
            *(_series("kube_node_spec_unschedulable", node=node) for node in layout.nodes),
            *(
                _series("kube_node_status_condition", node=node, condition="Ready", status="true")
                for node in layout.nodes
            ),
            *(
                _series("fleet_job_info", job_id=job, node=node, priority=jobs[job].priority_class)
                for job, node in placed
            ),
            *(
                _series("kube_pod_status_phase", namespace=jobs[job].namespace, pod=f"{jobs[job].name}-{index[node]}", node=node, phase="Running")
                for job, node in placed
            ),
        )  # fmt: skip

        def read(_: float) -> Floats:
            count, ready = layout.node_count, self._plant.machines.state == NodeState.RUNNING
            return np.concatenate([np.zeros(count), ready.astype(np.float64), np.ones(2 * len(placed))])

        yield Signal(source, "scheduler", 5, series, read)
