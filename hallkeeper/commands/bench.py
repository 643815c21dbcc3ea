"""`hallkeeper bench`: speed in CPU-seconds of every process of ours that takes part; load comes from another process."""

import json

import typer

app = typer.Typer(no_args_is_help=True, rich_markup_mode=None)

JSON = typer.Option("--json", help="Print one JSON object as the last line.")
AGAINST = typer.Option(
    "--against", help="Run this peer (Debian's package) on the same load in the same run, and print the ratio."
)
SECONDS = typer.Option("--seconds", min=2.0, max=600.0, help="How long to measure.")


def show(result: dict[str, object], *, as_json: bool) -> None:
    """The result: aligned lines for people, one JSON object for programs."""
    if as_json:
        print(json.dumps(result))
        return
    width = max(len(key) for key in result)
    for key, value in result.items():
        print(f"{key:<{width}}  {value}")
