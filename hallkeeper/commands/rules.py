"""`hallkeeper rules`: rule files checked before anybody runs them."""

import json
import sys
from pathlib import Path
from typing import Annotated

import typer

from fleet.errors import Problem, in_order
from rules.check import Estimate, estimate, unknown_metrics
from rules.files.fields import RuleFileError
from rules.files.load import load_rules
from rules.files.model import RuleSet

app = typer.Typer(no_args_is_help=True, rich_markup_mode=None)


@app.callback()
def rules() -> None:
    """Rule files."""


@app.command()
def check(
    files: Annotated[list[Path], typer.Argument(help="Rule files, or folders of them.")],
    *,
    series: Annotated[int, typer.Option(help="Series per metric for the cost estimate.", min=1)] = 1_000,
    as_json: Annotated[bool, typer.Option("--json", help="One JSON object instead of lines.")] = False,
) -> None:
    """Report every mistake in rule files and their sidecars; exit 1 if one of them cannot be used.

    Lines read `file:line:column: path: what is wrong, try …`; errors come on stderr, warnings on stdout.
    """
    found: RuleSet | None = None
    problems: tuple[Problem, ...] = ()
    warnings: tuple[Problem, ...] = ()
    try:
        found = load_rules(files)
        warnings = in_order(unknown_metrics(found))
    except RuleFileError as error:
        problems = error.problems
    costs = None if found is None else estimate(found, series)
    if as_json:
        print(json.dumps(_report(found, problems, warnings, costs), indent=2))
    else:
        _print(found, problems, warnings, costs)
    raise typer.Exit(1 if problems else 0)


def _print(
    found: RuleSet | None, problems: tuple[Problem, ...], warnings: tuple[Problem, ...], costs: Estimate | None
) -> None:
    for warning in warnings:
        print(f"warning: {warning}")
    for problem in problems:
        print(f"error: {problem}", file=sys.stderr)
    if found is None or costs is None:
        print(f"{len(problems)} error(s); nothing is loaded", file=sys.stderr)
        return
    rules_count = sum(len(group.rules) for group in found.groups)
    print(
        f"{len(found.files)} file(s), {len(found.groups)} group(s), {rules_count} rule(s), {len(warnings)} warning(s)"
    )
    print(
        f"with {costs.series_per_metric} series a metric: about {costs.core_share:.2%} of a core,"
        f" {costs.window_bytes / 1e6:.1f} MB of window for {costs.metrics} metrics,"
        f" looking back {costs.depth_seconds:g} s at most"
    )


def _report(
    found: RuleSet | None, problems: tuple[Problem, ...], warnings: tuple[Problem, ...], costs: Estimate | None
) -> dict[str, object]:
    return {
        "usable": found is not None,
        "rules": [] if found is None else [rule.uid for group in found.groups for rule in group.rules],
        "errors": [str(problem) for problem in problems],
        "warnings": [str(problem) for problem in warnings],
        "estimate": None
        if costs is None
        else {
            "series_per_metric": costs.series_per_metric,
            "metrics": costs.metrics,
            "core_share": costs.core_share,
            "window_bytes": costs.window_bytes,
            "depth_seconds": costs.depth_seconds,
        },
    }
