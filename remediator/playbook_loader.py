"""Reads playbooks from their files: strict, all mistakes at once, each with file, line and column; nothing half loaded."""

import hashlib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import msgspec
from pydantic import BaseModel, ConfigDict, ValidationError
from pydantic_core import ErrorDetails

from fleet.document import Document, read_document
from fleet.errors import ConfigurationError, Problem
from remediator.playbook import Playbook, Step

SHIPPED = Path(__file__).parent / "playbooks"


class PlaybookError(ConfigurationError):
    """A playbook is wrong; `.problems` lists every mistake of every file."""


class _Pieces(BaseModel):
    """Steps that several playbooks share, by name."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    pieces: Mapping[str, tuple[Step, ...]]


def load_playbooks(folders: Sequence[Path] = (SHIPPED,)) -> tuple[Playbook, ...]:
    """Every playbook of the folders. Raises `PlaybookError`; a rule that two playbooks answer is a mistake too."""
    paths = [path for folder in folders for path in sorted(folder.glob("*.yaml"))]
    if not paths:
        raise PlaybookError(
            [_whole(folder, "holds no playbook", "naming the folder with *.yaml") for folder in folders]
        )
    problems: list[Problem] = []
    documents = [document for path in paths if (document := _read(path, problems)) is not None]
    pieces: dict[str, list[Any]] = {}
    for document in documents:
        if _is_pieces(document):
            pieces |= _pieces(document, problems)
    found = [
        (document, book)
        for document in documents
        if not _is_pieces(document) and (book := _playbook(document, pieces, problems)) is not None
    ]
    _no_rule_twice(found, problems)
    if problems:
        raise PlaybookError(problems)
    return tuple(book for _, book in found)


def playbook_hash(playbook: Playbook, rule: Mapping[str, object]) -> str:
    """What a back-test vouches for: this playbook and this rule (expr, for, keep_firing_for, the sidecar)."""
    parts = [playbook.model_dump(mode="json", exclude={"mode"}), {name: rule[name] for name in sorted(rule)}]
    return hashlib.sha256(msgspec.json.encode(parts, order="sorted")).hexdigest()


def _read(path: Path, problems: list[Problem]) -> Document | None:
    try:
        document = read_document(path, PlaybookError)
    except PlaybookError as error:
        problems.extend(error.problems)
        return None
    problems.extend(document.problems)
    if not isinstance(document.data, dict):
        problems.append(document.problem((), "is no mapping", "beginning with `playbook:`"))
        return None
    return document


def _is_pieces(document: Document) -> bool:
    return isinstance(document.data, dict) and "pieces" in document.data


def _pieces(document: Document, problems: list[Problem]) -> dict[str, list[Any]]:
    try:
        _Pieces.model_validate(document.data)
    except ValidationError as error:
        problems.extend(_problems(document, error))
        return {}
    assert isinstance(document.data, dict)
    return dict(document.data["pieces"])


def _playbook(document: Document, pieces: Mapping[str, list[Any]], problems: list[Problem]) -> Playbook | None:
    data = document.data
    assert isinstance(data, dict)
    before = len(problems)
    whole = {**data, **({"ladder": _ladder(document, data["ladder"], pieces, problems)} if "ladder" in data else {})}
    try:
        book = Playbook.model_validate(whole)
    except ValidationError as error:
        problems.extend(_problems(document, error))
        return None
    return book if len(problems) == before else None


def _ladder(document: Document, ladder: Any, pieces: Mapping[str, list[Any]], problems: list[Problem]) -> Any:
    """The ladder with each `use: piece` replaced by that piece's steps; anything misshapen stays for the schema to refuse."""
    if not isinstance(ladder, list):
        return ladder
    return [_rung(document, place, rung, pieces, problems) for place, rung in enumerate(ladder)]


def _rung(document: Document, place: int, rung: Any, pieces: Mapping[str, list[Any]], problems: list[Problem]) -> Any:
    if not isinstance(rung, dict) or not isinstance(rung.get("steps"), list):
        return rung
    steps: list[Any] = []
    for index, step in enumerate(rung["steps"]):
        if not (isinstance(step, dict) and "use" in step):
            steps.append(step)
        elif set(step) == {"use"} and step["use"] in pieces:
            steps.extend(pieces[str(step["use"])])
        else:
            known = ", ".join(sorted(pieces)) or "none"
            loc = ("ladder", place, "steps", index)
            problems.append(document.problem(loc, f"there is no piece {step['use']!r}", f"one of: {known}"))
    return {**rung, "steps": steps}


def _problems(document: Document, error: ValidationError) -> list[Problem]:
    """Pydantic's errors in the file's places; a list that is too short only because its items are wrong is not said."""
    faults = error.errors(include_url=False)
    inside = {fault["loc"][:depth] for fault in faults for depth in range(len(fault["loc"]))}
    return [_fault(document, fault) for fault in faults if fault["type"] != "too_short" or fault["loc"] not in inside]


def _fault(document: Document, fault: ErrorDetails) -> Problem:
    message, suggestion = fault["msg"].removeprefix("Value error, "), "the page docs/playbooks.md"
    match fault["type"]:
        case "extra_forbidden":
            message, suggestion = "is not known here", "leaving it out, or its right spelling"
        case "missing":
            message, suggestion = "is missing", f"adding `{fault['loc'][-1]}:`, as docs/playbooks.md says"
        case "enum" | "literal_error":
            message, suggestion = f"is {str(fault['input'])[:40]!r}", f"one of {fault['ctx']['expected']}"
    return document.problem(fault["loc"], message, suggestion, key=fault["type"] == "extra_forbidden")


def _no_rule_twice(found: Sequence[tuple[Document, Playbook]], problems: list[Problem]) -> None:
    rules: dict[tuple[str, str], str] = {}
    names: set[str] = set()
    for document, book in found:
        if book.playbook in names:
            problems.append(document.problem(("playbook",), f"{book.playbook!r} is there twice", "another name"))
        names.add(book.playbook)
        for index, rule in enumerate(book.rules):
            other = rules.setdefault((book.lane, rule), book.playbook)
            if other != book.playbook:
                problems.append(
                    document.problem(
                        ("rules", index), f"{rule} is answered by {other!r} already", "one playbook a rule"
                    )
                )


def _whole(path: Path, message: str, suggestion: str) -> Problem:
    return Problem(file=str(path), line=0, column=0, path="", message=message, suggestion=suggestion)
