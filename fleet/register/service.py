"""Hallkeeper's own series: of its samples, its alerts, and its services."""

from fleet.register.metric import NO_YES, counter, gauge, produced_by, state

SERVICE = (
    *produced_by(
        "collectors",
        state("up", "Whether a target answered its last read (A35, A42, B11, C19, D02)", {0: "silent", 1: "answered"}),
    ),
    *produced_by(
        "rules",
        counter(
            "device_events_total",
            "Device events: XIDs, SXIDs, SEL records, traps (A01 to A27, A41)",
            labels=("kind", "code", "gpu", "place", "grade"),
        ),
        counter(
            "device_event_bursts_total",
            "The same in bursts: what follows the last one within three minutes counts once (A04, A10, A22, A27)",
            labels=("kind", "code", "gpu", "place", "grade"),
        ),
        gauge(
            "sample_quality",
            "Quality byte of a series that is not good: low two bits quality, upper six reason (C18)",
            0,
            255,
            labels=("metric", "reason"),
        ),
        state("ALERTS", "An alert that is pending or firing", {1: "active"}, labels=("alertname", "alertstate")),
        gauge("ALERTS_FOR_STATE", "Since when an alert is active", 0, labels=("alertname",), unit="seconds since 1970"),
    ),
    *produced_by(
        "Hallkeeper's services, on their /metrics",
        gauge(
            "hallkeeper_consumer_lag_seconds",
            "How far a consumer is behind the bus (E01)",
            0,
            labels=("group", "topic"),
        ),
        gauge("hallkeeper_poll_success_ratio", "Targets that answered, of those asked (E02)", 0, 1),
        gauge(
            "hallkeeper_sample_latency_seconds",
            "Time from a sample's stamp to its evaluation (E03)",
            -3_600,
            1e6,
            labels=("quantile",),
        ),
        gauge(
            "hallkeeper_heartbeat_timestamp_seconds",
            "When Hallkeeper last told its outside watcher that it lives (E04)",
            0,
        ),
        gauge("hallkeeper_action_failure_ratio", "Failed acts, of the last twenty (E05)", 0, 1, labels=("class",)),
        state("hallkeeper_mass_failure_freeze", "Whether acts are frozen for a mass failure (E06, A26, D02)", NO_YES),
        gauge("hallkeeper_duplicate_ratio", "Events seen before, of all (E07)", 0, 1, labels=("topic",)),
        counter("hallkeeper_late_events_total", "Events older than 60 s on arrival (E07)", labels=("topic",)),
        counter("hallkeeper_asset_map_mismatches_total", "Outlets whose watts did not follow an act (E08)"),
    ),
)
