"""`hallkeeper site`: the site file checked, and its JSON Schema for editors."""

import json
import sys
from pathlib import Path
from typing import Annotated

import typer

from fleet.errors import Problem, SiteError
from fleet.loader import load_site, site_schema
from fleet.model import Kind, Site

app = typer.Typer(no_args_is_help=True, rich_markup_mode=None)


@app.command()
def check(
    file: Annotated[Path, typer.Argument(help="The site file.")] = Path("site.yaml"),
    *,
    as_json: Annotated[bool, typer.Option("--json", help="One JSON object instead of lines.")] = False,
    secrets: Annotated[bool, typer.Option(help="Look for the files that credentials refer to.")] = True,
) -> None:
    """Report every mistake and every oddity in a site file; exit 1 if it cannot be used.

    Lines read `file:line:column: path: what is wrong, try …`; errors come on stderr, warnings on stdout.
    """
    site: Site | None = None
    problems: tuple[Problem, ...] = ()
    try:
        site = load_site(file, check_secrets=secrets)
        warnings = site.warnings
    except SiteError as error:
        problems, warnings = error.problems, error.warnings
    if as_json:
        print(json.dumps(_report(file, site, problems, warnings), indent=2))
    else:
        _print(file, site, problems, warnings)
    raise typer.Exit(1 if problems else 0)


@app.command()
def schema() -> None:
    """Print the JSON Schema of site files, for editors that complete and check YAML."""
    print(json.dumps(site_schema(), indent=2))


def _print(file: Path, site: Site | None, problems: tuple[Problem, ...], warnings: tuple[Problem, ...]) -> None:
    for warning in warnings:
        print(f"warning: {warning}")
    for problem in problems:
        print(f"error: {problem}", file=sys.stderr)
    if site is None:
        print(f"{file}: {len(problems)} error(s), {len(warnings)} warning(s); nothing is loaded", file=sys.stderr)
        return
    inventory = ", ".join(f"{kind.replace('_', ' ')} {number}" for kind, number in _counts(site).items())
    print(f"{file}: site {site.name} can be used, {len(warnings)} warning(s); {inventory}")


def _report(
    file: Path, site: Site | None, problems: tuple[Problem, ...], warnings: tuple[Problem, ...]
) -> dict[str, object]:
    return {
        "file": str(file),
        "ok": not problems,
        "errors": [_as_object(problem) for problem in problems],
        "warnings": [_as_object(warning) for warning in warnings],
        "assets": {} if site is None else _counts(site),
    }


def _as_object(problem: Problem) -> dict[str, object]:
    return {
        "file": problem.file,
        "line": problem.line,
        "column": problem.column,
        "path": problem.path,
        "message": problem.message,
        "try": problem.suggestion,
    }


def _counts(site: Site) -> dict[str, int]:
    """How many assets of each kind, those kinds that there are."""
    counts = {str(kind): len(site.of_kind(kind)) for kind in Kind if kind is not Kind.SITE}
    return {kind: number for kind, number in counts.items() if number}
