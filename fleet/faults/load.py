"""The tables of faults from their files, checked line by line."""

import csv
from collections.abc import Iterator, Mapping
from importlib.resources import files
from importlib.resources.abc import Traversable
from types import MappingProxyType
from typing import Final

from fleet.errors import HallkeeperError
from fleet.faults.table import Action, Checker, Fault, Faults, Verdict

HERE: Final = "fleet.faults"
_YES_NO: Final = {"yes": True, "no": False}


class FaultTableError(HallkeeperError):
    """A table of faults that is not well formed; it says file, line and what was wrong."""


def load_faults(folder: Traversable | None = None) -> Faults:
    """Read the shipped tables, or those of a folder. Raises `FaultTableError`."""
    tables = files(HERE) if folder is None else folder
    xid = _faults(tables / "xid.csv")
    sxid = _faults(tables / "sxid.csv")
    return Faults(xid=xid, sxid=sxid, dcgm=_results(tables / "dcgm.csv"), recovery=_recovery(tables / "recovery.csv"))


def _faults(path: Traversable) -> Mapping[int, Fault]:
    found: dict[int, Fault] = {}
    for place, row in _rows(path):
        try:
            verdicts = {each: Verdict(row[each]) for each in Checker if row.get(each)}
            codes = list(_codes(row["codes"]))
            action, fatal = Action(row["action"]), _YES_NO[row["fatal"]]
        except (KeyError, ValueError) as error:
            raise FaultTableError(f"{place}: {error} is not known here, see the table's head") from error
        for code in codes:
            if code in found:
                raise FaultTableError(f"{place}: {code} stands in the table twice")
            found[code] = Fault(
                code=code,
                meaning=row["meaning"],
                action=action,
                fatal=fatal,
                verdicts=MappingProxyType(verdicts),
                note=row["note"],
            )
    return MappingProxyType(found)


def _results(path: Traversable) -> Mapping[str, Action]:
    found: dict[str, Action] = {}
    for place, row in _rows(path):
        for name in row["names"].split(","):
            if name in found:
                raise FaultTableError(f"{place}: {name} stands in the table twice")
            found[name] = _action(place, row)
    return MappingProxyType(found)


def _recovery(path: Traversable) -> Mapping[int, tuple[str, Action]]:
    return MappingProxyType({int(row["value"]): (row["name"], _action(place, row)) for place, row in _rows(path)})


def _action(place: str, row: Mapping[str, str]) -> Action:
    try:
        return Action(row["action"])
    except ValueError as error:
        raise FaultTableError(f"{place}: {error}, try one of {', '.join(Action)}") from error


def _rows(path: Traversable) -> Iterator[tuple[str, dict[str, str]]]:
    """Each row with its place; comments and blank lines are left out."""
    with path.open(encoding="utf-8") as stream:
        lines = [(number, line) for number, line in enumerate(stream, 1) if line.strip() and not line.startswith("#")]
    if not lines:
        raise FaultTableError(f"{path.name}: empty, its first line must name the columns")
    columns = lines[0][1].strip().split(";")
    for number, line in lines[1:]:
        values = next(csv.reader([line.rstrip("\n")], delimiter=";"))
        if len(values) != len(columns):
            raise FaultTableError(f"{path.name}:{number}: {len(values)} columns, the table has {len(columns)}")
        yield f"{path.name}:{number}", dict(zip(columns, values, strict=True))


def _codes(text: str) -> Iterator[int]:
    """`13,25-27` as numbers."""
    for part in text.split(","):
        first, _, last = part.partition("-")
        yield from range(int(first), int(last or first) + 1)
