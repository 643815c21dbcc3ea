"""`make docs`: writes the pages that are made from code, and the dashboards' JSON; tests compare them with what is committed."""

from pathlib import Path

from dashboards.generate import main as write_dashboards
from fleet.metrics import markdown
from fleet.pages import settings_page, site_page
from fleet.thresholds.page import thresholds_page
from remediator.actions_page import actions_page
from rules.catalogue_page import rules_page
from simulator.scenarios.page import scenarios_page

REFERENCE = Path(__file__).parent.parent / "docs" / "reference"


def main() -> None:
    """Write everything."""
    (REFERENCE / "metrics.md").write_text(markdown())
    (REFERENCE / "settings.md").write_text(settings_page())
    (REFERENCE / "site-file.md").write_text(site_page())
    (REFERENCE / "thresholds.md").write_text(thresholds_page())
    (REFERENCE / "actions.md").write_text(actions_page())
    (REFERENCE / "rules.md").write_text(rules_page())
    (REFERENCE / "scenarios.md").write_text(scenarios_page())
    write_dashboards()


if __name__ == "__main__":
    main()
