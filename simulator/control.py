"""The control API: what the plant does in truth, which faults are on, and the ground truth."""

import msgspec
import numpy as np

from simulator.faults import FaultError, Faults
from simulator.http import Request, Response, json_response
from simulator.kube.api import KubeApi
from simulator.machines import NodeState
from simulator.reach import Reach
from simulator.scenarios.stage import Stage
from simulator.truth import GroundTruth
from simulator.workload import Workload


class Control:
    """Plain HTTP on loopback for tests and the demo; no part of any real site."""

    def __init__(
        self,
        *,
        reach: Reach,
        faults: Faults,
        truth: GroundTruth,
        workload: Workload,
        kube: KubeApi,
        speed: float,
        stage: Stage | None = None,
    ) -> None:
        self._stage = stage
        self._reach = reach
        self._faults = faults
        self._truth = truth
        self._workload = workload
        self._kube = kube
        self._speed = speed

    def handle(self, request: Request) -> Response:
        """GET /state, GET|POST /faults, DELETE /faults/ID, GET /ground-truth[?after=N], GET|POST /scenario."""
        match (request.method, *request.segments):
            case ("GET", "state"):
                return json_response(self.state())
            case ("GET", "faults"):
                return json_response([fault.as_json() for fault in self._faults.active.values()])
            case ("POST", "faults"):
                return self._begin(request.body)
            case ("DELETE", "faults", number):
                healed = self._faults.heal(number)
                return (
                    json_response(healed.as_json())
                    if healed
                    else json_response({"error": f"no fault {number}", "try": "GET /faults"}, 404)
                )
            case ("GET" | "POST", "scenario") if self._stage is not None:
                if request.method == "POST":
                    self._stage.begin()
                return json_response(self._stage.as_json())
            case ("GET", "ground-truth"):
                return self._ground_truth(request)
            case _:
                return json_response(
                    {"error": f"nothing is at {request.method} {request.path}", "try": self.handle.__doc__}, 404
                )

    def _begin(self, body: bytes) -> Response:
        try:
            order = msgspec.json.decode(body, type=dict[str, object])
            return json_response(self._faults.begin(order).as_json(), 201)
        except (FaultError, msgspec.DecodeError) as error:
            return json_response({"error": str(error), "try": '{"fault": "hung-node", "target": "dgx-007"}'}, 422)

    def _ground_truth(self, request: Request) -> Response:
        after = request.query.get("after", "0")
        if not after.isdigit():
            return json_response({"error": f"after is {after!r}", "try": "a number"}, 422)
        lines = self._truth.lines(int(after))
        return Response(200, b"[" + b",".join(line.rstrip() for line in lines) + b"]")

    def state(self) -> dict[str, object]:
        """Everything about the plant that a test may want to judge by."""
        plant = self._reach.plant
        return {
            "seconds": round(plant.now, 3),
            "speed": self._speed,
            "nodes": self._nodes(),
            "pdus": self._pdus(),
            "cdus": self._cdus(),
            "bess": {"charge_ratio": plant.battery.charge_ratio, "watts": plant.battery.watts},
            **self._kube.summary(),
            "faults": [fault.as_json() for fault in self._faults.active.values()],
            "second_writers": self._workload.second_writers,
            "ground_truth": self._truth.count,
        }

    def _nodes(self) -> dict[str, object]:
        plant, reach = self._reach.plant, self._reach
        machines = plant.machines
        outlets = plant.power.outlet_watts
        return {
            name: {
                "state": NodeState(int(machines.state[node])).name.lower(),
                "watts": round(float(machines.watts[node]), 1),
                "outlet_watts": [round(float(value), 1) for value in outlets[node]],
                "outlets_on": [bool(value) for value in plant.power.relay[node]],
                "gpus": int(machines.present[node].sum()),
                "gpu_watts": round(float(machines.gpu_watts[node].sum()), 1),
                "gpu_limit_watts": float(machines.cap[node].min()),
                "hottest_gpu_celsius": round(float(machines.gpu_celsius[node].max()), 1),
                "jobs": self._workload.jobs_on(name),
                "fabric_port": bool(plant.fabric_up()[node]),
                "bmc_answers": reach.bmc(name),
                "agent_answers": reach.agent(name),
                "kubelet": reach.kubelet(name),
                "boots": int(machines.boots[node]),
            }
            for node, name in enumerate(plant.layout.nodes)
        }

    def _pdus(self) -> dict[str, object]:
        plant = self._reach.plant
        ratio = plant.power.load_ratio()
        return {
            name: {
                "feed_live": bool(plant.power.feed_live[pdu // 2, pdu % 2]),
                "phase_amperes": np.round(plant.power.phase_amperes[pdu // 2, pdu % 2], 2).tolist(),
                "phase_load_ratio": np.round(ratio[pdu // 2, pdu % 2], 4).tolist(),
                "rated_amperes": plant.layout.rated_amperes(pdu // 2),
            }
            for pdu, name in enumerate(plant.layout.pdus)
        }

    def _cdus(self) -> dict[str, object]:
        cooling = self._reach.plant.cooling
        return {
            name: {
                "supply_celsius": round(float(cooling.supply_celsius[row]), 2),
                "return_celsius": round(float(cooling.return_celsius[row]), 2),
                "flow_liters_per_minute": round(float(cooling.flow[row]), 1),
                "level_percent": round(float(cooling.level[row]), 1),
                "leak_bits": int(cooling.leak_bits[row]),
            }
            for row, name in enumerate(self._reach.plant.layout.cdus)
        }
