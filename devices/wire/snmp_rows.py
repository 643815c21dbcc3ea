"""What of an agent's tables is polled and how its raw numbers become readings. Pure: columns in, arrays out."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from devices.profiles.profile import Point, Profile, RowLabel, Table
from devices.reading import STALE, Labels, Series
from fleet.quality import Quality, Reason, pack

Raw = int | float | str | bytes | None
Column = Sequence[tuple[tuple[int, ...], Raw]]
"""Index and value of each row of one column, ascending."""

Columns = Mapping[str, Column]
"""OID of a column to its rows."""

SENTINEL = pack(Quality.BAD, Reason.SENTINEL)
RANGE = pack(Quality.BAD, Reason.RANGE)
NO_INTEGRITY = pack(Quality.GOOD, Reason.NO_INTEGRITY)
"""Values over SNMPv2c are good and say that anybody on the path could have written them."""

Floats = npt.NDArray[np.float64]
Marks = npt.NDArray[np.uint8]


@dataclass(frozen=True, slots=True)
class Cell:
    """One value that is polled."""

    oid: str
    series: Series
    point: Point


@dataclass(frozen=True, slots=True)
class Plan:
    """Everything to poll for one signal group, and the arrays that decode its answer in one go."""

    oids: list[str]
    series: tuple[Series, ...]
    scale: Floats
    offset: Floats
    low: Floats
    high: Floats
    absent: tuple[tuple[float, npt.NDArray[np.bool_]], ...]
    """A raw value and the cells where it means "not available"."""

    states: tuple[tuple[npt.NDArray[np.intp], Mapping[int, float]], ...]
    """Cells that hold a state, and what its raw values stand for."""


def wanted(profile: Profile, signal: str) -> tuple[str, ...]:
    """OIDs of the columns that a signal group needs, the columns of row labels first."""
    oids: dict[str, None] = {}
    for table, points in _tables(profile, signal):
        oids |= dict.fromkeys(f"{table.entry}.{label.column}" for label in table.labels)
        oids |= dict.fromkeys(f"{table.entry}.{point.column}" for point in points)
    return tuple(oids)


def plan_of(profile: Profile, signal: str, columns: Columns, before: Plan | None = None) -> Plan:
    """The plan for what an agent's columns hold; its `series` is that of the plan before while the layout is the same."""
    cells: dict[Series, Cell] = {}
    for cell in _cells(profile, signal, columns):
        cells.setdefault(cell.series, cell)
    points = [cell.point for cell in cells.values()]
    series = tuple(cells)
    return Plan(
        oids=[cell.oid for cell in cells.values()],
        series=before.series if before is not None and before.series == series else series,
        scale=np.array([point.scale for point in points], dtype=np.float64),
        offset=np.array([point.offset for point in points], dtype=np.float64),
        low=np.array([-np.inf if point.low is None else point.low for point in points], dtype=np.float64),
        high=np.array([np.inf if point.high is None else point.high for point in points], dtype=np.float64),
        absent=tuple(_absent(points)),
        states=tuple(_states(points)),
    )


def decode(plan: Plan, raw: Sequence[Raw], *, integrity: bool) -> tuple[Floats, Marks | None]:
    """Values in base units and their marks, None where all are good; what is no number is absent."""
    numbers, missing = _numbers(raw)
    values = numbers * plan.scale + plan.offset
    for cells, meaning in plan.states:
        missing[cells] |= ~_translated(values, numbers, cells, meaning)
    for value, where in plan.absent:
        missing |= where & (numbers == value)
    outside = (values < plan.low) | (values > plan.high)
    if integrity and not missing.any() and not outside.any():
        return values, None
    marks = np.full(len(values), 0 if integrity else NO_INTEGRITY, dtype=np.uint8)
    marks[outside] = RANGE
    marks[missing] = SENTINEL
    values[missing] = STALE
    return values, marks


def _numbers(raw: Sequence[Raw]) -> tuple[Floats, npt.NDArray[np.bool_]]:
    missing = np.zeros(len(raw), dtype=np.bool_)
    try:
        return np.array(raw, dtype=np.float64), missing
    except (TypeError, ValueError):
        pass  # a value that is no number: find it
    for at, value in enumerate(raw):
        missing[at] = not isinstance(value, int | float)
    plain = [value if isinstance(value, int | float) else 0 for value in raw]
    return np.array(plain, dtype=np.float64), missing


def _translated(
    values: Floats, numbers: Floats, cells: npt.NDArray[np.intp], meaning: Mapping[int, float]
) -> npt.NDArray[np.bool_]:
    """Put what the states stand for into `values`; true where a state is known."""
    raw = numbers[cells]
    known = np.zeros(len(cells), dtype=np.bool_)
    for state, value in meaning.items():
        here = raw == state
        values[cells[here]] = value
        known |= here
    return known


def _tables(profile: Profile, signal: str) -> Iterator[tuple[Table, tuple[Point, ...]]]:
    for table in profile.tables:
        points = tuple(point for point in table.points if point.signal == signal)
        if points:
            yield table, points


def _cells(profile: Profile, signal: str, columns: Columns) -> Iterator[Cell]:
    for table, points in _tables(profile, signal):
        named = {label.name: dict(columns.get(f"{table.entry}.{label.column}", ())) for label in table.labels}
        for point in points:
            for index, _ in columns.get(f"{table.entry}.{point.column}", ()):
                labels = _labels(table, point, index, named)
                if labels is not None:
                    oid = ".".join((table.entry, str(point.column), *map(str, index)))
                    yield Cell(oid, (point.metric, labels), point)


def _labels(
    table: Table, point: Point, index: tuple[int, ...], named: Mapping[str, Mapping[tuple[int, ...], Raw]]
) -> Labels | None:
    """The labels of one row; None for a row that the profile leaves out (the neutral among the phases)."""
    found = dict(point.labels)
    found |= {name: str(part) for name, part in zip(table.index, index, strict=False) if name}
    for label in table.labels:
        text = _row_label(label, named[label.name].get(index), index)
        if text is None:
            return None
        found[label.name] = text
    kept = {name: text for name, text in found.items() if text and table.omit.get(name) != text}
    return tuple(sorted(kept.items()))


def _row_label(label: RowLabel, raw: Raw, index: tuple[int, ...]) -> str | None:
    if not isinstance(raw, int):
        return str(index[-1])  # the agent lacks the column: rows are numbered in the order it would name
    return str(raw) if label.names is None else label.names.get(raw)


def _absent(points: Sequence[Point]) -> Iterator[tuple[float, npt.NDArray[np.bool_]]]:
    for value in sorted({value for point in points for value in point.absent}):
        yield value, np.array([value in point.absent for point in points], dtype=np.bool_)


def _states(points: Sequence[Point]) -> Iterator[tuple[npt.NDArray[np.intp], Mapping[int, float]]]:
    done: list[Mapping[int, float]] = []
    for point in points:
        if point.states is not None and point.states not in done:
            done.append(point.states)
            cells = [at for at, other in enumerate(points) if other.states == point.states]
            yield np.array(cells, dtype=np.intp), point.states
