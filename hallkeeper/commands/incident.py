"""`hallkeeper incident`: incidents listed, shown, acknowledged and exported."""

import json
from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from fleet.settings import load_settings
from hallkeeper.commands.remediation import LEDGER, Office
from hallkeeper.incidents import incident_named, incidents_in, line_of, markdown, plain

app = typer.Typer(no_args_is_help=True, rich_markup_mode=None)
SETTINGS = Annotated[Path, typer.Option("--settings", "-s", help="The installation's hallkeeper.yaml.")]
HERE = Path("hallkeeper.yaml")
JSON = Annotated[bool, typer.Option("--json", help="JSON instead of lines.")]
ID = Annotated[str, typer.Argument(help="The incident's id, or how it begins.")]


class Format(StrEnum):
    """What an export is."""

    MD = "md"
    JSON = "json"


@app.callback()
def incident() -> None:
    """Incidents."""


@app.command("list")
def list_all(
    *,
    every: Annotated[bool, typer.Option("--all", help="Those that have ended too.")] = False,
    settings: SETTINGS = HERE,
    as_json: JSON = False,
) -> None:
    """Incidents, newest first."""
    found = incidents_in(load_settings(settings).data / LEDGER)
    wanted = [told for told in found if every or not told.incident.ended]
    if as_json:
        print(json.dumps([plain(told) for told in wanted], indent=2))
    else:
        print("\n".join(line_of(told) for told in wanted) or "no incident")


@app.command()
def show(name: ID, *, settings: SETTINGS = HERE, as_json: JSON = False) -> None:
    """One incident: alerts, timeline, what was done, which gate said what, and the samples that decided."""
    told = incident_named(load_settings(settings).data / LEDGER, name)
    print(json.dumps(plain(told), indent=2) if as_json else markdown(told), end="\n" if as_json else "")


@app.command()
def ack(
    name: ID,
    *,
    comment: Annotated[str, typer.Option("--comment", "-c", help="What there is to say to it.")] = "",
    settings: SETTINGS = HERE,
) -> None:
    """Take an incident: you are its owner from here, and its timeline says so."""
    installed = load_settings(settings)
    told = incident_named(installed.data / LEDGER, name)
    office = Office(installed)
    office.post("ack", told.incident.incident_id, comment)
    print(f"acknowledged {told.incident.incident_id} as {office.actor}")


@app.command()
def export(
    name: ID,
    *,
    format_: Annotated[Format, typer.Option("--format", help="Markdown or JSON.")] = Format.MD,
    output: Annotated[
        Path | None, typer.Option("--output", "-o", help="A file; standard output where left out.")
    ] = None,
    settings: SETTINGS = HERE,
) -> None:
    """The whole incident as one document, for a ticket or a report."""
    told = incident_named(load_settings(settings).data / LEDGER, name)
    text = markdown(told) if format_ is Format.MD else json.dumps(plain(told), indent=2) + "\n"
    if output is None:
        print(text, end="")
    else:
        output.write_text(text, encoding="utf-8")
