"""`hallkeeper rules explain`: why a rule fires for a target, or does not, from a running console or from a test's series."""

import json
from pathlib import Path
from typing import Annotated, Any

import msgspec
import typer

from fleet.errors import HallkeeperError
from hallkeeper.client import ask, console_url
from hallkeeper.commands.query import SETTINGS, URL, moment
from rules.explain.explain import Explanation, explain, find_rules
from rules.explain.render import lines_of
from rules.explain.target import Target
from rules.files.durations import milliseconds
from rules.testing.run import staged_at


def explain_rule(
    rule: Annotated[str, typer.Argument(help="A rule's name, or its uid: file/group/name.")],
    *,
    target: Annotated[
        str, typer.Option("--target", "-t", help='An asset, node/x, or matchers such as rack="r1"; all where left out.')
    ] = "",
    at: Annotated[
        str, typer.Option(help="When: now, -5m, Unix seconds or RFC 3339; with --file since its start: 5m.")
    ] = "",
    file: Annotated[
        Path | None, typer.Option(help="A unit-test file whose series to explain, instead of a running console.")
    ] = None,
    test: Annotated[str, typer.Option(help="Which of the file's tests; the first where left out.")] = "",
    machine: Annotated[bool, typer.Option("--json", help="JSON instead of a tree.")] = False,
    url: Annotated[str | None, URL] = None,
    settings: Annotated[Path, SETTINGS] = Path("hallkeeper.yaml"),
) -> None:
    """Show every subexpression's value for a target, and what keeps the rule from firing or makes it fire."""
    if file is None:
        parameters = [("rule", rule), ("target", target), ("time", moment(at or "now"))]
        told = msgspec.convert(ask(console_url(url, settings), "explain", parameters), list[Explanation])
    else:
        told = _offline(file, test, rule, target, at or "0")
    if machine:
        plain: Any = msgspec.to_builtins(told)
        print(json.dumps(plain, indent=2))
        return
    print("\n\n".join("\n".join(lines_of(each)) for each in told))


def _offline(file: Path, test: str, rule: str, target: str, at: str) -> list[Explanation]:
    """Explanations out of a unit test's series. Raises `HallkeeperError`."""
    try:
        at_ms = milliseconds(at)
    except ValueError as error:
        raise HallkeeperError(f"{error}; try: --at 5m, the time since the test's start") from error
    rules, window, now_ms = staged_at(file, test, at_ms)
    found = find_rules(rules, rule)
    if not found:
        known = ", ".join(sorted({each.name for group in rules.groups for each in group.rules}))
        raise HallkeeperError(f"no rule of {file} is called {rule!r}; try: {known}")
    return [explain(group, each, Target.of(target), window, now_ms) for group, each in found]
