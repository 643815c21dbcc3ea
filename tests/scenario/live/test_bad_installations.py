"""A wrong installation is told by where it is wrong and what to try, with status 1, and nothing of it keeps running."""

import fcntl
import os
import re
import socket
from collections.abc import Callable
from pathlib import Path

import pytest

from fleet.clock import SystemClock
from hallkeeper.demo.installation import install, write
from tests.scenario.live.house import PATIENCE_SECONDS, all_gone, hallkeeper, marked, sockets_below

SITE = """\
site: mini
simulated: true
credentials:
  pdu: {read: "file:secrets/pdu-read.yaml", write: "file:secrets/pdu-write.yaml"}
halls:
  - name: hall-1
    rows:
      - name: row-01
        zone: 1
        racks:
          - name: r01
            power_limit_watts: 50000
            nodes:
              - {name: dgx-001, model: dgx-h100, gpus: 8, idle_watts: 2000, max_watts: 10200}
power:
  grid_supplies: [{name: grid-1, rated_watts: 50000000}]
  substations: [{name: sub-a, rated_watts: 30000000, fed_by: [grid-1]}]
  busbars: [{name: busbar-a, rated_watts: 1000000, fed_by: [sub-a]}]
  pdus:
    - {name: pdu-r01-a, rack: r01, feed: a, fed_by: [busbar-a], profile: eaton-epdu-g3, address: "127.0.0.1:9", credentials: pdu,
       phases: 3, rated_amperes: 48, volts: 230, outlets: [{outlet: 1, node: dgx-001, supply: psu-1, phase: 1}]}
"""
RULE = """\
groups:
  - name: broken
    rules:
      - alert: TooHot
        expr: rate(temperature_celsius) >
"""
PLAYBOOK = """\
playbook: broken
purpose: It names a verb that there is none of.
lane: corrective
cause: silence
mode: observe
rules: [node.yaml/node/NodeHung]
ladder:
  - rung: one
    steps:
      - {name: away, act: explode, within_seconds: 15}
"""


pytestmark = pytest.mark.timeout(2 * PATIENCE_SECONDS)


class Installation:
    """A small one that would run, in a folder of its own; a test spoils one thing of it."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.site = folder / "site.yaml"
        self.site.write_text(SITE)
        (folder / "secrets").mkdir()
        for name in ("pdu-read", "pdu-write"):
            write(folder / "secrets" / f"{name}.yaml", {"version": "2c", "community": name})
        self.settings = install(
            folder, self.site, bus="embedded", webhook="http://127.0.0.1:9/", idle=(), clock=SystemClock()
        )

    def change(self, old: str, new: str) -> None:
        """Replace one piece of the settings' text."""
        text = self.settings.read_text()
        assert old in text
        self.settings.write_text(text.replace(old, new))


@pytest.fixture
def installation(tmp_path: Path) -> Installation:
    return Installation(tmp_path)


def site_broken(here: Installation) -> list[str]:
    text = SITE.replace("zone: 1", "zone: one").replace("fed_by: [busbar-a], profile", "fed_by: [busbar-x], profile")
    here.site.write_text(text)
    return [
        rf"{here.site}:9:15: halls\[0\]\.rows\[0\]\.zone: .+, try .+",
        rf"{here.site}:20:\d+: power\.pdus\[0\]\.fed_by\[0\]: .+busbar-x.+, try .+busbar-a.*",
    ]


def settings_broken(here: Installation) -> list[str]:
    line = here.settings.read_text().splitlines().index("bus: embedded") + 1
    here.change("bus: embedded", "bus: embeded\nlisen: 127.0.0.1:1")
    return [
        rf"{here.settings}:{line}:6: bus: .+, try embedded, or kafka://.+",
        rf"{here.settings}:{line + 1}:1: lisen: unknown key 'lisen', try 'listen'",
    ]


def settings_absent(here: Installation) -> list[str]:
    here.settings.unlink()
    return [rf"{here.settings}:0:0: is absent, try .+"]


def rule_broken(here: Installation) -> list[str]:
    (here.folder / "rules").mkdir()
    (here.folder / "rules" / "mine.yaml").write_text(RULE)
    here.change("bus: embedded", "bus: embedded\nrules: [rules]")
    return [rf"{here.folder}/rules/mine\.yaml:5:\d+: .*expr: .+"]


def playbook_broken(here: Installation) -> list[str]:
    (here.folder / "playbooks").mkdir()
    (here.folder / "playbooks" / "mine.yaml").write_text(PLAYBOOK)
    here.change("bus: embedded", "bus: embedded\nplaybooks: [playbooks]")
    return [
        rf"{here.folder}/playbooks/mine\.yaml:10:\d+: ladder\[0\]\.steps\[0\]\.act: is 'explode', try one of 'power_off'.+"
    ]


def data_unwritable(here: Installation) -> list[str]:
    (here.folder / "data").write_text("a file where the folder should be")
    return [rf"{here.folder}/data\b.*: .*cannot be used.+[;,] try.+another.+folder.+"]


def kafka_absent(here: Installation) -> list[str]:
    here.change("bus: embedded", "bus: kafka://127.0.0.1:1")
    return [r"kafka 127\.0\.0\.1:1: .+, try whether it runs and is reached from here"]


def secret_absent(here: Installation) -> list[str]:
    (here.folder / "secrets" / "pdu-read.yaml").unlink()
    return [rf"{here.site}:4:\d+: credentials\.pdu\.read: {here.folder}/secrets/pdu-read\.yaml is absent, try .+0600"]


def secret_readable(here: Installation) -> list[str]:
    (here.folder / "webhook.yaml").chmod(0o644)
    return [
        rf"{here.settings}:\d+:\d+: oncall\.webhooks\[0\]\.secret: .+/webhook\.yaml has mode 0644, .+, try chmod 0600 .+"
    ]


Spoil = Callable[[Installation], list[str]]
WRONG: list[Spoil] = [
    site_broken, settings_broken, settings_absent, rule_broken, playbook_broken, data_unwritable, kafka_absent,
    secret_absent, secret_readable,
]  # fmt: skip
APART: list[tuple[str, Spoil]] = [
    ("rules", rule_broken), ("remediator", playbook_broken), ("collectors", kafka_absent),
]  # fmt: skip


def assert_told(status: int, out: str, complaint: str, expected: list[str]) -> None:
    """Every mistake once, as one line; nothing else that looks like a fall."""
    assert status == 1, complaint
    assert out == ""
    assert "Traceback" not in complaint
    told = [line.removeprefix("hallkeeper: ") for line in complaint.splitlines() if not line.startswith("{")]
    for pattern in expected:
        assert sum(bool(re.fullmatch(pattern, line)) for line in told) == 1, f"{pattern}\nin\n{complaint}"
    assert len(told) == len(expected), complaint


@pytest.mark.parametrize("spoil", WRONG, ids=lambda spoil: spoil.__name__)
async def test_a_wrong_installation_is_told_by_place_and_what_to_try(installation, spoil):
    expected = spoil(installation)
    with marked() as word:
        assert_told(*await hallkeeper("run", "--settings", str(installation.settings)), expected)
        assert await all_gone(word) == {}
    assert sockets_below(installation.folder) == []


@pytest.mark.parametrize(("service", "spoil"), APART, ids=lambda value: getattr(value, "__name__", value))
async def test_a_daemon_that_runs_apart_tells_the_same(installation, service, spoil):
    expected = spoil(installation)
    with marked() as word:
        assert_told(*await hallkeeper("run", service, "--settings", str(installation.settings)), expected)
        assert await all_gone(word) == {}


async def test_a_busy_port_ends_the_start_with_its_address_and_leaves_no_child(installation):
    with socket.socket() as taken, marked() as word:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        address = f"127.0.0.1:{taken.getsockname()[1]}"
        installation.change("listen: 127.0.0.1:0", f"listen: {address}")
        installation.change("status: {}", f"status: {{{FREE}}}")
        status, out, complaint = await hallkeeper("run", "--settings", str(installation.settings))
        assert (status, out) == (1, "")
        assert "Traceback" not in complaint
        assert re.search(
            rf"^hallkeeper: {address}: cannot listen .+; try: another address under `listen:`", complaint, re.MULTILINE
        )
        assert re.search(r"^hallkeeper: console ended with status 1 before it was ready", complaint, re.MULTILINE)
        assert await all_gone(word) == {}
    assert sockets_below(installation.folder) == []


FREE = ", ".join(f'{name}: "127.0.0.1:0"' for name in ("collectors", "rules", "remediator", "protective", "oncall"))
"""The other daemons' ports do not follow `listen` here: the one that is busy is the console's."""


async def test_a_second_run_on_the_same_data_folder_is_refused_and_leaves_the_first_alone(installation):
    (installation.folder / "data").mkdir()
    held = os.open(installation.folder / "data" / "run.lock", os.O_RDWR | os.O_CREAT, 0o600)
    try:
        fcntl.flock(held, fcntl.LOCK_EX)
        expected = [rf"{installation.folder}/data: another `hallkeeper run` works here; try: stopping it first.+"]
        with marked() as word:
            assert_told(*await hallkeeper("run", "--settings", str(installation.settings)), expected)
            assert await all_gone(word) == {}
    finally:
        os.close(held)
