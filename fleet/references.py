"""References to secrets in configuration files: their form, and whether what they name can be used."""

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Annotated

from fleet.document import Document, Loc
from fleet.entry import text_check
from fleet.errors import Problem, SecretError
from fleet.secrets import secret_path, secret_trouble

SCHEMES = ("file:", "credential:")


def is_reference(text: str) -> bool:
    """`file:PATH` or `credential:NAME`."""
    return any(text.startswith(scheme) and len(text) > len(scheme) for scheme in SCHEMES)


def _literal(text: str) -> str | None:
    if is_reference(text):
        return None
    return "a literal credential must not stand here|a file of mode 0600, named as file:PATH"


SecretRef = Annotated[str, text_check(_literal)]
"""`file:PATH` or `credential:NAME`."""


def references_in(data: object, loc: Loc = ()) -> Iterator[tuple[Loc, str]]:
    """Every reference in a part of a document, with its place."""
    if isinstance(data, str) and is_reference(data):
        yield loc, data
    elif isinstance(data, dict):
        for key, value in data.items():
            yield from references_in(value, (*loc, key))
    elif isinstance(data, list):
        for index, value in enumerate(data):
            yield from references_in(value, (*loc, index))


def secret_problems(
    document: Document, part: Loc, base: Path, environ: Mapping[str, str]
) -> tuple[list[Problem], list[Problem]]:
    """Errors and warnings about the files that the references in a part of the document name.

    What cannot be looked at from here is a warning: a systemd credential outside its unit, a folder of another user
    (only the actuator can read the secrets that write).
    """
    problems: list[Problem] = []
    warnings: list[Problem] = []
    data = document.data
    for key in part:
        data = data.get(key) if isinstance(data, dict) and isinstance(key, str) else None
    for loc, reference in references_in(data, part):
        try:
            path = secret_path(reference, base=base, environ=environ)
        except SecretError as fault:
            warnings.append(document.problem(loc, *str(fault).rsplit(", try ", 1)))
            continue
        trouble = secret_trouble(path)
        if trouble is not None:
            (warnings if _hidden(path) else problems).append(document.problem(loc, *trouble))
    return problems, warnings


def _hidden(path: Path) -> bool:
    """Whether the folder of a file is closed to this user, so that nothing can be said about the file."""
    try:
        path.stat()
    except PermissionError:
        return True
    except OSError:
        return False
    return False
