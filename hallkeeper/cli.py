"""The `hallkeeper` command: verbs in the manner of kubectl and amtool; data on stdout, messages on stderr.

Exit status: 0 done, 1 a check failed or an error was met, 2 wrong usage, 130 interrupted.
"""

import sys
from collections.abc import Iterator

import typer

from fleet.errors import HallkeeperError
from hallkeeper import __version__
from hallkeeper.commands import bench, demo, keys, remediation, rules, run, site

app = typer.Typer(
    name="hallkeeper",
    help="Watches a GPU data hall (power, cooling, machines, jobs) and heals it: guarded, sent once, proven.",
    no_args_is_help=True,
    add_completion=True,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
)


@app.command()
def version() -> None:
    """Print the version."""
    print(f"hallkeeper {__version__}")  # noqa: T201 - data on stdout


app.command("demo")(demo.demo)
app.command("run")(run.run)
app.add_typer(site.app, name="site", help="The site file: check it, print its schema.")
app.add_typer(rules.app, name="rules", help="Rule files: check them.")
app.add_typer(bench.app, name="bench", help="Measure speed in CPU-seconds against load from another process.")
app.add_typer(keys.app, name="keys", help="Signing keys: make one, show its public half.")
remediation.mount(app)


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
        app()
    except HallkeeperError as error:
        complain(error)
        sys.exit(1)
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
