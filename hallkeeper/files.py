"""What the files of an installation hold: so that a reload knows whether anything changed, and what takes it."""

import hashlib
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

from fleet.errors import SecretError
from fleet.model import Site
from fleet.secrets import secret_path
from fleet.settings import Settings

RULE_SUFFIXES = (".yaml", ".yml")


@dataclass(frozen=True, slots=True, kw_only=True)
class Contents:
    """Hashes of what an installation's files hold."""

    rules: str
    """Rule files and their sidecars: the rule service takes them while it runs."""
    others: str
    """Settings, site, playbooks and secrets: who uses them is made anew."""


def contents_of(path: Path, settings: Settings, site: Site) -> Contents:
    """As the files are now; one that cannot be read by this user counts as such."""
    others = (path, settings.site, *_inside(settings.playbooks), *_secrets(settings, site))
    return Contents(rules=_hash(_inside(settings.rules)), others=_hash(others))


def _inside(folders: Iterable[Path]) -> Iterator[Path]:
    for folder in folders:
        if folder.is_dir():
            yield from sorted(each for each in folder.rglob("*") if each.suffix in RULE_SUFFIXES)
        else:
            yield folder


def _secrets(settings: Settings, site: Site) -> Iterator[Path]:
    ours = (settings.keys.sign, settings.keys.operator, *(webhook.secret for webhook in settings.oncall.webhooks))
    devices = (reference for refs in site.credentials.values() for reference in (refs.read, refs.write))
    for base, references in ((settings.base, ours), (site.base, devices)):
        for reference in references:
            if reference is not None:
                try:
                    yield secret_path(str(reference), base=base)
                except SecretError:
                    continue


def _hash(paths: Iterable[Path]) -> str:
    total = hashlib.sha256()
    for path in paths:
        try:
            held = path.read_bytes()
        except OSError as error:
            held = type(error).__name__.encode()
        for part in (str(path).encode(), held):
            total.update(len(part).to_bytes(8, "big") + part)
    return total.hexdigest()
