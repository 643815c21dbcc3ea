"""`hallkeeper rules`: rule files checked, tested and explained."""

import json
import re
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated

import typer

from fleet.errors import HallkeeperError, Problem
from hallkeeper.commands.explaining import explain_rule
from rules.check import Estimate, estimate, experimental_functions, long_look_backs, unknown_metrics
from rules.files.fields import RuleFileError
from rules.files.load import load_rules
from rules.files.model import RuleSet
from rules.testing.report import as_json, as_junit, as_text
from rules.testing.run import FileReport, run_file

TEST_FILES = ("*_test.yaml", "*_test.yml")
"""What a folder's unit tests are called."""

app = typer.Typer(no_args_is_help=True, rich_markup_mode=None)
app.command("explain")(explain_rule)


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
        warnings = tuple(
            sorted(
                [*unknown_metrics(found), *long_look_backs(found), *experimental_functions(found)],
                key=lambda each: (each.file, each.line, each.column),
            )
        )
    except RuleFileError as error:
        problems = error.problems
    costs = None if found is None else estimate(found, series)
    if as_json:
        print(json.dumps(_report(found, problems, warnings, costs), indent=2))
    else:
        _print(found, problems, warnings, costs)
    raise typer.Exit(1 if problems else 0)


@app.command("test")
def run_tests(
    files: Annotated[
        list[Path], typer.Argument(help="Unit-test files in promtool's format, or folders of *_test.yaml.")
    ],
    *,
    run: Annotated[str | None, typer.Option(help="Only tests whose name matches this regular expression.")] = None,
    as_hallkeeper: Annotated[
        bool, typer.Option("--as-hallkeeper", help="With clear thresholds, holds over gaps and models.")
    ] = False,
    junit: Annotated[Path | None, typer.Option(help="Write a JUnit report to this file.")] = None,
    machine: Annotated[bool, typer.Option("--json", help="One JSON object instead of lines.")] = False,
) -> None:
    """Run unit tests of rules in promtool's format; exit 1 when one of them fails or a file cannot be used.

    A failure shows what differs, and how its expression or alert went over time. NaN equals NaN.
    """
    only = _pattern(run)
    reports = [run_file(path, only=only, as_hallkeeper=as_hallkeeper) for path in _unit_files(files)]
    for report in reports:
        for line in (*report.warnings, *map(str, report.problems)):
            print(line, file=sys.stderr)
    if junit is not None:
        _write(junit, as_junit(reports))
    if machine:
        print(json.dumps(as_json(reports), indent=2))
    else:
        _print_reports(reports)
    raise typer.Exit(1 if any(report.failed for report in reports) else 0)


def _pattern(text: str | None) -> re.Pattern[str] | None:
    try:
        return None if text is None else re.compile(text)
    except re.error as error:
        raise typer.BadParameter(f"--run {text!r} is no regular expression: {error}") from error


def _unit_files(paths: Sequence[Path]) -> list[Path]:
    """The files named, and those of folders. Raises `BadParameter` where a folder has none."""
    found: list[Path] = []
    for path in paths:
        inside = sorted({each for pattern in TEST_FILES for each in path.rglob(pattern)}) if path.is_dir() else [path]
        if not inside:
            raise typer.BadParameter(f"{path} holds no unit tests; try: naming the files, or {' or '.join(TEST_FILES)}")
        found += inside
    return found


def _write(path: Path, text: str) -> None:
    try:
        path.write_text(text, encoding="utf-8")
    except OSError as error:
        raise HallkeeperError(f"{path}: cannot be written ({error.strerror}); try: another --junit path") from error


def _print_reports(reports: Sequence[FileReport]) -> None:
    for report in reports:
        for line in as_text(report):
            print(line)
    failed = sum(report.failed for report in reports)
    print(f"{sum(report.passed for report in reports)} passed, {failed} failed in {len(reports)} file(s)")


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
