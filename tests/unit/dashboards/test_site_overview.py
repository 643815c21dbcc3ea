"""The committed dashboards are what the code writes, and Grafana can use them."""

import json
import re
from pathlib import Path

import pytest

from dashboards.generate import FOLDER, rendered
from fleet.metrics import METRICS

ROOT = Path(__file__).parents[3]
CORE_PANELS = {
    "stat",
    "timeseries",
    "bargauge",
    "table",
    "state-timeline",
    "status-history",
    "heatmap",
    "nodeGraph",
    "row",
}


@pytest.fixture(params=sorted(rendered()))
def board(request):
    return json.loads(rendered()[request.param])


def expressions(board):
    return [target["expr"] for panel in board["panels"] for target in panel["targets"]]


def test_the_committed_json_is_what_the_code_writes():
    assert {path.name: path.read_text() for path in FOLDER.glob("*.json")} == rendered()


def test_panels_are_of_grafanas_own_kinds_and_say_what_they_show(board):
    for panel in board["panels"]:
        assert panel["type"] in CORE_PANELS
        assert panel["title"]
        assert panel["description"].endswith(".")
        assert panel["fieldConfig"]["defaults"]["unit"]


def test_every_query_uses_the_variables_and_parses(board):
    import promql_parser

    assert expressions(board)
    for expr in expressions(board):
        assert 'job=~"$job"' in expr
        assert 'instance=~"$instance"' in expr
        promql_parser.parse(expr.replace("$__rate_interval", "1m"))


def test_every_metric_in_a_query_is_known(board):
    words = {"hallkeeper"}
    for expr in expressions(board):
        for name in re.findall(r"\b([a-zA-Z_][a-zA-Z0-9_]+)\{", expr) + re.findall(r"group_left \(\) (\w+)", expr):
            assert name in METRICS or name.split("_")[0] in words, name


def test_compose_pins_every_image():
    import yaml

    compose = yaml.safe_load((ROOT / "compose.yaml").read_text())
    for name, service in compose["services"].items():
        assert re.search(r":v?\d+\.\d+", service["image"]), name
