"""`hallkeeper keys`: the Ed25519 keys that commands and the ledger are signed with."""

from pathlib import Path
from typing import Annotated, Literal

import typer

from bus.signing import SigningKey
from fleet.errors import HallkeeperError

app = typer.Typer(no_args_is_help=True, rich_markup_mode=None)

FILE = typer.Argument(help="The key file (0600).")


@app.command()
def new(file: Annotated[Path, FILE]) -> None:
    """Make a key; the file must not exist yet."""
    if file.exists():
        raise HallkeeperError(f"{file}: exists already; try another name, a key is never overwritten")
    key = SigningKey.generate()
    key.save(file)
    print(f"{file}: key {key.key_id}")


@app.command()
def show(
    file: Annotated[Path, FILE],
    role: Annotated[str, typer.Option(help="service, operator or admin")] = "operator",
    name: Annotated[str, typer.Option(help="Who holds it.")] = "",
) -> None:
    """Print the line that goes under `keys: trusted:` in hallkeeper.yaml (the public half only)."""
    roles: dict[str, Literal["service", "operator", "admin"]] = {
        "service": "service",
        "operator": "operator",
        "admin": "admin",
    }
    if role not in roles:
        raise typer.BadParameter(f"no role {role!r}; try: {', '.join(roles)}")
    key = SigningKey.load(file)
    trusted = key.trusted(roles[role], name)
    print(f"{key.key_id}: {{public: {trusted.public}, role: {trusted.role}, name: {trusted.name!r}}}")
