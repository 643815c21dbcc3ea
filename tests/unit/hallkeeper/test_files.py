"""A reload knows what changed: rules apart from everything else, secrets included, and nothing where nothing did."""

import pytest

from fleet.loader import load_site
from fleet.settings import load_settings
from hallkeeper.files import contents_of
from tests.scenario.live.test_bad_installations import Installation


@pytest.fixture
def here(tmp_path):
    made = Installation(tmp_path)
    for name in ("rules", "playbooks"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "one.yaml").write_text("x: 1")
    made.change("bus: embedded", "bus: embedded\nrules: [rules]\nplaybooks: [playbooks]")
    return made


def contents(here):
    settings = load_settings(here.settings)
    return contents_of(here.settings, settings, load_site(settings.site))


def test_nothing_changed_is_nothing_changed(here):
    assert contents(here) == contents(here)


@pytest.mark.parametrize("name", ["rules/one.yaml", "rules/one.hallkeeper.yaml"])
def test_rule_files_and_their_sidecars_are_rules(here, name):
    before = contents(here)
    (here.folder / name).write_text("x: 2")
    after = contents(here)
    assert (after.rules != before.rules, after.others == before.others) == (True, True)


@pytest.mark.parametrize(
    "name",
    ["hallkeeper.yaml", "site.yaml", "secrets/pdu-read.yaml", "secrets/pdu-write.yaml", "webhook.yaml",
     "keys/service.yaml", "playbooks/one.yaml"],
)  # fmt: skip
def test_everything_else_is_taken_by_services_made_anew(here, name):
    before = contents(here)
    path = here.folder / name
    path.write_text(path.read_text() + "\n# another line\n")
    after = contents(here)
    assert (after.others != before.others, after.rules == before.rules) == (True, True)
