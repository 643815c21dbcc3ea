"""Site overview: is the hall fed, cooled, healthy, and what did Hallkeeper do about what was not."""

from grafana_foundation_sdk.builders import dashboard as boards
from grafana_foundation_sdk.builders.statetimeline import Panel as StateTimeline

from dashboards.panels import DATASOURCE, LABELS, board, figure, lines, query

PHASE_LOAD = f"max by (asset, phase) (pdu_phase_current_amperes{{{LABELS}}} / on (asset, phase) group_left () fleet_pdu_phase_rated_amperes)"


def site_overview() -> boards.Dashboard:
    """Build the dashboard; the same input gives the same JSON."""
    dashboard = board(
        "hallkeeper-site",
        "Hallkeeper / Site overview",
        "Power, cooling, machines and jobs of one site, and what was done about faults.",
    )
    for panel in (*_headline(), *_charts()):
        dashboard = dashboard.with_panel(panel)
    return dashboard.with_panel(_reachability()).annotation(
        boards.AnnotationQuery()
        .name("Incidents")
        .datasource(DATASOURCE)
        .enable(True)
        .icon_color("orange")
        .expr('changes(hallkeeper_incidents_opened_total{job=~"$job",instance=~"$instance"}[$__rate_interval]) > 0')
    )


def _headline() -> tuple[boards.Panel, ...]:
    return (
        figure(
            "IT power",
            "Sum of what the rack PDUs measure at their inputs.",
            f"sum(pdu_input_power_watts{{{LABELS}}})",
            "watt",
        ),
        figure(
            "Battery",
            "State of charge of the battery plant.",
            f"min(bess_state_of_charge_ratio{{{LABELS}}})",
            "percentunit",
            (None, "red"),
            (0.4, "orange"),
            (0.5, "green"),
        ),
        figure(
            "Worst phase",
            "Highest phase current as a share of its rating.",
            f"max({PHASE_LOAD})",
            "percentunit",
            (None, "green"),
            (0.8, "orange"),
            (0.99, "red"),
        ),
        figure(
            "Silent targets",
            "Targets that do not answer.",
            f"count(up{{{LABELS}}} == 0) or vector(0)",
            "short",
            (None, "green"),
            (1, "orange"),
            (6, "red"),
        ),
        figure(
            "Open incidents",
            "Incidents not yet resolved.",
            f"sum(hallkeeper_incidents_open{{{LABELS}}})",
            "short",
            (None, "green"),
            (1, "orange"),
        ),
        figure(
            "Acts in an hour",
            "Commands sent to devices in the last hour.",
            f"sum(increase(hallkeeper_intents_total{{{LABELS}}}[1h]))",
            "short",
        ),
    )


def _charts() -> tuple[boards.Panel, ...]:
    return (
        lines(
            "Load per rack",
            "The five racks that draw most.",
            "watt",
            (f"topk(5, sum by (rack) (pdu_input_power_watts{{{LABELS}}}))", "{{rack}}"),
        ),
        lines(
            "Phase load",
            "The five fullest phases, as a share of the breaker's rating.",
            "percentunit",
            (f"topk(5, {PHASE_LOAD})", "{{asset}} L{{phase}}"),
        ),
        lines(
            "GPU temperature",
            "The five hottest nodes (H100: slowdown at 89 °C).",
            "celsius",
            (f"topk(5, max by (node) (DCGM_FI_DEV_GPU_TEMP{{{LABELS}}}))", "{{node}}"),
        ),
        lines(
            "Coolant loops",
            "Supply and return of each distribution unit.",
            "celsius",
            (f"cdu_supply_temperature_celsius{{{LABELS}}}", "{{asset}} supply"),
            (f"cdu_return_temperature_celsius{{{LABELS}}}", "{{asset}} return"),
        ),
        lines(
            "Acts by outcome",
            "What became of each command, per second.",
            "cps",
            (f"sum by (outcome) (rate(hallkeeper_outcomes_total{{{LABELS}}}[$__rate_interval]))", "{{outcome}}"),
        ),
        lines(
            "Refusals by gate",
            "Why Hallkeeper did not act, per second.",
            "cps",
            (
                f"sum by (reason) (rate(hallkeeper_remediation_denied_total{{{LABELS}}}[$__rate_interval]))",
                "{{reason}}",
            ),
        ),
    )


def _reachability() -> StateTimeline:
    return (
        StateTimeline()
        .title("Reachability by kind of source")
        .description("Share of targets that answer, by kind.")
        .datasource(DATASOURCE)
        .unit("percentunit")
        .no_value("no data")
        .height(6)
        .span(24)
        .with_target(query(f"avg by (job) (up{{{LABELS}}})", "{{job}}"))
    )
