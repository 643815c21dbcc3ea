"""What a reload takes: rule files while running where every service can, anything else by making the services anew."""

import pytest

from fleet.errors import ConfigurationError
from fleet.loader import load_site
from fleet.settings import load_settings
from hallkeeper.daemon import Reload
from hallkeeper.files import contents_of
from hallkeeper.services import Reloading
from tests.scenario.live.test_bad_installations import RULE, Installation

GOOD = "groups: [{name: g, rules: [{alert: A, expr: 'up == 0'}]}]\n"


class Taker:
    def __init__(self):
        self.taken = 0

    def reload(self):
        self.taken += 1


@pytest.fixture
def here(tmp_path):
    made = Installation(tmp_path)
    (tmp_path / "rules").mkdir()
    (tmp_path / "rules" / "mine.yaml").write_text(GOOD)
    made.change("bus: embedded", "bus: embedded\nrules: [rules]")
    return made


def reloading(here, services):
    settings = load_settings(here.settings)
    contents = contents_of(here.settings, settings, load_site(settings.site))
    return Reloading(here.settings, contents, services)


def test_nothing_changed_asks_nothing_of_anybody(here):
    taker = Taker()
    assert reloading(here, {"rules": taker, "oncall": object()}).reload() is Reload.TAKEN
    assert taker.taken == 0


def test_changed_rules_are_taken_while_running_once(here):
    taker = Taker()
    files = reloading(here, {"rules": taker})
    (here.folder / "rules" / "mine.yaml").write_text(GOOD.replace("== 0", "== 1"))
    assert [files.reload(), files.reload()] == [Reload.TAKEN, Reload.TAKEN]
    assert taker.taken == 1


def test_who_cannot_take_rules_while_running_is_made_anew(here):
    files = reloading(here, {"rules": Taker(), "remediator": object()})
    (here.folder / "rules" / "mine.yaml").write_text(GOOD.replace("== 0", "== 1"))
    assert files.reload() is Reload.ANEW


def test_a_changed_secret_makes_the_services_anew(here):
    files = reloading(here, {"rules": Taker()})
    (here.folder / "secrets" / "pdu-read.yaml").write_text("{version: 2c, community: other}\n")
    assert files.reload() is Reload.ANEW


def test_a_broken_rule_beside_a_changed_site_changes_nothing(here):
    taker = Taker()
    files = reloading(here, {"rules": taker})
    (here.folder / "rules" / "mine.yaml").write_text(RULE)
    here.site.write_text(here.site.read_text().replace("50000000", "60000000"))
    with pytest.raises(ConfigurationError, match=r"mine\.yaml:5:"):
        files.reload()
    assert taker.taken == 0
    (here.folder / "rules" / "mine.yaml").write_text(GOOD)
    assert files.reload() is Reload.ANEW
