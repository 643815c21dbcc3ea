"""The few panel shapes that every dashboard is made of."""

from grafana_foundation_sdk.builders import common, stat, statetimeline, timeseries
from grafana_foundation_sdk.builders import dashboard as boards
from grafana_foundation_sdk.builders.prometheus import Dataquery
from grafana_foundation_sdk.models.common import (
    BigValueColorMode,
    BigValueGraphMode,
    LegendDisplayMode,
    TooltipDisplayMode,
)
from grafana_foundation_sdk.models.dashboard import (
    DashboardCursorSync,
    DashboardLinkType,
    DataSourceRef,
    Threshold,
    ThresholdsMode,
    VariableRefresh,
)

DATASOURCE = DataSourceRef(type_val="prometheus", uid="$datasource")
LABELS = 'job=~"$job",instance=~"$instance"'
"""The matchers every query carries, so that the variables narrow every panel."""

Panel = stat.Panel | timeseries.Panel | statetimeline.Panel


def query(expr: str, legend: str, *, instant: bool = False) -> Dataquery:
    """One Prometheus query of a panel."""
    target = Dataquery().datasource(DATASOURCE).expr(expr).legend_format(legend)
    return target.instant() if instant else target.range()


def thresholds(*steps: tuple[float | None, str]) -> boards.ThresholdsConfig:
    """Absolute threshold steps: (from value, colour); the first has no value."""
    return (
        boards.ThresholdsConfig()
        .mode(ThresholdsMode.ABSOLUTE)
        .steps([Threshold(value=value, color=color) for value, color in steps])
    )


def figure(title: str, text: str, expr: str, unit: str, *steps: tuple[float | None, str]) -> stat.Panel:
    """One big number, coloured by its thresholds."""
    return (
        stat.Panel()
        .title(title)
        .description(text)
        .datasource(DATASOURCE)
        .unit(unit)
        .thresholds(thresholds(*(steps or ((None, "blue"),))))
        .color_mode(BigValueColorMode.VALUE)
        .graph_mode(BigValueGraphMode.AREA)
        .no_value("no data")
        .height(4)
        .span(4)
        .with_target(query(expr, "", instant=True))
    )


def lines(title: str, text: str, unit: str, *targets: tuple[str, str], span: int = 12) -> timeseries.Panel:
    """A chart of at most a handful of lines; gaps stay gaps, missing data is never joined over."""
    panel = (
        timeseries.Panel()
        .title(title)
        .description(text)
        .datasource(DATASOURCE)
        .unit(unit)
        .fill_opacity(8)
        .line_width(1)
        .no_value("no data")
        .legend(
            common.VizLegendOptions()
            .display_mode(LegendDisplayMode.TABLE)
            .calcs(["lastNotNull", "max"])
            .show_legend(True)
        )
        .tooltip(common.VizTooltipOptions().mode(TooltipDisplayMode.MULTI))
        .height(8)
        .span(span)
    )
    for expr, legend in targets:
        panel = panel.with_target(query(expr, legend))
    return panel


def board(uid: str, title: str, text: str) -> boards.Dashboard:
    """An empty dashboard with the variables, links and habits that all of ours share."""
    return (
        boards.Dashboard(title)
        .uid(uid)
        .description(text)
        .tags(["hallkeeper"])
        .refresh("30s")
        .time("now-1h", "now")
        .timezone("browser")
        .tooltip(DashboardCursorSync.CROSSHAIR)
        .readonly()
        .with_variable(boards.DatasourceVariable("datasource").label("Data source").type("prometheus"))
        .with_variable(_labels("job", "Kind of source", "label_values(up, job)"))
        .with_variable(_labels("instance", "Instance", 'label_values(up{job=~"$job"}, instance)'))
        .link(
            boards.DashboardLink("Hallkeeper")
            .type(DashboardLinkType.DASHBOARDS)
            .tags(["hallkeeper"])
            .keep_time(True)
            .include_vars(True)
        )
    )


def _labels(name: str, label: str, expr: str) -> boards.QueryVariable:
    return (
        boards.QueryVariable(name)
        .label(label)
        .datasource(DATASOURCE)
        .query(expr)
        .multi(True)
        .include_all(True)
        .all_value(".*")
        .refresh(VariableRefresh.ON_TIME_RANGE_CHANGED)
    )
