"""Scenario files in, scenarios out: strict, every mistake at once with its file, line and column, nothing half loaded."""

from collections.abc import Iterator, Sequence
from pathlib import Path

from pydantic import ValidationError

from fleet.document import Document, read_document
from fleet.errors import ConfigurationError, Problem, in_order
from fleet.mistakes import problems_of
from simulator.scenarios.check import check
from simulator.scenarios.schema import Scenario, ScenarioFile, Variant

SHIPPED = Path(__file__).parent


class ScenarioError(ConfigurationError):
    """A scenario is wrong; `.problems` lists every mistake of every file."""


def load_scenarios(paths: Sequence[Path] = (SHIPPED,)) -> tuple[Scenario, ...]:
    """The scenarios of files and folders, variants each as one of their own after their file's. Raises `ScenarioError`."""
    files = [file for path in paths for file in (sorted(path.glob("*.yaml")) if path.is_dir() else [path])]
    if not files:
        raise ScenarioError(
            [Problem(file=str(path), line=0, column=0, path="", message="holds no scenario", suggestion="a folder with *.yaml") for path in paths]
        )  # fmt: skip
    problems: list[Problem] = []
    found = [scenario for path in files for scenario in _of_file(path, problems)]
    if problems:
        raise ScenarioError(problems)
    return tuple(found)


def _of_file(path: Path, problems: list[Problem]) -> list[Scenario]:
    try:
        document = read_document(path, ScenarioError)
    except ScenarioError as error:
        problems += error.problems
        return []
    mistakes = list(document.problems)
    scenarios: list[Scenario] = []
    try:
        file = ScenarioFile.model_validate(document.data)
        mistakes += _named(file, path, document)
        scenarios = list(_expanded(file))
        mistakes += check(file, scenarios, document)
    except ValidationError as error:
        mistakes += problems_of(error, document, ScenarioFile)
    problems += in_order(mistakes)
    return [] if mistakes else scenarios


def _named(file: ScenarioFile, path: Path, document: Document) -> Iterator[Problem]:
    if file.scenario != path.stem:
        yield document.problem(("scenario",), "is not the name of its file", repr(path.stem))
    names = [variant.variant for variant in file.variants]
    for place, name in enumerate(names):
        if name in names[:place]:
            yield document.problem(("variants", place, "variant"), f"{name!r} is there twice", "another name")


def _expanded(file: ScenarioFile) -> Iterator[Scenario]:
    own = {name: getattr(file, name) for name in Scenario.model_fields}
    yield Scenario.model_validate(own)
    for variant in file.variants:
        changes = {name: getattr(variant, name) for name in Variant.model_fields if name in variant.model_fields_set}
        name = f"{file.scenario}/{changes.pop('variant')}"
        yield Scenario.model_validate({**own, **changes, "scenario": name})
