"""The `hallkeeper` command: verbs in the manner of kubectl and amtool; data on stdout, messages on stderr.

Exit status: 0 done, 1 a check failed or an error was met, 2 wrong usage, 3 a console does not answer, 130 interrupted.
"""

import sys
from collections.abc import Iterator
from importlib import import_module

import typer

from fleet.errors import HallkeeperError, Unreachable
from hallkeeper import __version__

VERBS = {
    "demo": "demo",
    "run": "run",
    **dict.fromkeys(("approve", "deny", "stop", "resume", "lockout", "unlock"), "remediation"),
    "site": "site",
    "rules": "rules",
    "query": "query",
    "shed": "shed",
    "recovery": "recovery",
    "bench": "bench",
    "keys": "keys",
    "playbook": "playbook",
    "audit": "audit",
    "incident": "incident",
    "backup": "backup",
    "restore": "backup",
    "record": "record",
    "replay": "replay",
    "campaign": "campaign",
    "scenario": "scenario",
}
"""Verb → the module under `hallkeeper.commands` that has it; only that one is imported, so that a daemon starts quickly."""
GROUPS = {
    "site": "The site file: check it, print its schema.",
    "rules": "Rule files: check, test and explain them.",
    "bench": "Measure speed in CPU-seconds against load from another process.",
    "audit": "The record of every decision: is it whole?",
    "incident": "Incidents: list, show, acknowledge and export them.",
    "playbook": "Playbooks: check them, explain one, simulate one in virtual time.",
    "scenario": "Scenarios: what goes wrong, and what must and must not follow; in virtual time.",
    "keys": "Signing keys: make one, show its public half.",
}


def version() -> None:
    """Print the version."""
    print(f"hallkeeper {__version__}")  # noqa: T201 - data on stdout


def build(verb: str | None) -> typer.Typer:
    """The command line with the module of one verb, or with all of them (for help, completion and a verb unknown)."""
    app = typer.Typer(
        name="hallkeeper",
        help="Watches a GPU data hall (power, cooling, machines, jobs) and heals it: guarded, sent once, proven.",
        no_args_is_help=True,
        add_completion=True,
        rich_markup_mode=None,
        pretty_exceptions_enable=False,
    )
    app.command()(version)
    wanted = {VERBS[verb]} if verb in VERBS else set() if verb == "version" else set(VERBS.values())
    for name, module_name in VERBS.items():
        if module_name not in wanted:
            continue
        module = import_module(f"hallkeeper.commands.{module_name}")
        if name in GROUPS:
            app.add_typer(module.app, name=name, help=GROUPS[name])
        else:
            app.command(name)(getattr(module, name))
    return app


def complain(error: BaseException) -> None:
    """One message on stderr."""
    print(f"hallkeeper: {error}", file=sys.stderr)  # noqa: T201 - messages on stderr


def leaves(error: BaseException | None) -> Iterator[BaseException]:
    """The errors inside a group, whatever its depth."""
    if isinstance(error, BaseExceptionGroup):
        for inner in error.exceptions:
            yield from leaves(inner)
    elif error is not None:
        yield error


def main() -> None:
    """Run the command line; an error of ours is its message, without a traceback."""
    try:
        build(sys.argv[1] if len(sys.argv) > 1 else None)()
    except HallkeeperError as error:
        complain(error)
        sys.exit(3 if isinstance(error, Unreachable) else 1)
    except BaseExceptionGroup as group:
        ours, others = group.split(HallkeeperError)
        for inner in leaves(ours):
            complain(inner)
        if others is not None:
            raise others from None
        sys.exit(1)
    except KeyboardInterrupt:
        sys.exit(130)


if __name__ == "__main__":
    main()
