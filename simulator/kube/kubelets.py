"""What the kubelets of living nodes do with their pods."""

from dataclasses import dataclass

from simulator.kube import objects
from simulator.kube.pods import Binding, Pods, leaving, ready
from simulator.kube.store import PODS, Object

START_SECONDS = (2.0, 4.0)
"""From binding to Running, the image being there."""
STOP_SECONDS = 2.0
"""From the signal to the end of a worker that listens to it."""


@dataclass(slots=True)
class Kubelets:
    """One step of all of them; those of silent nodes do nothing."""

    pods: Pods

    def step(self) -> None:
        by_node = self.pods.by_node()
        reach = self.pods.reach
        for index, name in enumerate(reach.plant.layout.nodes):
            if reach.kubelet(name):
                self._sync(index, by_node.get(name, []))

    def _sync(self, index: int, pods: list[Object]) -> None:
        """Kill what the API no longer knows, end what shall end, start what shall run."""
        workload = self.pods.workload
        for uid in workload.uids_on(index) - {pod["metadata"]["uid"] for pod in pods}:
            workload.stop(index, uid)
        for pod in pods:
            binding = self.pods.binding(pod)
            if leaving(pod):
                self._stop(pod, binding, index)
            elif not workload.has(index, pod["metadata"]["uid"]):
                self._start(pod, binding)
            elif not ready(pod):
                objects.set_condition(pod, "Ready", "True", "ContainersReady")
                self.pods.store.put(PODS, pod)

    def _stop(self, pod: Object, binding: Binding, index: int) -> None:
        now, uid = self.pods.reach.plant.now, pod["metadata"]["uid"]
        if binding.stop_at is None:
            binding.stop_at = now + min(STOP_SECONDS, float(pod["metadata"]["deletionGracePeriodSeconds"]))
        if now >= binding.stop_at or not self.pods.workload.has(index, uid):
            self.pods.workload.stop(index, uid)
            self.pods.remove(pod)

    def _start(self, pod: Object, binding: Binding) -> None:
        plant = self.pods.reach.plant
        if binding.start_at is None:
            binding.start_at = plant.now + float(plant.rng.uniform(*START_SECONDS))
            if pod["status"]["phase"] == "Running":
                objects.set_restarting(pod)
                self.pods.store.put(PODS, pod)
        elif plant.now >= binding.start_at:
            self.pods.run(pod)
