"""A small right site, with its secrets, to load and to break."""

from collections.abc import Callable
from pathlib import Path

import pytest

from fleet.errors import SiteError
from fleet.loader import load_site
from fleet.model import Site

MINI = (Path(__file__).parent / "mini.yaml").read_text()
GROUPS = ("pdu", "bmc", "agent", "kubernetes")


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A folder with the secrets that the small site refers to."""
    (tmp_path / "secrets").mkdir()
    for group in GROUPS:
        for purpose in ("read", "write"):
            secret = tmp_path / "secrets" / f"{group}-{purpose}.yaml"
            secret.write_text("user: operator\npassword: correct-horse\n")
            secret.chmod(0o600)
    return tmp_path


@pytest.fixture
def load(folder: Path) -> Callable[..., Site]:
    """Load a text as the site file, by default the small site; extra arguments go to the loader."""

    def load_text(text: str = MINI, **options: object) -> Site:
        path = folder / "site.yaml"
        path.write_text(text)
        return load_site(path, **options)

    return load_text


@pytest.fixture
def mistakes(load: Callable[..., Site]) -> Callable[..., list[str]]:
    """The problems of the small site with some text replaced, each `line:column: path: …`, the file left out."""

    def broken(*replacements: tuple[str, str], text: str = MINI, **options: object) -> list[str]:
        for old, new in replacements:
            assert old in text, f"{old!r} is not in the site"
            text = text.replace(old, new, 1)
        with pytest.raises(SiteError) as caught:
            load(text, **options)
        return [str(problem).removeprefix(f"{problem.file}:") for problem in caught.value.problems]

    return broken
