"""Pre-armed policies: what a person allowed beforehand, for which assets, until when. Strict, with file, line and column."""

import datetime as dt
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from fleet.document import read_document
from fleet.errors import ConfigurationError, Problem
from fleet.model import AssetId, Site

LONGEST_DAYS = 31
"""A policy that never ends is none: it is armed anew by somebody who still means it."""


class PolicyError(ConfigurationError):
    """The file of policies is wrong; `.problems` lists every mistake."""


class Policy(BaseModel):
    """One thing that is allowed."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    kind: Literal["idle-outlets"]
    """Outlets of hosts that are off already may be switched off to relieve an overloaded phase."""
    assets: Annotated[tuple[str, ...], Field(min_length=1)]
    """Nodes, racks or rows."""
    expires_at: dt.datetime
    armed_by: Annotated[str, Field(min_length=1)]

    def covers(self, node: AssetId, site: Site, now_ms: int) -> bool:
        """Whether it holds for a node now."""
        if now_ms >= round(self.expires_at.timestamp() * 1000):
            return False
        return any(name in site.assets and node in site.graph.nodes_in(AssetId(name)) for name in self.assets)


class _File(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)

    policies: tuple[Policy, ...] = ()


def load_policies(path: Path | None, site: Site, now_ms: int) -> tuple[Policy, ...]:
    """The policies in a file; none where no file is named. Raises `PolicyError`."""
    if path is None:
        return ()
    document = read_document(path, PolicyError)
    problems: list[Problem] = list(document.problems)
    try:
        found = _File.model_validate(document.data)
    except ValidationError as error:
        for fault in error.errors(include_url=False, include_input=False):
            unknown = fault["type"] == "extra_forbidden"
            message = "is not known here" if unknown else fault["msg"]
            problems.append(document.problem(tuple(fault["loc"]), message, "see docs/policies.md", key=unknown))
        raise PolicyError(problems) from None
    for index, policy in enumerate(found.policies):
        loc = ("policies", index)
        for place, name in enumerate(policy.assets):
            if name not in site.assets:
                problems.append(
                    document.problem((*loc, "assets", place), f"no asset {name!r}", "its name in site.yaml")
                )
        if policy.expires_at.tzinfo is None:
            problems.append(document.problem((*loc, "expires_at"), "has no time zone", "adding Z or +02:00"))
        elif policy.expires_at.timestamp() * 1000 > now_ms + LONGEST_DAYS * 86_400_000:
            text = f"is more than {LONGEST_DAYS} days away"
            problems.append(document.problem((*loc, "expires_at"), text, "arming it for a shorter time"))
    if problems:
        raise PolicyError(problems)
    return found.policies


def covering(policies: Sequence[Policy], kind: str, node: AssetId, site: Site, now_ms: int) -> Policy | None:
    """The policy that allows it now, or None."""
    return next((policy for policy in policies if policy.kind == kind and policy.covers(node, site, now_ms)), None)
