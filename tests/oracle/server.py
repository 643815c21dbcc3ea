"""Debian's Prometheus 2.42 as a server over the same telemetry, asked over HTTP."""

import json
import socket
import subprocess
import time
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final

from tests.oracle.answers import Answer, LabelSet, label_set
from tests.oracle.program import Asked

START_SECONDS: Final = 30.0


def openmetrics(series: Sequence[Mapping[str, Any]]) -> str:
    """Series as OpenMetrics text with times; stale markers cannot be written so, and are left out."""
    lines = []
    for each in series:
        labels = dict(each["labels"])
        name = labels.pop("__name__")
        inside = ",".join(f"{label}={json.dumps(value)}" for label, value in labels.items())
        for at, value in zip(each["times"], each["values"], strict=True):
            if value != "stale":
                number = {"nan": "NaN", "inf": "+Inf", "-inf": "-Inf"}.get(value, value)
                lines.append(f"{name}{{{inside}}} {number} {at / 1000:.3f}")
    return "\n".join([*lines, "# EOF", ""])


@contextmanager
def serving(series: Sequence[Mapping[str, Any]], folder: Path) -> Iterator["Server"]:
    """A server over blocks made of the series."""
    text, data = folder / "series.om", folder / "data"
    text.write_text(openmetrics(series))
    command = ["promtool", "tsdb", "create-blocks-from", "openmetrics", str(text), str(data)]
    subprocess.run(command, check=True, capture_output=True, timeout=60)
    (folder / "prometheus.yml").write_text("global: {}\n")
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        address = f"127.0.0.1:{free.getsockname()[1]}"
    options = [
        f"--config.file={folder}/prometheus.yml",
        f"--storage.tsdb.path={data}",
        f"--web.listen-address={address}",
    ]
    retention = "--storage.tsdb.retention.time=100y"
    process = subprocess.Popen(
        ["prometheus", *options, retention], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )
    try:
        server = Server(f"http://{address}")
        server.wait()
        yield server
    finally:
        process.terminate()
        process.wait(timeout=20)


class Server:
    """A running Prometheus."""

    def __init__(self, url: str) -> None:
        self._url = url

    def wait(self) -> None:
        """Until it answers."""
        deadline = time.monotonic() + START_SECONDS
        while time.monotonic() < deadline:
            try:
                with urllib.request.urlopen(f"{self._url}/-/ready", timeout=2) as answer:
                    if answer.status == 200:
                        return
            except OSError:
                time.sleep(0.1)
        raise TimeoutError("Prometheus does not become ready")

    def ask(self, asked: Asked) -> Answer:
        """Its answer over HTTP."""
        parameters = {"query": asked.expr, "time": f"{asked.at_ms / 1000:.3f}"}
        data = urllib.parse.urlencode(parameters).encode()
        try:
            with urllib.request.urlopen(f"{self._url}/api/v1/query", data=data, timeout=30) as answer:
                result = json.load(answer)["data"]
        except urllib.error.HTTPError as error:
            return Answer(error=json.load(error)["error"])
        return _answer(result["resultType"], result["result"])


def _answer(kind: str, result: Any) -> Answer:
    if kind == "string":
        return Answer(kind, text=result[1])
    if kind == "scalar":
        return Answer(kind, {(): {round(result[0] * 1000): float(result[1])}})
    points: dict[LabelSet, dict[int, float]] = {}
    for each in result:
        pairs = each["values"] if kind == "matrix" else [each["value"]]
        points[label_set(each["metric"])] = {round(at * 1000): float(value) for at, value in pairs}
    return Answer(kind, points)
