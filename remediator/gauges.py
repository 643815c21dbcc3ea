"""What the remediator counts, under names that its dashboard and its own rules know."""

from prometheus_client import CollectorRegistry, Counter, Gauge


class Gauges:
    """The metrics of one remediator."""

    def __init__(self, registry: CollectorRegistry, lane: str) -> None:
        prefix = "hallkeeper_remediation" if lane == "corrective" else "hallkeeper_protective"
        self.denied = Counter(
            f"{prefix}_denied",
            "Refusals by gate and reason; one is counted each time a remediation's reason changes.",
            ["gate", "reason"],
            registry=registry,
        )
        self.ended = Counter(
            f"{prefix}_ended",
            "Remediations that ended, by playbook and phase.",
            ["playbook", "phase"],
            registry=registry,
        )
        self.acts = Counter(
            f"{prefix}_acts", "Acts that ended, by verb and outcome.", ["verb", "outcome"], registry=registry
        )
        self.live = Gauge(f"{prefix}_live", "Remediations under way.", registry=registry)
        self.incidents = Gauge(f"{prefix}_incidents_open", "Incidents that have not ended.", registry=registry)
        self.leader = Gauge(f"{prefix}_leader", "1 while this process may command.", registry=registry)
        self.frozen = Gauge(f"{prefix}_frozen", "Reasons for which automation stands still.", registry=registry)
        self.waiting = Gauge(f"{prefix}_outbox", "Events that the bus has not accepted yet.", registry=registry)
        self.malformed = Counter(
            f"{prefix}_malformed", "Records of the bus that could not be read, by topic.", ["topic"], registry=registry
        )
