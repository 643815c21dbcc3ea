"""The Go program beside this file: Prometheus 3's own engine, asked over a pipe."""

import json
import os
import shutil
import subprocess
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

from tests.oracle.answers import Answer, LabelSet, label_set

FOLDER = Path(__file__).parent
BUILD_SECONDS = 110


class NoOracle(Exception):
    """There is no Go, or its modules are not at hand."""


@dataclass(frozen=True)
class Asked:
    """One query: at a time, or over a range where it has steps."""

    expr: str
    at_ms: int
    end_ms: int = 0
    step_ms: int = 0


def built(folder: Path) -> Path:
    """The program, compiled into a folder unless `HALLKEEPER_ORACLE` names one. Raises `NoOracle`."""
    ready = os.environ.get("HALLKEEPER_ORACLE")
    if ready is not None and Path(ready).exists():
        return Path(ready)
    go, program = shutil.which("go"), Path(ready or folder / "oracle")
    if go is None:
        raise NoOracle("the oracle needs Go")
    try:
        subprocess.run(
            [go, "build", "-o", program, "."], cwd=FOLDER, capture_output=True, check=True, timeout=BUILD_SECONDS
        )
    except (subprocess.CalledProcessError, subprocess.TimeoutExpired) as error:
        raise NoOracle(f"the oracle does not build here: {str(error.stderr)[-300:]}") from error
    return program


def prometheus_sources() -> Path:
    """The folder of the Prometheus release that the oracle is built with. Raises `NoOracle`."""
    go = shutil.which("go")
    if go is None:
        raise NoOracle("the oracle needs Go")
    command = [go, "list", "-m", "-f", "{{.Dir}}", "github.com/prometheus/prometheus"]
    done = subprocess.run(command, cwd=FOLDER, capture_output=True, text=True, check=False, timeout=BUILD_SECONDS)
    folder = Path(done.stdout.strip())
    if done.returncode or not done.stdout.strip() or not folder.is_dir():
        raise NoOracle(f"Prometheus's sources are not at hand: {done.stderr[-300:]}")
    return folder


class Oracle:
    """The running program."""

    def __init__(self, program: Path) -> None:
        self._process = subprocess.Popen([program], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def ask(
        self, series: Sequence[Mapping[str, object]], queries: Sequence[Asked], *, delays_names: bool = False
    ) -> list[Answer]:
        """Its answers, one a query."""
        asked = [vars(query) for query in queries]
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write(json.dumps({"series": series, "queries": asked, "delays_names": delays_names}) + "\n")
        self._process.stdin.flush()
        return [_answer(each) for each in json.loads(self._process.stdout.readline())]

    def close(self) -> None:
        """Let it end."""
        assert self._process.stdin is not None
        self._process.stdin.close()
        self._process.wait(timeout=10)
        assert self._process.stdout is not None
        self._process.stdout.close()


def _answer(raw: Mapping[str, Any]) -> Answer:
    if raw.get("error"):
        return Answer(error=str(raw["error"]))
    kind = str(raw["type"])
    if kind == "string":
        return Answer(kind, text=str(raw["elements"][0]["values"][0]))
    points: dict[LabelSet, dict[int, float]] = {}
    for each in raw["elements"] or []:
        numbers = [float(value) for value in each["values"] or []]
        points[label_set(each["labels"])] = dict(zip(each["times"] or [], numbers, strict=True))
    return Answer(kind, points, order=list(points))
