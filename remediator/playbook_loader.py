"""Reads playbooks from their files: strict, all mistakes at once, each with file, line and column; nothing half loaded."""

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import msgspec
from pydantic import BaseModel, ConfigDict, Field, ValidationError
from pydantic_core import ErrorDetails

from fleet.document import Document, read_document
from fleet.errors import ConfigurationError, Problem
from fleet.nearest import nearest
from remediator.ladders import Ladders
from remediator.playbook import Playbook, Step

SHIPPED = Path(__file__).parent / "playbooks"


class PlaybookError(ConfigurationError):
    """A playbook is wrong; `.problems` lists every mistake of every file."""


class _Pieces(BaseModel):
    """Steps that several playbooks share, by name."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    pieces: Mapping[str, tuple[Step, ...]]


class PeopleOnly(BaseModel):
    """Rules that only people answer, and why."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    why: str = Field(min_length=10, max_length=400)
    rules: tuple[str, ...] = Field(min_length=1)


class _People(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)

    people: tuple[PeopleOnly, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Shelf:
    """All that the folders hold."""

    playbooks: tuple[Playbook, ...]
    people: tuple[PeopleOnly, ...]
    places: Mapping[str, Document]
    """By playbook: the file that it came from, for messages."""


def load_playbooks(folders: Sequence[Path] = (SHIPPED,)) -> tuple[Playbook, ...]:
    """Every playbook of the folders. Raises `PlaybookError`; a rule that two playbooks answer is a mistake too."""
    return load_shelf(folders).playbooks


def load_shelf(folders: Sequence[Path] = (SHIPPED,)) -> Shelf:
    """Playbooks, and what is left to people. A path may be a file too. Raises `PlaybookError`."""
    paths = [path for folder in folders for path in (sorted(folder.glob("*.yaml")) if folder.is_dir() else [folder])]
    if not paths:
        raise PlaybookError(
            [_whole(folder, "holds no playbook", "naming the folder with *.yaml") for folder in folders]
        )
    problems: list[Problem] = []
    documents = [document for path in paths if (document := _read(path, problems)) is not None]
    pieces: dict[str, list[Any]] = {}
    people: list[PeopleOnly] = []
    for document in documents:
        if _is(document, "pieces"):
            pieces |= _pieces(document, problems)
        elif _is(document, "people"):
            people += _people(document, problems)
    ladders = Ladders([d for d in documents if not (_is(d, "pieces") or _is(d, "people"))], pieces, problems)
    found = [(document, book) for document, data in ladders.whole() if (book := _playbook(document, data, problems))]
    _no_rule_twice(found, problems)
    _none_idle(found, problems)
    if problems:
        raise PlaybookError(problems)
    return Shelf(
        playbooks=tuple(book for _, book in found),
        people=tuple(people),
        places={book.playbook: document for document, book in found},
    )


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


def _is(document: Document, kind: str) -> bool:
    return isinstance(document.data, dict) and kind in document.data


def _pieces(document: Document, problems: list[Problem]) -> dict[str, list[Any]]:
    try:
        _Pieces.model_validate(document.data)
    except ValidationError as error:
        problems.extend(_problems(document, error))
        return {}
    assert isinstance(document.data, dict)
    return dict(document.data["pieces"])


def _people(document: Document, problems: list[Problem]) -> list[PeopleOnly]:
    try:
        return list(_People.model_validate(document.data).people)
    except ValidationError as error:
        problems.extend(_problems(document, error))
        return []


def _playbook(document: Document, data: Mapping[str, Any], problems: list[Problem]) -> Playbook | None:
    before = len(problems)
    try:
        book = Playbook.model_validate(data)
    except ValidationError as error:
        problems.extend(_problems(document, error, own=_own_rungs(document)))
        return None
    return book if len(problems) == before else None


def _own_rungs(document: Document) -> int:
    """How many rungs stand in the file itself; mistakes of those that follow are told where they stand."""
    assert isinstance(document.data, dict)
    ladder = document.data.get("ladder", [])
    return len(ladder) if isinstance(ladder, list) and "then" in document.data else 1_000


def _problems(document: Document, error: ValidationError, own: int = 1_000) -> list[Problem]:
    """Pydantic's errors in the file's places; a list that is too short only because its items are wrong is not said."""
    faults = [fault for fault in error.errors(include_url=False) if not _elsewhere(fault["loc"], own)]
    inside = {fault["loc"][:depth] for fault in faults for depth in range(len(fault["loc"]))}
    return [_fault(document, fault) for fault in faults if fault["type"] != "too_short" or fault["loc"] not in inside]


def _elsewhere(loc: tuple[int | str, ...], own: int) -> bool:
    return len(loc) > 1 and loc[0] == "ladder" and isinstance(loc[1], int) and loc[1] >= own


def _fault(document: Document, fault: ErrorDetails) -> Problem:
    message, suggestion = fault["msg"].removeprefix("Value error, "), "the page docs/playbooks.md"
    match fault["type"]:
        case "extra_forbidden":
            message, suggestion = "is not known here", "leaving it out, or its right spelling"
        case "missing":
            message, suggestion = "is missing", f"adding `{fault['loc'][-1]}:`, as docs/playbooks.md says"
        case "enum" | "literal_error":
            message, suggestion = f"is {str(fault['input'])[:40]!r}", _one_of(str(fault["input"]), fault["ctx"])
    return document.problem(fault["loc"], message, suggestion, key=fault["type"] == "extra_forbidden")


def _one_of(word: str, context: Mapping[str, Any]) -> str:
    """What was probably meant first, then everything that there is."""
    expected = str(context["expected"])
    near = nearest(word, [part for part in expected.replace(" or ", ", ").replace("'", "").split(", ") if part])
    return f"{near!r}, or another one of {expected}" if near else f"one of {expected}"


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


def _none_idle(found: Sequence[tuple[Document, Playbook]], problems: list[Problem]) -> None:
    """A playbook that answers nothing and that nothing leads to is never done."""
    led = {rung.of for _, book in found for rung in book.ladder}
    for document, book in found:
        if not (book.rules or book.faults or book.playbook in led):
            what = "answers no rule, and no playbook leads to it"
            problems.append(document.problem(("rules",), what, "naming rules, or `then:` in another playbook"))


def _whole(path: Path, message: str, suggestion: str) -> Problem:
    return Problem(file=str(path), line=0, column=0, path="", message=message, suggestion=suggestion)
