"""The reference page of scenarios, made from the schema, the faults and the shipped files."""

from collections.abc import Iterable, Iterator

from pydantic import BaseModel

from simulator.faults import KINDS
from simulator.faults.kind import Argument
from simulator.scenarios.bounds import QUANTITIES
from simulator.scenarios.load import load_scenarios
from simulator.scenarios.schema import (
    Bound,
    ExpectedAction,
    ExpectedAlert,
    Forbidden,
    Happening,
    Person,
    Scenario,
    SiteSize,
)

HEAD = """\
# Scenarios

A scenario says what goes wrong on a simulated site, what must be said and done, what must not be done, and which physical limits
hold. The shipped ones are `simulator/scenarios/*.yaml`; a file's variants stand in it, and each key of a variant stands in place
of its file's. All times are virtual seconds after the first moment; assets may be ranges such as `dgx-[001-008]`, and a rack, row
or CDU stands for its nodes where nodes are meant. A mistake is told with file, line and column.

Run them with `hallkeeper scenario run FILE` in virtual time. For the real protocols `python -m simulator --directory DIR --scenario
NAME` serves the scenario's site; `POST /scenario` to its control API begins it, `GET /scenario` says which bounds were broken.
"""


def scenarios_page() -> str:
    """The whole page."""
    return "\n".join([HEAD, *_scenarios(), *_keys(), *_faults(), *_quantities()]) + "\n"


def _row(*cells: object) -> str:
    return "| " + " | ".join(str(cell).replace("|", "\\|") for cell in cells) + " |"


def _table(heads: Iterable[str], rows: Iterable[str]) -> Iterator[str]:
    names = list(heads)
    yield _row(*names)
    yield "|" + "---|" * len(names)
    yield from rows
    yield ""


def _scenarios() -> Iterator[str]:
    yield "## The shipped ones\n"
    chosen = sorted(load_scenarios(), key=lambda one: one.number)
    yield from _table(
        ("number", "scenario", "what happens"),
        (_row(one.number, f"`{one.scenario}`", one.purpose) for one in chosen),
    )


def _keys() -> Iterator[str]:
    parts: dict[str, type[BaseModel]] = {
        "A file": Scenario,
        "`site`": SiteSize,
        "`faults`": Happening,
        "`people`": Person,
        "`expect.alerts`": ExpectedAlert,
        "`expect_action`": ExpectedAction,
        "`forbid`": Forbidden,
        "`bounds` and `bites`": Bound,
    }
    for title, model in parts.items():
        yield f"## {title}\n"
        fields = model.model_fields.items()
        yield from _table(
            ("key", "what it is"), (_row(f"`{name}`", _flat(one.description or "")) for name, one in fields)
        )


def _flat(text: str) -> str:
    return " ".join(text.split())


def _faults() -> Iterator[str]:
    yield "## Faults\n"
    rows = (
        _row(f"`{name}`", kind.on.value, kind.meaning, "; ".join(map(_argument, kind.arguments)) or "none")
        for name, kind in sorted(KINDS.items())
    )
    yield from _table(("fault", "strikes", "what happens", "`settings`"), rows)


def _argument(argument: Argument) -> str:
    limits = (
        f"{argument.low:g} to {argument.high:g}" if not isinstance(argument.default, str) else "/".join(argument.words)
    )
    return f"`{argument.name}` {argument.meaning} ({argument.default}{'; ' + limits if limits else ''})"


def _quantities() -> Iterator[str]:
    yield "## Quantities\n"
    yield "What the plant itself knows, whatever instruments show.\n"
    rows = (_row(f"`{name}`", one.meaning, one.group.replace("_", " ")) for name, one in sorted(QUANTITIES.items()))
    yield from _table(("quantity", "what it is", "of"), rows)
