"""`hallkeeper query`: PromQL over the live window of a running console."""

import csv
import json
import sys
import time
from datetime import UTC, datetime
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any, Final

import typer

from hallkeeper.client import ask, console_url
from hallkeeper.tables import table
from rules.files.durations import milliseconds

URL = typer.Option("--url", help="The console's address; what hallkeeper.yaml says where left out.")
SETTINGS = typer.Option("--settings", "-s", help="The installation's hallkeeper.yaml.")
_NOW: Final = "now"


class Output(StrEnum):
    """How an answer is printed."""

    TABLE = "table"
    JSON = "json"
    CSV = "csv"


def query(
    expr: Annotated[str, typer.Argument(help="A PromQL expression.")],
    *,
    at: Annotated[str, typer.Option(help="When: now, -5m, Unix seconds or RFC 3339.")] = _NOW,
    over: Annotated[
        tuple[str, str, str] | None,
        typer.Option("--range", metavar="START END STEP", help="From when to when, and how far apart."),
    ] = None,
    output: Annotated[Output, typer.Option("--output", "-o", help="How to print.")] = Output.TABLE,
    url: Annotated[str | None, URL] = None,
    settings: Annotated[Path, SETTINGS] = Path("hallkeeper.yaml"),
) -> None:
    """Evaluate an expression over what a running Hallkeeper holds: at one time, or over a range of times."""
    address = console_url(url, settings)
    if over is None:
        data = ask(address, "query", [("query", expr), ("time", moment(at))])
    else:
        start, end, step = over
        times = [("start", moment(start)), ("end", moment(end)), ("step", step)]
        data = ask(address, "query_range", [("query", expr), *times])
    _show(data, output)


def moment(text: str) -> str:
    """A time as the API takes it: `now` and durations back from it become Unix seconds."""
    if text == _NOW:
        return f"{time.time():.3f}"
    if text.startswith("-"):
        try:
            return f"{time.time() - milliseconds(text[1:]) / 1000:.3f}"
        except ValueError as error:
            raise typer.BadParameter(f"{error}; try: -5m, now, or a time such as 2026-05-01T12:00:00Z") from error
    return text


def _show(data: dict[str, Any], output: Output) -> None:
    if output is Output.JSON:
        print(json.dumps(data, indent=2))
        return
    heads, rows = _rows(data)
    if output is Output.CSV:
        writer = csv.writer(sys.stdout, lineterminator="\n")
        writer.writerow(heads)
        writer.writerows(rows)
    elif rows:
        print(table(heads, rows))
    else:
        print("nothing matches; try: hallkeeper query '{__name__=~\"part.*\"}'", file=sys.stderr)


def _rows(data: dict[str, Any]) -> tuple[list[str], list[list[str]]]:
    """A row a sample: its labels, its time where there are several, its value."""
    kind, result = data["resultType"], data["result"]
    if kind in {"scalar", "string"}:
        return ["VALUE"], [[str(result[1])]]
    names = sorted({name for each in result for name in each["metric"]}, key=lambda name: (name != "__name__", name))
    heads = [name.strip("_").upper() for name in names]
    if kind == "vector":
        return [*heads, "VALUE"], [[*_labels(each, names), each["value"][1]] for each in result]
    rows = [[*_labels(each, names), _clock(at), value] for each in result for at, value in each["values"]]
    return [*heads, "TIME", "VALUE"], rows


def _labels(element: dict[str, Any], names: list[str]) -> list[str]:
    return [element["metric"].get(name, "") for name in names]


def _clock(seconds: float) -> str:
    at = datetime.fromtimestamp(seconds, UTC)
    fraction = f".{at.microsecond // 1000:03d}" if at.microsecond else ""
    return f"{at:%Y-%m-%dT%H:%M:%S}{fraction}Z"
