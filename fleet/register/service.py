"""Hallkeeper's own series: of its samples, its alerts, and its services."""

from fleet.register.metric import counter, gauge, produced_by, state

SERVICE = (
    *produced_by(
        "collectors",
        state(
            "up",
            "Whether a target answered its last read (A35, A42, B11, C19, D02, E02, E03, E04)",
            {0: "silent", 1: "answered"},
        ),
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
        gauge("hallkeeper_rules_lag_seconds", "Age of the newest frame of the slowest partition (E01)", -3_600, 1e9),
        counter("hallkeeper_rules_frames_total", "Frames by what became of them (E07)", labels=("fate",)),
        counter("hallkeeper_rules_device_events_total", "Device events counted (E07)"),
        counter("hallkeeper_rules_late_events_total", "Device events older than 60 s on arrival (E07)"),
        gauge(
            "hallkeeper_rule_evaluated_timestamp_seconds",
            "When a rule was evaluated last",
            0,
            labels=("rule",),
            unit="seconds since 1970",
        ),
        gauge("hallkeeper_rule_evaluation_seconds", "What a rule's last evaluation took", 0, 3_600, labels=("rule",)),
        gauge(
            "hallkeeper_rule_group_evaluation_seconds",
            "What a group's last evaluation took",
            0,
            3_600,
            labels=("rule_group",),
        ),
        gauge("hallkeeper_rule_failed", "A rule that could not be evaluated last time", 0, 1, labels=("rule", "error")),
        gauge("hallkeeper_rules_leads", "1 where a rule engine speaks, 0 where it stands by", 0, 1),
        counter("hallkeeper_remediation_acts_total", "Acts that ended (E05, E08)", labels=("verb", "outcome")),
        gauge("hallkeeper_remediation_frozen", "Reasons for which automation stands still (E06)", 0, 1e6),
    ),
)
