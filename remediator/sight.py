"""Reads the instruments around one node: the window of frames, and the scheduler's own objects."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal, Protocol

from fleet.errors import HallkeeperError
from fleet.model import Asset, AssetId, Kind, Site
from fleet.quality import Quality, quality_of
from remediator.cluster import Cluster, NodeObject, Pod
from remediator.facts import Evidence, Instrument
from remediator.proof import Meter, Reading
from remediator.vitals import Drain, Outlet, Vitals
from rules.query import Sample

STOP_EVENT_SECONDS = 600
"""How long a SEL record of a stopped system speaks for death."""
STOP_SENSORS = ("0x23", "0x20", "0x07")
"""SEL sensor types: watchdog 2, operating system stop, processor (IERR)."""
COUNTING_SECONDS = 20
LIFE_FLOOR_MS = 4_000
"""A sign of life holds two intervals and at least this long."""

METRICS = frozenset(
    {
        "pdu_outlet_power_watts", "pdu_phase_current_amperes", "pdu_input_power_watts", "bmc_power_state",
        "agent_heartbeat_timestamp_seconds", "agent_up_seconds", "agent_gpu_count", "agent_checkpoint_age_seconds",
        "agent_gpu_power_watts", "agent_gpu_power_limit_watts", "agent_gpu_default_power_limit_watts",
        "DCGM_FI_DEV_POWER_USAGE", "fabric_port_state", "fabric_port_data_bytes_total", "up",
        "cdu_flow_liters_per_minute", "fleet_job_info", "sample_quality",
    }
)  # fmt: skip
"""What playbooks and gates name, and so all that the window keeps."""


class Window(Protocol):
    """The live window (`rules.query.LiveWindow`) as far as judgement needs it."""

    def latest(self, name: str, matchers: Mapping[str, str]) -> Sequence[Sample]: ...

    def since(self, name: str, matchers: Mapping[str, str], since_ms: int) -> Sequence[Sample]: ...


@dataclass(frozen=True, slots=True)
class Signal:
    """How often a metric is read and how old it may be inside its device."""

    interval_ms: int
    refresh_ms: int = 0


class Sight:
    """Everything that is known about a node right now, each fact from its own instrument."""

    def __init__(
        self,
        *,
        site: Site,
        window: Window,
        cluster: Cluster | None,
        signal: Callable[[str], Signal],
        usual_watts: Callable[[AssetId], float | None],
        stop_events: Callable[[AssetId, int], Sequence[str]],
    ) -> None:
        self.site = site
        self.window = window
        self.cluster = cluster
        self._signal = signal
        self._usual_watts = usual_watts
        self._stop_events = stop_events
        self._ports: dict[AssetId, tuple[tuple[AssetId, str], ...]] = {}
        for switch in site.of_kind(Kind.SWITCH):
            for port, behind in switch.ports.items():
                self._ports[behind] = (*self._ports.get(behind, ()), (switch.id, port))

    # meters

    def outlet_meters(self, node: AssetId, since_ms: int) -> tuple[Meter, ...]:
        """One meter per outlet of the node, empty where nothing was read."""
        return tuple(self.outlet_meter(outlet, since_ms) for outlet in self.site.graph.outlets_of(node))

    def outlet_meter(self, outlet: Asset, since_ms: int) -> Meter:
        """The watts of one outlet."""
        labels = {"asset": str(outlet.labels["pdu"]), "outlet": str(outlet.labels["outlet"])}
        return self.meter("pdu_outlet_power_watts", labels, since_ms)

    def meter(self, metric: str, labels: Mapping[str, str], since_ms: int) -> Meter:
        """The samples of the series with these labels, oldest first; of several series the values are not mixed up."""
        samples = self.window.since(metric, labels, since_ms)
        first = samples[0].labels if samples else {}
        readings = [Reading(s.at_ms, s.value, s.quality) for s in samples if s.labels == first]
        return Meter(metric=metric, labels=labels, readings=readings, refresh_ms=self._signal(metric).refresh_ms)

    def newest(self, metric: str, labels: Mapping[str, str], now_ms: int, *, ceiling_ms: int = 30_000) -> Sample | None:
        """The newest good sample, if it is fresh."""
        signal = self._signal(metric)
        limit = min(2 * signal.interval_ms + signal.refresh_ms + LIFE_FLOOR_MS, ceiling_ms)
        good = [s for s in self.window.latest(metric, labels) if quality_of(s.quality) is Quality.GOOD]
        found = max(good, key=lambda sample: sample.at_ms, default=None)
        return found if found is not None and now_ms - found.at_ms <= limit else None

    # one node

    def vitals(self, node: AssetId, now_ms: int, kubelet: NodeObject | None) -> Vitals:
        """Signs of life and death."""
        outlets = tuple(
            Outlet(
                name=outlet.id,
                watts=self._watts(outlet, now_ms),
                usual_watts=self._usual_watts(outlet.id),
            )
            for outlet in self.site.graph.outlets_of(node)
        )
        power = self.newest("bmc_power_state", {"asset": node}, now_ms)
        return Vitals(
            alive_in_band=self._alive(node, now_ms, kubelet),
            silent_seconds=self._silent_seconds(node, now_ms),
            bmc_on=None if power is None else power.value >= 0.5,
            stop_events=tuple(self._stop_events(node, now_ms - STOP_EVENT_SECONDS * 1000)),
            outlets=outlets,
            idle_watts=self.site.asset(node).ratings.get("idle_watts", 0.0),
            fabric=self._fabric(node, now_ms),
        )

    def evidence(self, node: AssetId, now_ms: int, kubelet: NodeObject | None) -> tuple[Evidence, ...]:
        """The newest reading of each instrument about the node, or about the meters of what is none."""
        if self.site.asset(node).kind is not Kind.NODE:
            return self._plant_evidence(node, now_ms)
        found = [
            self._evidence(Instrument.OUTLET_METER, self.outlet_meter(outlet, now_ms - 60_000), outlet.id)
            for outlet in self.site.graph.outlets_of(node)
        ]
        for instrument, metric in _NODE_INSTRUMENTS:
            found.append(self._evidence(instrument, self.meter(metric, {"asset": node}, now_ms - 60_000), node))
        known = [item for item in found if item is not None]
        if kubelet is not None:
            known.append(
                Evidence(instrument=Instrument.SCHEDULER, metric="node", asset=node, at_ms=now_ms, interval_ms=10_000)
            )
        return tuple(known)

    def _plant_evidence(self, asset: AssetId, now_ms: int) -> tuple[Evidence, ...]:
        """A PDU's, cooling unit's or switch's own reading, and those of the PDUs and cooling units below it."""
        found = [
            self._evidence(*_PLANT_INSTRUMENTS[kind](self, name, now_ms), name)
            for name in sorted({asset} | self.site.graph.downstream(asset) | self._coolers(asset))
            if (kind := self.site.asset(name).kind) in _PLANT_INSTRUMENTS
        ]
        return tuple(item for item in found if item is not None)

    def _coolers(self, asset: AssetId) -> set[AssetId]:
        return {name for name in self.site.graph.upstream(asset) if self.site.asset(name).kind is Kind.CDU}

    def _evidence(self, instrument: Instrument, meter: Meter, asset: AssetId) -> Evidence | None:
        if not meter.readings:
            return None
        last = meter.readings[-1]
        signal = self._signal(meter.metric)
        return Evidence(
            instrument=instrument,
            metric=meter.metric,
            asset=asset,
            at_ms=last.at_ms,
            interval_ms=signal.interval_ms,
            refresh_ms=signal.refresh_ms,
            good=quality_of(last.quality) is Quality.GOOD and not self._doubted(meter),
            value=last.value,
        )

    def _doubted(self, meter: Meter) -> bool:
        """Whether rules object to the series: stuck, jumped, contradicted. Their word holds until it ends as stale."""
        doubts = self.window.latest("sample_quality", {**meter.labels, "metric": meter.metric})
        return any(quality_of(int(doubt.value)) is not Quality.GOOD for doubt in doubts)

    def _watts(self, outlet: Asset, now_ms: int) -> float | None:
        labels = {"asset": str(outlet.labels["pdu"]), "outlet": str(outlet.labels["outlet"])}
        sample = self.newest("pdu_outlet_power_watts", labels, now_ms, ceiling_ms=10_000)
        return None if sample is None else sample.value

    def _alive(self, node: AssetId, now_ms: int, kubelet: NodeObject | None) -> tuple[str, ...]:
        signs = []
        if self.newest("agent_heartbeat_timestamp_seconds", {"asset": node}, now_ms, ceiling_ms=10_000) is not None:
            signs.append("its agent answers")
        if self.newest("DCGM_FI_DEV_POWER_USAGE", {"asset": node}, now_ms, ceiling_ms=10_000) is not None:
            signs.append("its exporter answers")
        if kubelet is not None and kubelet.ready and _renewed(kubelet, now_ms):
            signs.append("its kubelet reports ready")
        return tuple(signs)

    def _silent_seconds(self, node: AssetId, now_ms: int) -> float | None:
        last = [
            sample.at_ms
            for metric in ("agent_heartbeat_timestamp_seconds", "DCGM_FI_DEV_POWER_USAGE")
            for sample in self.window.since(metric, {"asset": node}, 0)[-1:]
        ]
        return (now_ms - max(last)) / 1000 if last else None

    def _fabric(self, node: AssetId, now_ms: int) -> Literal["active", "counting", "down"] | None:
        states = []
        for switch, port in self.ports_of(node):
            labels = {"asset": switch, "port": port}
            if self._counting(labels, now_ms):
                return "counting"
            state = self.newest("fabric_port_state", labels, now_ms)
            if state is not None:
                states.append(state.value >= 0.5)
        if not states:
            return None
        return "active" if any(states) else "down"

    def _counting(self, labels: Mapping[str, str], now_ms: int) -> bool:
        samples = self.window.since("fabric_port_data_bytes_total", labels, now_ms - COUNTING_SECONDS * 1000)
        return len(samples) >= 2 and samples[-1].value > samples[-2].value

    def ports_of(self, node: AssetId) -> tuple[tuple[AssetId, str], ...]:
        """The fabric ports that the node hangs on."""
        return self._ports.get(node, ())

    # the scheduler

    def gpus_of(self, job: str) -> int:
        """GPUs of the nodes that the job runs on."""
        nodes = {sample.labels.get("node", "") for sample in self.window.latest("fleet_job_info", {"job_id": job})}
        return round(sum(self.site.assets[AssetId(n)].ratings.get("gpus", 0) for n in nodes if n in self.site.assets))

    async def node_object(self, node: AssetId) -> NodeObject | None:
        """The node as the cluster has it; None when it cannot be read, and for what is no node."""
        if self.cluster is None or self.site.asset(node).kind is not Kind.NODE:
            return None
        try:
            return await self.cluster.node(node)
        except HallkeeperError:
            return None

    async def workload(self, node: AssetId) -> tuple[Pod, ...] | None:
        """Pods of work that are still on the node; None when that cannot be read."""
        if self.cluster is None:
            return None
        if self.site.asset(node).kind is not Kind.NODE:
            return ()
        try:
            return tuple(pod for pod in await self.cluster.pods_on(node) if pod.works)
        except HallkeeperError:
            return None

    async def drain(self, node: AssetId, memory: Mapping[str, object], now_ms: int) -> Drain:
        """Whether a living node may be taken away."""
        pods = await self.workload(node)
        deadline = memory.get("jobs_deadline_ms")
        return Drain(
            workload_pods=None if pods is None else len(pods),
            acknowledged=bool(memory.get("jobs_acknowledged")),
            deadline_passed=isinstance(deadline, int) and now_ms >= deadline,
        )


_NODE_INSTRUMENTS = (
    (Instrument.BMC, "bmc_power_state"),
    (Instrument.AGENT, "agent_heartbeat_timestamp_seconds"),
    (Instrument.EXPORTER, "DCGM_FI_DEV_POWER_USAGE"),
)


def _metered(instrument: Instrument, metric: str) -> "Callable[[Sight, AssetId, int], tuple[Instrument, Meter]]":
    def read(sight: "Sight", asset: AssetId, now_ms: int) -> tuple[Instrument, Meter]:
        return instrument, sight.meter(metric, {"asset": asset}, now_ms - 60_000)

    return read


_PLANT_INSTRUMENTS: Mapping[Kind, "Callable[[Sight, AssetId, int], tuple[Instrument, Meter]]"] = {
    Kind.PDU: _metered(Instrument.PHASE_METER, "pdu_phase_current_amperes"),
    Kind.CDU: _metered(Instrument.COOLANT_METER, "cdu_flow_liters_per_minute"),
    Kind.SWITCH: _metered(Instrument.FABRIC, "fabric_port_state"),
}


def _renewed(kubelet: NodeObject, now_ms: int) -> bool:
    """Whether a kubelet that counts as ready has lately said so itself; unknown counts as yes: the veto is the safe side."""
    return kubelet.heartbeat_at_ms is None or now_ms - kubelet.heartbeat_at_ms <= KUBELET_SECONDS * 1000


KUBELET_SECONDS = 25
"""A kubelet renews its lease every 10 s: two missed and a margin (Kubernetes' node-lease default)."""
