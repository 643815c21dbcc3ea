"""The site file in, the site out: all or nothing, and every mistake at once."""

import os
from collections.abc import Collection, Mapping
from dataclasses import replace
from pathlib import Path

from pydantic import ValidationError

from fleet.advice import advice_on
from fleet.build import assets_of
from fleet.checks import check_numbers, check_plugs, check_power_tree, check_references, check_zones
from fleet.document import Document, read_document
from fleet.endpoints import PROFILES, check_endpoints
from fleet.errors import Problem, SiteError, in_order
from fleet.graph import PlantGraph
from fleet.mistakes import problems_of
from fleet.model import CredentialRefs, Site
from fleet.names import Names, collect_names
from fleet.references import secret_problems
from fleet.sitefile import SiteFile


def load_site(
    path: Path | str,
    *,
    profiles: Collection[str] = PROFILES,
    check_secrets: bool = True,
    environ: Mapping[str, str] = os.environ,
) -> Site:
    """The site in a file. Raises `SiteError` with every mistake at once; nothing is half loaded.

    `profiles` are the device families that are known. With `check_secrets` the files that credentials refer to must
    be there with mode 0600. What is odd but usable is in the site's `warnings`.
    """
    path = Path(path)
    document = read_document(path, SiteError)
    problems = list(document.problems)
    warnings: list[Problem] = []
    file = _shaped(document, problems)
    names = collect_names(document)
    problems += names.problems
    problems += _checked(document, names, profiles)
    if check_secrets:
        wrong, odd = secret_problems(document, ("credentials",), path.parent, environ)
        problems += wrong
        warnings += odd
    if problems or file is None:
        raise SiteError(in_order(problems), in_order(warnings))
    return _site(path, file, document, names, warnings)


def _shaped(document: Document, problems: list[Problem]) -> SiteFile | None:
    """The file by its shape; what is wrong with the shape is noted."""
    try:
        return SiteFile.model_validate(document.data)
    except ValidationError as error:
        problems += problems_of(error, document, SiteFile)
        return None


def _checked(document: Document, names: Names, profiles: Collection[str]) -> list[Problem]:
    return [
        *check_references(document, names),
        *check_zones(document),
        *check_plugs(document),
        *check_power_tree(document),
        *check_numbers(document),
        *check_endpoints(document, names, profiles),
    ]


def _site(path: Path, file: SiteFile, document: Document, names: Names, warnings: list[Problem]) -> Site:
    assets = assets_of(file)
    groups = {name: CredentialRefs(read=group.read, write=group.write) for name, group in file.credentials.items()}
    site = Site(
        name=file.site,
        simulated=file.simulated,
        assets=assets,
        graph=PlantGraph(assets),
        credentials=groups,
        path=path,
    )
    return replace(site, warnings=in_order([*warnings, *advice_on(site, document, names.places)]))


def site_schema() -> dict[str, object]:
    """The JSON Schema of site files, for editors."""
    schema = SiteFile.model_json_schema()
    return {"$schema": "https://json-schema.org/draft/2020-12/schema", **schema, "title": "Hallkeeper site"}
