"""`hallkeeper playbook`: playbooks checked, explained for a target, and simulated in virtual time."""

import json
import sys
from pathlib import Path
from typing import Annotated, Any

import typer

from fleet.errors import HallkeeperError, Problem
from fleet.loader import load_site
from fleet.model import Site
from fleet.settings import Settings, load_settings
from hallkeeper.playbooks.explain import explanation_of
from hallkeeper.playbooks.render import lines_of, lines_of_course
from hallkeeper.playbooks.simulate import simulated
from remediator.playbook import Playbook
from remediator.playbook_coverage import coverage_of, coverage_problems
from remediator.playbook_loader import SHIPPED, PlaybookError, Shelf, load_shelf
from remediator.rule_texts import rule_texts

app = typer.Typer(no_args_is_help=True, rich_markup_mode=None)
HERE = Path("hallkeeper.yaml")
SETTINGS = Annotated[
    Path, typer.Option("--settings", "-s", help="The installation's hallkeeper.yaml, where there is one.")
]
SITE = Annotated[Path | None, typer.Option("--site", help="A site file; that of the settings where left out.")]
JSON = Annotated[bool, typer.Option("--json", help="One JSON object instead of lines.")]
BOOK = Annotated[str, typer.Argument(help="Its name, such as p-reset, or its code, such as P-RESET.")]


@app.callback()
def playbook() -> None:
    """Playbooks."""


@app.command()
def check(
    files: Annotated[
        list[Path] | None, typer.Argument(help="Playbook files, or folders of them; those in use where left out.")
    ] = None,
    *,
    settings: SETTINGS = HERE,
    as_json: JSON = False,
) -> None:
    """Report every mistake, and every rule that neither a playbook answers nor people alone; exit 1 for any of them.

    Lines read `file:line:column: path: what is wrong, try …`.
    """
    installed = _settings(settings)
    folders = tuple(files or installed.playbooks or (SHIPPED,))
    rules = rule_texts(installed)
    shelf: Shelf | None = None
    try:
        shelf = load_shelf(folders)
        everything = not files or any(path.is_dir() for path in files)
        problems = tuple(coverage_problems(shelf, rules.keys(), everything=everything))
    except PlaybookError as error:
        problems = error.problems
    if as_json:
        print(json.dumps(_report(shelf, problems, rules), indent=2))
    else:
        _print(shelf, problems, len(rules), rules)
    raise typer.Exit(1 if problems else 0)


@app.command()
def explain(
    name: BOOK,
    *,
    target: Annotated[str, typer.Option("--target", "-t", help="An asset: its budgets, mode and devices.")] = "",
    settings: SETTINGS = HERE,
    site: SITE = None,
    as_json: JSON = False,
) -> None:
    """Show a playbook's rungs and steps, the gates that each is asked, the budgets, and how far it may go and why."""
    installed = _settings(settings)
    book = _book(name, installed)
    told = explanation_of(book, installed, _site(installed, site, settings) if target else None, target)
    if as_json:
        print(json.dumps(told, indent=2))
        return
    print("\n".join(lines_of(told)))


@app.command()
def simulate(
    name: BOOK,
    *,
    target: Annotated[str, typer.Option("--target", "-t", help="The asset that it is done to.")],
    fails: Annotated[
        list[str] | None, typer.Option(help="Steps, or rung/step, that shall have no effect, to see what follows.")
    ] = None,
    settings: SETTINGS = HERE,
    site: SITE = None,
    as_json: JSON = False,
) -> None:
    """Run a playbook in virtual time against an obedient site in memory: what would be sent, when, and how it would end.

    The course, the gates, the ledger and the proofs are the product's own; nothing leaves the process.
    """
    installed = _settings(settings)
    book = _book(name, installed)
    told = simulated(book, _site(installed, site, settings), target, fails=frozenset(fails or ()))
    if as_json:
        print(json.dumps(told, indent=2))
    else:
        print("\n".join(lines_of_course(told)))
    raise typer.Exit(0 if told["ended"] else 1)


def _settings(path: Path) -> Settings:
    """The installation's settings; the defaults where no file stands at the usual place."""
    return load_settings(path) if path.exists() or path != HERE else Settings()


def _site(settings: Settings, named: Path | None, where: Path) -> Site:
    path = named or settings.site
    if not path.exists():
        raise HallkeeperError(f"{path}: no site file, try --site FILE or --settings beside {where}")
    return load_site(path, check_secrets=False)


def _book(name: str, settings: Settings) -> Playbook:
    books = load_shelf(settings.playbooks or (SHIPPED,)).playbooks
    found = [book for book in books if name.lower() == book.playbook]
    found = found or [book for book in books if book.code is not None and name.upper() == book.code]
    if not found:
        known = ", ".join(book.playbook for book in books)
        raise HallkeeperError(f"no playbook is called {name!r}, try one of {known}")
    return found[0]


def _report(shelf: Shelf | None, problems: tuple[Problem, ...], rules: Any) -> dict[str, object]:
    told: dict[str, object] = {
        "usable": not problems,
        "problems": [
            {
                "file": p.file,
                "line": p.line,
                "column": p.column,
                "path": p.path,
                "message": p.message,
                "try": p.suggestion,
            }
            for p in problems
        ],
    }
    if shelf is not None:
        found = coverage_of(shelf, rules)
        told |= {
            "playbooks": [
                {"playbook": book.playbook, "code": book.code, "mode": book.mode.value, "rules": list(book.rules)}
                for book in shelf.playbooks
            ],
            "rules": len(rules),
            "by_playbook": found.by_playbook,
            "by_code": {rule: list(books) for rule, books in found.by_code.items()},
            "by_people": found.by_people,
            "uncovered": list(found.uncovered),
        }
    return told


def _print(shelf: Shelf | None, problems: tuple[Problem, ...], known: int, rules: Any) -> None:
    for problem in problems:
        print(f"error: {problem}", file=sys.stderr)
    if shelf is None:
        print(f"{len(problems)} error(s); nothing is loaded", file=sys.stderr)
        return
    found = coverage_of(shelf, rules)
    answered = [rule for rule in rules if rule in found.by_playbook]
    coded = [rule for rule in rules if rule in found.by_code and rule not in found.by_playbook]
    people = [rule for rule in rules if rule in found.by_people and rule not in coded]
    print(
        f"{len(shelf.playbooks)} playbooks, {known} rules: {len(answered)} answered by a playbook,"
        f" {len(coded)} by their fault's code, {len(people)} by people alone, {len(found.uncovered)} by nobody"
    )
