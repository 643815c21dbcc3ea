"""The node lifecycle: heartbeats, Ready, taints, and the pods of nodes that are out of service."""

from dataclasses import dataclass, field

import numpy as np

from simulator.kube import objects
from simulator.kube.pods import Pods, ready
from simulator.kube.store import NODES, PODS, Object

NOT_READY_SECONDS = 10.0
"""Without a heartbeat; the default is 50 s (v1.32 and later), 40 s before."""


@dataclass(slots=True)
class Nodes:
    """One step of the node controller and of the garbage collector of pods."""

    pods: Pods
    _heard: "np.ndarray[tuple[int], np.dtype[np.float64]]" = field(init=False)

    def __post_init__(self) -> None:
        self._heard = np.full(self.pods.reach.plant.layout.node_count, self.pods.reach.plant.now)

    def reset_heartbeats(self) -> None:
        """Take every kubelet as heard just now: after time was made to pass without the controllers."""
        self._heard[:] = self.pods.reach.plant.now

    def step(self) -> None:
        reach, plant = self.pods.reach, self.pods.reach.plant
        for node in self.pods.store.all(NODES):
            name = node["metadata"]["name"]
            index = plant.layout.node_index[name]
            if reach.kubelet(name):
                self._heard[index] = plant.now
                self._report(node, index)
            elif plant.now - self._heard[index] > NOT_READY_SECONDS:
                self._lose(node)

    def _report(self, node: Object, index: int) -> None:
        """What a living kubelet writes: ready, and how many GPUs its device plugin sees."""
        changed = objects.set_condition(node, "Ready", "True", "KubeletReady", "kubelet is posting ready status")
        gpus = str(int(self.pods.reach.plant.machines.present[index].sum()))
        if node["status"]["allocatable"][objects.GPU] != gpus:
            node["status"]["allocatable"][objects.GPU] = gpus
            changed = True
        before = node["spec"].get("taints", [])
        after = [taint for taint in before if taint["key"] != objects.UNREACHABLE]
        if len(after) != len(before):
            objects.set_taints(node, after)
            changed = True
        if changed:
            self.pods.store.put(NODES, node)

    def _lose(self, node: Object) -> None:
        if not objects.set_condition(
            node, "Ready", "Unknown", "NodeStatusUnknown", "Kubelet stopped posting node status."
        ):
            return
        stamp = objects.timestamp()
        unreachable = [
            {"key": objects.UNREACHABLE, "effect": effect, "timeAdded": stamp} for effect in ("NoSchedule", "NoExecute")
        ]
        objects.set_taints(node, [*node["spec"].get("taints", []), *unreachable])
        self.pods.store.put(NODES, node)
        for pod in self.pods.by_node().get(node["metadata"]["name"], []):
            if objects.set_condition(pod, "Ready", "False", "NodeNotReady"):
                self.pods.store.put(PODS, pod)

    def collect_garbage(self) -> None:
        """Pods of dead nodes that are marked out of service go; pods flee from any other NoExecute taint."""
        for node in self.pods.store.all(NODES):
            keys = [
                taint["key"]
                for taint in node["spec"].get("taints", ())
                if taint.get("effect") == "NoExecute" and taint["key"] != objects.UNREACHABLE
            ]
            if not keys:
                continue
            gone = objects.OUT_OF_SERVICE in keys and not ready(node)
            for pod in self.pods.by_node().get(node["metadata"]["name"], []):
                self.pods.delete(pod, 0 if gone else int(pod["spec"]["terminationGracePeriodSeconds"]))
