"""The same HTTP request to a real Prometheus and to us, over the same series, gets the same answer."""

import asyncio
import contextlib
import math
import subprocess
import time
from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import Any

import aiohttp
import pytest
import pytest_asyncio

from tests.conftest import peer_path
from tests.contract.prometheus_api.pair import ODD_MS, STEP_MS, STEPS, console, dataset, real_prometheus

pytestmark = [
    pytest.mark.peer("prometheus", "promtool"),
    pytest.mark.asyncio(loop_scope="module"),
    pytest.mark.timeout(120),
]


@dataclass
class Pair:
    """Both servers, and the times at which they have samples."""

    http: aiohttp.ClientSession
    ours: str
    theirs: str
    start: float
    """Unix seconds of the first samples, rounded down to a whole one."""

    async def ask(
        self, path: str, pairs: list[tuple[str, str]], method: str = "GET"
    ) -> list[tuple[int, dict[str, Any]]]:
        """Both answers: status and body."""
        answers = []
        for address in (self.ours, self.theirs):
            sent = {"data": pairs} if method == "POST" else {"params": pairs}
            async with self.http.request(method, f"{address}/api/v1/{path}", **sent) as answer:
                answers.append((answer.status, await answer.json()))
        return answers


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def pair(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Pair]:
    folder = tmp_path_factory.mktemp("pair")
    start = int(time.time()) - STEPS * STEP_MS // 1000 - 10
    series = dataset(start * 1000 + ODD_MS)
    prometheus, promtool = peer_path("prometheus"), peer_path("promtool")
    assert prometheus is not None
    assert promtool is not None
    async with contextlib.AsyncExitStack() as stack:
        http = await stack.enter_async_context(aiohttp.ClientSession())
        ours, _ = await stack.enter_async_context(console(folder, series))
        theirs = await stack.enter_async_context(real_prometheus(prometheus, promtool, folder, series))
        yield Pair(http, ours, theirs, float(start))


EXPRESSIONS = [
    "up",
    "up == 0",
    'up{rack="r1"}',
    'up{node=~"r1-.*",node!="r1-n2"}',
    '{__name__=~"node_.+"}',
    "sum by (rack) (node_power_watts)",
    "avg without (node) (node_power_watts)",
    "rate(node_energy_joules_total[2m])",
    "increase(node_energy_joules_total[5m])",
    "irate(node_energy_joules_total[1m])",
    "sum by (rack) (node_power_watts) / on (rack) fleet_rack_power_limit_watts",
    "node_power_watts * on (node) group_left (cluster) fleet_node_info",
    "node_power_watts > on (rack) group_left () (fleet_rack_power_limit_watts / 3)",
    "histogram_quantile(0.9, sum by (le, rack) (rate(call_seconds_bucket[3m])))",
    "topk(2, node_power_watts)",
    "quantile(0.5, node_power_watts)",
    'count_values("value", up)',
    "max_over_time(node_power_watts[3m])",
    "avg_over_time(node_power_watts[3m:30s])",
    "node_power_watts offset 1m",
    'absent(nothing_watts{node="x"})',
    "absent(up)",
    "fan_speed_rpm",
    "gone_watts",
    "odd_ratio",
    "odd_ratio * 2",
    "-odd_ratio",
    "changes(up[5m])",
    "predict_linear(node_power_watts[5m], 60)",
    'label_replace(up, "row", "$1", "rack", "r(.*)")',
    "sort_desc(node_power_watts)",
    "up and on (node) (node_power_watts > 450)",
    "up unless on (node) (node_power_watts > 450)",
    "vector(1) or up",
    "scalar(fan_speed_rpm)",
    "1 + 1",
    "time() - time()",
    "1e-7 * 3",
    "1e21 * 2",
    "0.1 + 0.2",
    "nothing_watts",
]
INSTANT_ONLY = ["node_power_watts[35s]", 'up{rack="r2"}[1m] offset 30s', "node_power_watts[1m:20s]", '"a string"']
WRONG = [
    "",
    "up{",
    "sum(",
    "rate(up)",
    "foo(up)",
    "up + on (rack) node_power_watts",
    "node_power_watts * on (rack) group_left () up",
    "up[5m] + 1",
    'label_replace(up, "node", "x", "rack", ".*")',
]


def same(ours: Any, theirs: Any) -> bool:
    """Whether two JSON values say the same: numbers, as text too, within 1e-12."""
    if isinstance(ours, dict) and isinstance(theirs, dict):
        return ours.keys() == theirs.keys() and all(same(ours[key], theirs[key]) for key in ours)
    if isinstance(ours, list) and isinstance(theirs, list):
        return len(ours) == len(theirs) and all(map(same, ours, theirs))
    if ours == theirs:
        return True
    if isinstance(ours, str) and isinstance(theirs, str):
        with contextlib.suppress(ValueError):
            return math.isclose(float(ours), float(theirs), rel_tol=1e-12)
    return False


def plain(body: dict[str, Any], expr: str) -> dict[str, Any]:
    """An answer with its elements in the order of their labels, unless the expression sorts them."""
    data = body.get("data")
    if isinstance(data, dict) and data.get("resultType") in {"vector", "matrix"} and not expr.startswith("sort"):
        return body | {
            "data": data | {"result": sorted(data["result"], key=lambda each: sorted(each["metric"].items()))}
        }
    return body


@pytest.mark.parametrize("method", ["GET", "POST"])
async def test_an_expression_has_the_same_value_at_a_time(pair: Pair, method: str) -> None:
    for at in (pair.start + 700.25, pair.start + 395.5, pair.start - 1):
        for expr in EXPRESSIONS + INSTANT_ONLY:
            ours, theirs = await pair.ask("query", [("query", expr), ("time", str(at))], method)
            assert ours[0] == theirs[0] == 200, (expr, ours, theirs)
            assert same(plain(ours[1], expr), plain(theirs[1], expr)), (expr, at, ours, theirs)


@pytest.mark.parametrize("method", ["GET", "POST"])
async def test_an_expression_has_the_same_values_over_a_range(pair: Pair, method: str) -> None:
    times = [("start", str(pair.start + 60.5)), ("end", str(pair.start + 790.5)), ("step", "15s")]
    for expr in EXPRESSIONS:
        ours, theirs = await pair.ask("query_range", [("query", expr), *times], method)
        assert ours[0] == theirs[0] == 200, (expr, ours, theirs)
        assert same(plain(ours[1], ""), plain(theirs[1], "")), (expr, ours, theirs)


async def test_a_wrong_expression_fails_in_the_same_way(pair: Pair) -> None:
    at = str(pair.start + 700)
    for path, times in (("query", [("time", at)]), ("query_range", [("start", at), ("end", at), ("step", "1")])):
        for expr in [*WRONG, *(INSTANT_ONLY if path == "query_range" else [])]:
            ours, theirs = await pair.ask(path, [("query", expr), *times])
            assert ours[0] == theirs[0], (expr, ours, theirs)
            assert ours[1]["status"] == theirs[1]["status"] == "error"
            assert ours[1]["errorType"] == theirs[1]["errorType"], (expr, ours, theirs)
            assert ours[1]["error"]


async def test_wrong_parameters_fail_in_the_same_words(pair: Pair) -> None:
    at = str(int(pair.start + 700))
    requests: list[tuple[str, list[tuple[str, str]]]] = [
        ("query", [("query", "up"), ("time", "yesterday")]),
        ("query", [("query", "up"), ("timeout", "soon")]),
        ("query_range", [("query", "up"), ("end", at), ("step", "1")]),
        ("query_range", [("query", "up"), ("start", at), ("end", "x"), ("step", "1")]),
        ("query_range", [("query", "up"), ("start", at), ("end", "1"), ("step", "1")]),
        ("query_range", [("query", "up"), ("start", at), ("end", at), ("step", "0")]),
        ("query_range", [("query", "up"), ("start", at), ("end", at), ("step", "-1m")]),
        ("query_range", [("query", "up"), ("start", "0"), ("end", at), ("step", "1")]),
        ("series", []),
        ("series", [("match[]", "up"), ("start", "x")]),
        ("rules", [("type", "other")]),
        ("metadata", [("limit", "x")]),
    ]
    for path, pairs in requests:
        ours, theirs = await pair.ask(path, pairs)
        told = [(status, {key: value.lower() for key, value in body.items()}) for status, body in (ours, theirs)]
        assert told[0] == told[1], (path, pairs)  # releases differ in capitals


async def test_times_and_durations_are_read_alike(pair: Pair) -> None:
    whole = int(pair.start + 600)
    stamp = time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(whole))
    for at in (str(whole), f"{whole}.5", f"{whole}.1234", f"{stamp}Z", f"{stamp}.25Z", f"{stamp}+00:00", "1e9"):
        ours, theirs = await pair.ask("query", [("query", "time()"), ("time", at)])
        assert ours == theirs, at
    for step in ("7", "7.5", "0.5m", "1m30s", "500ms"):
        pairs = [("query", "time()"), ("start", str(whole)), ("end", str(whole + 100)), ("step", step)]
        ours, theirs = await pair.ask("query_range", pairs)
        assert ours[0] == theirs[0], step
        assert ours[1].get("data") == theirs[1].get("data"), step


async def test_series_and_labels_are_found_alike(pair: Pair) -> None:
    start, end = str(pair.start), str(pair.start + 800)
    around = [("start", start), ("end", end)]
    requests = [
        ("series", [("match[]", "up")]),
        ("series", [("match[]", 'up{rack="r1"}'), ("match[]", "fleet_rack_power_limit_watts"), *around]),
        ("series", [("match[]", "nothing_watts"), *around]),
        ("labels", []),
        ("labels", around),
        ("labels", [("match[]", "fleet_node_info"), *around]),
        ("label/__name__/values", around),
        ("label/node/values", []),
        ("label/node/values", [("match[]", "node_power_watts"), ("match[]", 'up{rack="r2"}'), *around]),
        ("label/nothing/values", around),
        ("query_exemplars", [("query", "up"), *around]),
    ]
    for path, pairs in requests:
        ours, theirs = await pair.ask(path, pairs)
        assert ours[0] == theirs[0] == 200, (path, ours, theirs)
        found = [
            sorted(body["data"], key=lambda each: sorted(each.items()) if isinstance(each, dict) else each)
            for body in (ours[1], theirs[1])
        ]
        assert found[0] == found[1], path


async def test_promtool_reads_us_as_it_reads_prometheus(pair: Pair) -> None:
    for command in (
        ["instant", f"--time={pair.start + 700}", "{}", "up == 0"],
        ["range", f"--start={pair.start + 100}", f"--end={pair.start + 200}", "--step=30s", "{}", "sum(up)"],
        ["series", "--match=fan_speed_rpm", "{}"],
        ["labels", "{}", "node"],
    ):
        outputs = []
        for address in (pair.ours, pair.theirs):
            argv = ["promtool", "query", *(address if each == "{}" else each for each in command)]
            done = await asyncio.to_thread(subprocess.run, argv, capture_output=True, text=True, check=False)
            assert done.returncode == 0, done.stderr
            outputs.append(sorted(done.stdout.splitlines()))
        assert outputs[0] == outputs[1], command
        assert outputs[0]


FORMATTED = [
    "up",
    "sum by(rack)(rate(node_energy_joules_total[5m]))",
    "sum(up)without(node)/2>bool 1",
    'label_replace(up,"a","$1","b","(x{}|by (y)()")',
    "node_power_watts*on(node)group_left(cluster)fleet_node_info",
    "max_over_time(up[5m:1m] offset 3m) and up unless on() vector(1)",
    "-(1+2)^3",
    'histogram_quantile(0.9, sum by (le) (rate(call_seconds_bucket{rack="r1"}[1m])))',
    "topk(3, up @ 1700000000)",
]


@pytest.mark.parametrize("expr", FORMATTED)
async def test_an_expression_is_laid_out_alike(pair: Pair, expr: str) -> None:
    ours, theirs = await pair.ask("format_query", [("query", expr)])
    assert ours == theirs


async def test_what_cannot_be_laid_out_is_refused_alike(pair: Pair) -> None:
    ours, theirs = await pair.ask("format_query", [("query", "sum(")], "POST")
    assert (ours[0], ours[1]["errorType"]) == (theirs[0], theirs[1]["errorType"]) == (400, "bad_data")


def lines_of(page: str) -> set[tuple[str, ...]]:
    """Comments and samples, the latter with their value as a number."""
    found = set()
    for line in page.splitlines():
        if line.startswith("#"):
            found.add((line,))
        elif line:
            series, value, at = line.rsplit(" ", 2)
            found.add((series, repr(float(value)), at))
    return found


async def test_the_newest_samples_are_federated_alike(pair: Pair) -> None:
    matches = [("match[]", text) for text in ("up", '{rack="r1",__name__=~"node_.*"}', "odd_ratio", "fan_speed_rpm")]
    pages = []
    for address in (pair.ours, pair.theirs):
        async with pair.http.get(f"{address}/federate", params=matches) as answer:
            assert answer.status == 200
            assert answer.content_type == "text/plain"
            pages.append(lines_of(await answer.text()))
    assert pages[1] - pages[0] == set(), "nothing is theirs alone"
    assert pages[0] - pages[1] == set(), pages[1]
    assert len(pages[0]) > 15
