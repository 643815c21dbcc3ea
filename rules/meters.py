"""What the rule engine says of itself, in Prometheus's form: plain numbers that become metrics when somebody asks."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass

from prometheus_client import CollectorRegistry
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric

from rules.alerts.alert import AlertState
from rules.engine import Engine


@dataclass(slots=True)
class Tally:
    """What the service counts besides the engine."""

    passes: int = 0
    pass_seconds: float = 0.0
    rules: int = 0
    transitions: int = 0
    events: int = 0
    late_events: int = 0
    refused_frames: int = 0
    refused_events: int = 0
    dropped_recorded: int = 0
    lag_ms: int = 0
    waiting: int = 0
    """Alert events that the bus has not accepted yet."""
    held_seconds: float = 0.0
    """The longest that taking a picture of the window has held the loop."""


class RulesMeters:
    """Registered once; reads the engine of the moment."""

    def __init__(
        self, registry: CollectorRegistry, engine: Callable[[], Engine], tally: Tally, leads: Callable[[], bool]
    ) -> None:
        """`leads` says whether this engine speaks."""
        self._engine, self._tally, self._leads = engine, tally, leads
        registry.register(self)

    def collect(self) -> Iterator[Metric]:
        """All metrics."""
        engine, tally = self._engine(), self._tally
        yield from _counters(
            ("hallkeeper_rules_passes", "Passes over rule groups.", tally.passes),
            ("hallkeeper_rules_pass_seconds", "Time spent in passes.", tally.pass_seconds),
            ("hallkeeper_rules_evaluations", "Rules evaluated.", tally.rules),
            ("hallkeeper_rules_transitions", "Alerts that changed their state.", tally.transitions),
            ("hallkeeper_rules_device_events", "Device events counted.", tally.events),
            ("hallkeeper_rules_late_events", "Device events older than 60 s on arrival.", tally.late_events),
            ("hallkeeper_rules_recorded_dropped", "Recorded frames that were never published.", tally.dropped_recorded),
        )
        yield self._frames(engine)
        yield from _gauges(
            ("hallkeeper_rules_window_bytes", "Memory of the window's rings.", engine.window.nbytes),
            ("hallkeeper_rules_window_series", "Series in the window.", engine.window.series),
            ("hallkeeper_rules_lag_seconds", "Age of the newest frame of the slowest partition.", tally.lag_ms / 1000),
            ("hallkeeper_rules_failing", "Rules that could not be evaluated last time.", len(engine.failures)),
            ("hallkeeper_rules_outbox", "Alert events that the bus has not accepted yet.", tally.waiting),
            (
                "hallkeeper_rules_picture_held_seconds",
                "Longest that a picture of the window held judging.",
                tally.held_seconds,
            ),
            ("hallkeeper_rules_leads", "1 where this engine speaks, 0 where it stands by.", float(self._leads())),
        )
        yield self._alerts(engine)
        yield from _models(engine)

    def _frames(self, engine: Engine) -> CounterMetricFamily:
        counts = engine.window.counts
        family = CounterMetricFamily("hallkeeper_rules_frames", "Frames by what became of them.", labels=["fate"])
        fates = {
            "placed": counts.frames,
            "duplicate": counts.duplicates,
            "late": counts.late,
            "too_late": counts.too_late,
            "parked": engine.window.tables.parked,
            "lost": engine.window.tables.lost,
            "malformed": counts.malformed + self._tally.refused_frames,
            "future": counts.future,
        }
        for fate, count in fates.items():
            family.add_metric([fate], count)
        return family

    @staticmethod
    def _alerts(engine: Engine) -> GaugeMetricFamily:
        family = GaugeMetricFamily("hallkeeper_rules_alerts", "Alerts by state.", labels=["state"])
        counts = {AlertState.PENDING: 0, AlertState.FIRING: 0}
        for _, alert in engine.alerts():
            counts[alert.state] = counts.get(alert.state, 0) + 1
        for state, count in counts.items():
            family.add_metric([str(state)], count)
        return family


def _models(engine: Engine) -> Iterator[Metric]:
    """What each model that runs has cost."""
    steps = CounterMetricFamily("hallkeeper_rules_model_steps", "Steps of a model.", labels=["model"])
    seconds = CounterMetricFamily("hallkeeper_rules_model_seconds", "Time spent in a model.", labels=["model"])
    series = GaugeMetricFamily(
        "hallkeeper_rules_model_series", "Series that a model's last step gave.", labels=["model"]
    )
    for name, running in engine.models.running.items():
        steps.add_metric([name], running.cost.steps)
        seconds.add_metric([name], running.cost.seconds)
        series.add_metric([name], running.cost.series)
    yield from (steps, seconds, series)


def _counters(*rows: tuple[str, str, float]) -> Iterator[Metric]:
    for name, text, value in rows:
        family = CounterMetricFamily(name, text)
        family.add_metric([], value)
        yield family


def _gauges(*rows: tuple[str, str, float]) -> Iterator[Metric]:
    for name, text, value in rows:
        family = GaugeMetricFamily(name, text)
        family.add_metric([], value)
        yield family
