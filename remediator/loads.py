"""What a PDU's phases carry and what hangs on them, from the protective lane's own meters and the wider window."""

from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from fleet.model import Asset, AssetId, Kind, Site
from remediator.bands import newest
from remediator.held import Held, Thing
from remediator.policies import Policy, covering
from remediator.proof import Meter, Reading
from remediator.shed import JobLoad, NodeLoad, OffHost, estimated_gpu_watts, tier_of
from remediator.sight import Window
from remediator.vitals import Outlet, Vitals

PHASE_METRIC = "pdu_phase_current_amperes"
OUTLET_METRIC = "pdu_outlet_power_watts"
JOBS_FRESH_MS = 300_000
"""Where jobs run is known for five minutes after the bus fell silent: the last plan is kept."""
OUTLET_FRESH_MS = 30_000
STATE_FRESH_MS = 30_000
DEFAULT_LIMIT_WATTS = 700.0
"""An H100's; used only where the agent was never heard."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Phase:
    """One phase of one PDU."""

    pdu: AssetId
    phase: str
    limit_amperes: float
    volts: float
    readings: Sequence[Reading]

    def load(self, now_ms: int) -> float | None:
        """Amperes now; None without a fresh, good reading."""
        found = newest(self.readings, now_ms)
        return None if found is None else found.value

    @property
    def meter(self) -> Meter:
        """For a proof."""
        return Meter(metric=PHASE_METRIC, labels={"asset": str(self.pdu), "phase": self.phase}, readings=self.readings)


class Loads:
    """Reads both windows; every call looks anew."""

    def __init__(self, site: Site, meters: Window, wider: Window, *, held: Callable[[], Mapping[str, Held]]) -> None:
        self._site = site
        self._meters = meters
        self._wider = wider
        self._held = held

    def phases(self, pdu: AssetId, since_ms: int) -> tuple[Phase, ...]:
        """The phases of a PDU with their readings since then."""
        asset = self._site.asset(pdu)
        return tuple(
            Phase(
                pdu=pdu,
                phase=str(number),
                limit_amperes=asset.ratings["rated_amperes"],
                volts=asset.ratings.get("volts", 230.0),
                readings=self._readings(PHASE_METRIC, {"asset": pdu, "phase": str(number)}, since_ms),
            )
            for number in range(1, int(asset.ratings.get("phases", 1)) + 1)
            if "rated_amperes" in asset.ratings
        )

    def outlet(self, outlet: Asset, since_ms: int) -> Meter:
        """The watts of one outlet."""
        labels = {"asset": str(outlet.labels["pdu"]), "outlet": str(outlet.labels["outlet"])}
        return Meter(metric=OUTLET_METRIC, labels=labels, readings=self._readings(OUTLET_METRIC, labels, since_ms))

    def _readings(self, metric: str, labels: Mapping[str, str], since_ms: int) -> tuple[Reading, ...]:
        samples = self._meters.since(metric, labels, since_ms)
        return tuple(Reading(sample.at_ms, sample.value, sample.quality) for sample in samples)

    # jobs

    def jobs_on(self, pdu: AssetId, now_ms: int, untouchable: Callable[[AssetId], bool]) -> tuple[JobLoad, ...]:
        """Every job with a rank on the PDU, with all its nodes wherever they are."""
        here = self._site.graph.nodes_in(pdu)
        nodes_of, tiers = self._placements(now_ms)
        touched = sorted(job for job, nodes in nodes_of.items() if nodes & here)
        return tuple(
            JobLoad(
                job=job,
                tier=tiers[job],
                checkpoint_age_seconds=self._checkpoint_age(job, now_ms),
                nodes=tuple(self._node(node, pdu, now_ms, untouchable(node)) for node in sorted(nodes_of[job])),
            )
            for job in touched
        )

    def _placements(self, now_ms: int) -> tuple[Mapping[str, set[AssetId]], Mapping[str, str]]:
        nodes_of: dict[str, set[AssetId]] = defaultdict(set)
        tiers: dict[str, str] = {}
        for sample in self._wider.latest("fleet_job_info", {}):
            job, node = sample.labels.get("job_id"), AssetId(sample.labels.get("node", ""))
            if job and node in self._site.assets and now_ms - sample.at_ms <= JOBS_FRESH_MS:
                nodes_of[job].add(node)
                tiers[job] = tier_of(sample.labels.get("priority", ""))
        return nodes_of, tiers

    def _checkpoint_age(self, job: str, now_ms: int) -> float | None:
        """The oldest of its ranks' ages, aged to now."""
        found = self._wider.latest("agent_checkpoint_age_seconds", {"job_id": job})
        return max((sample.value + (now_ms - sample.at_ms) / 1000 for sample in found), default=None)

    def _node(self, node: AssetId, pdu: AssetId, now_ms: int, untouchable: bool) -> NodeLoad:
        asset = self._site.asset(node)
        shares, watts = self._shares(node, pdu, now_ms)
        gpus = int(asset.ratings.get("gpus", 8))
        idle = asset.ratings.get("idle_watts", 0.0)
        cap = self.cap_of(node)
        return NodeLoad(
            node=node,
            gpus=gpus,
            gpu_watts=self._gpu_watts(node, now_ms, watts, idle, gpus),
            cap_watts=cap,
            shares=shares,
            host_watts=min(idle, watts),
            watts=watts,
            untouchable=untouchable,
        )

    def _shares(self, node: AssetId, pdu: AssetId, now_ms: int) -> tuple[dict[str, float], float]:
        """Of the node's measured load what each phase of the PDU carries, and the load itself in watts."""
        here: dict[str, float] = defaultdict(float)
        total = 0.0
        for outlet in self._site.graph.outlets_of(node):
            watts = self._watts(outlet, now_ms)
            total += watts
            if outlet.labels["pdu"] == pdu:
                here[str(int(outlet.ratings["phase"]))] += watts
        return ({phase: watts / total for phase, watts in here.items()} if total > 0 else {}), total

    def _watts(self, outlet: Asset, now_ms: int) -> float:
        meter = self.outlet(outlet, now_ms - OUTLET_FRESH_MS)
        return meter.readings[-1].value if meter.readings else 0.0

    def _gpu_watts(self, node: AssetId, now_ms: int, watts: float, idle: float, gpus: int) -> float:
        """One GPU's draw: the mean of what the agent reads, else what the node draws beyond idle."""
        read = [
            sample.value
            for sample in self._wider.latest("agent_gpu_power_watts", {"asset": node})
            if now_ms - sample.at_ms <= STATE_FRESH_MS
        ]
        if read:
            return sum(read) / len(read)
        return estimated_gpu_watts(watts, idle, gpus)

    def cap_of(self, node: AssetId) -> float:
        """The limit in force on a GPU of the node: what we hold it at, else what its agent reads."""
        held = self._held().get(f"held/{Thing.CAP.value}/{node}")
        read = [sample.value for sample in self._wider.latest("agent_gpu_power_limit_watts", {"asset": node})]
        known = [*read, *([held.in_force] if held is not None else [])]
        return min(known, default=DEFAULT_LIMIT_WATTS)

    def default_of(self, node: AssetId) -> float:
        """The limit that a GPU of the node has when nobody holds it."""
        read = [sample.value for sample in self._wider.latest("agent_gpu_default_power_limit_watts", {"asset": node})]
        return min(read, default=DEFAULT_LIMIT_WATTS)

    def feeding(self, node: AssetId, now_ms: int) -> int:
        """How many supplies share the node's load now; at least one, which then carries all of it."""
        return max(1, sum(self._watts(outlet, now_ms) > 1.0 for outlet in self._site.graph.outlets_of(node)))

    # hosts that are off

    def off_hosts(self, pdu: AssetId, policies: Sequence[Policy], now_ms: int) -> tuple[OffHost, ...]:
        """Hosts under a policy that are off by their BMC's word and by every outlet's watts, with no job of T0 or T1."""
        nodes_of, tiers = self._placements(now_ms)
        kept = {node for job, nodes in nodes_of.items() if tiers[job] in {"T0", "T1"} for node in nodes}
        found = []
        for node in sorted(self._site.graph.nodes_in(pdu) - kept):
            policy = covering(policies, "idle-outlets", node, self._site, now_ms)
            if policy is None or not self._is_off(node, now_ms):
                continue
            for outlet in self._site.graph.outlets_of(node):
                if outlet.labels["pdu"] == pdu:
                    found.append(
                        OffHost(
                            node=node,
                            outlet=str(outlet.labels["outlet"]),
                            phase=str(int(outlet.ratings["phase"])),
                            watts=self._watts(outlet, now_ms),
                            policy=policy.armed_by,
                        )
                    )
        return tuple(found)

    def _is_off(self, node: AssetId, now_ms: int) -> bool:
        vitals = self.vitals(node, now_ms)
        return vitals.bmc_on is False and vitals.outlets_off

    def vitals(self, node: AssetId, now_ms: int) -> Vitals:
        """What the BMC and two readings of each outlet say of a host."""
        said = [s for s in self._wider.latest("bmc_power_state", {"asset": node}) if now_ms - s.at_ms <= STATE_FRESH_MS]
        outlets = self._site.graph.outlets_of(node)
        meters = {outlet.id: self.outlet(outlet, now_ms - OUTLET_FRESH_MS).readings[-2:] for outlet in outlets}
        return Vitals(
            bmc_on=any(sample.value >= 0.5 for sample in said) if said else None,
            outlets=tuple(
                Outlet(name=name, watts=max((r.value for r in rows), default=None)) for name, rows in meters.items()
            ),
            idle_watts=self._site.asset(node).ratings.get("idle_watts", 0.0),
        )

    def pdus(self) -> tuple[Asset, ...]:
        """Every PDU with a rating."""
        return tuple(pdu for pdu in self._site.of_kind(Kind.PDU) if "rated_amperes" in pdu.ratings)
