"""Pages about the configuration files are made from the classes that read them."""

from pathlib import Path

import pytest

from fleet.pages import settings_page, site_page

REFERENCE = Path(__file__).parents[3] / "docs" / "reference"


@pytest.mark.parametrize(("name", "page"), [("settings", settings_page()), ("site-file", site_page())])
def test_the_committed_page_is_what_the_classes_say(name: str, page: str) -> None:
    assert (REFERENCE / f"{name}.md").read_text() == page, "write it anew: python -m fleet.pages"


@pytest.mark.parametrize("page", [settings_page(), site_page()])
def test_every_key_is_explained(page: str) -> None:
    rows = [line for line in page.splitlines() if line.startswith("| `")]
    assert len(rows) > 20
    assert not any(row.endswith(("| None |", "|  |")) for row in rows)


def test_pages_name_what_an_operator_looks_for() -> None:
    assert "| `listen` | `127.0.0.1:8080` |" in settings_page()
    assert "| `zone` | required | Number of the row's zone" in site_page()
    assert "## Pdu" in site_page()
    assert "## Webhook" in settings_page()
