"""The settings of an installation."""

from pathlib import Path

import pytest

from fleet.errors import SettingsError
from fleet.settings import Intervals, Settings, load_settings

FULL = """\
site: plant/site.yaml
data: /var/lib/hallkeeper
bus: kafka://kafka-1:9092,kafka-2:9092
zones: [1, 2]
rules: [catalogue, extra]
playbooks: [playbooks]
listen: "[::1]:0"
oncall:
  webhooks: [{url: "https://hooks.example/a", secret: "file:hook.yaml", allow_private: true}]
  alertmanagers: [{url: "http://alertmanager:9093"}]
remediation:
  modes: {power-cycle: {default: observe, domains: {row-01: enforce}}}
  policies: policies.yaml
keys:
  sign: file:keys/service.yaml
  operator: file:keys/operator.yaml
  trusted: {key-1: {public: "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=", role: operator, name: Ada}}
intervals: {outlet: 2, sel: 60}
"""


def write(folder: Path, text: str) -> Path:
    path = folder / "hallkeeper.yaml"
    path.write_text(text)
    return path


def mistakes(folder: Path, text: str, **options: object) -> list[str]:
    path = write(folder, text)
    with pytest.raises(SettingsError) as caught:
        load_settings(path, **options)
    return [str(problem).removeprefix(f"{path}:") for problem in caught.value.problems]


def test_everything_has_a_default(tmp_path: Path) -> None:
    settings = load_settings(write(tmp_path, "bus: embedded\n"))
    assert (settings.bus, settings.listen, settings.zones) == ("embedded", "127.0.0.1:8080", None)
    assert (settings.rules, settings.playbooks, settings.oncall.webhooks) == ((), (), ())
    assert settings.intervals == Intervals()
    assert (settings.intervals.outlet, settings.intervals.inlet, settings.intervals.energy) == (10, 1, 60)


def test_every_field_is_read(tmp_path: Path) -> None:
    settings = load_settings(write(tmp_path, FULL), check_secrets=False)
    assert settings.bus == "kafka://kafka-1:9092,kafka-2:9092"
    assert settings.zones == (1, 2)
    assert settings.listen == "[::1]:0"
    webhook = settings.oncall.webhooks[0]
    assert (webhook.url, webhook.secret, webhook.allow_private) == ("https://hooks.example/a", "file:hook.yaml", True)
    assert settings.oncall.alertmanagers[0].url == "http://alertmanager:9093"
    mode = settings.remediation.modes["power-cycle"]
    assert (mode.default, mode.domains) == ("observe", {"row-01": "enforce"})
    assert (settings.keys.sign, settings.keys.operator) == ("file:keys/service.yaml", "file:keys/operator.yaml")
    assert (settings.keys.trusted["key-1"].role, settings.keys.trusted["key-1"].name) == ("operator", "Ada")
    assert (settings.intervals.outlet, settings.intervals.sel, settings.intervals.bmc) == (2, 60, 10)


def test_relative_paths_start_at_the_file(tmp_path: Path) -> None:
    settings = load_settings(write(tmp_path, FULL), check_secrets=False)
    assert settings.site == tmp_path / "plant" / "site.yaml"
    assert settings.data == Path("/var/lib/hallkeeper")
    assert settings.rules == (tmp_path / "catalogue", tmp_path / "extra")
    assert settings.remediation.policies == tmp_path / "policies.yaml"
    assert settings.base == tmp_path
    assert load_settings(write(tmp_path, "bus: embedded")).data == tmp_path / "data", "defaults as well"


def test_settings_made_in_code_need_no_file() -> None:
    settings = Settings(listen="127.0.0.1:0", data=Path("/tmp/x"))
    assert (settings.data, settings.site, settings.base) == (Path("/tmp/x"), Path("site.yaml"), Path())


def test_settings_never_change() -> None:
    with pytest.raises(ValueError, match="frozen"):
        Settings().bus = "embedded"


def test_every_mistake_is_reported_at_once(tmp_path: Path) -> None:
    text = """\
sit: site.yaml
bus: kafka://a:99999
listen: 8080
intervals: {outlet: "2", gppu: 1, bmc: 0}
oncall: {webhooks: [{url: ftp://x, secret: hunter2, password: hunter2}]}
remediation: {modes: {power-cycle: {default: enforc}}}
keys: {sign: "file:nope.yaml", trusted: {k: {public: abc, role: chief}}}
zones: [1, a]
rules: foo
data: ""
"""
    found = mistakes(tmp_path, text)
    assert [line.split(": ", 2)[1] for line in found] == [
        "sit", "bus", "listen", "intervals.outlet", "intervals.gppu", "intervals.bmc", "oncall.webhooks[0].url",
        "oncall.webhooks[0].secret", "oncall.webhooks[0].password", "remediation.modes.power-cycle.default", "keys.sign",
        "keys.trusted.k.public", "keys.trusted.k.role", "zones[1]", "rules", "data",
    ]  # fmt: skip
    assert found[0] == "1:1: sit: unknown key 'sit', try 'site'"
    assert found[4] == "4:26: intervals.gppu: unknown key 'gppu', try 'gpu'"
    assert f"7:14: keys.sign: {tmp_path}/nope.yaml is absent, try creating it with mode 0600" in found
    assert not any("hunter2" in line for line in found)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("bus: kafka://", "not a bus, try embedded, or kafka://host:9092[,host:9092]"),
        ("bus: redis://x", "not a bus"),
        ("bus: kafka://a,,b", "'' is not a host"),
        ("listen: localhost", "the port is missing, try localhost:8080"),
        ("listen: 127.0.0.1:x", "'x' is not a port"),
        ("listen: 127.0.0.300:80", "'127.0.0.300' is not a host"),
        ("listen: '[::1]80'", "text behind the bracket"),
        ("intervals: {outlet: 4000}", "must be at most 3600"),
        ("intervals: {outlet: .nan}", "must be a finite number"),
        ("oncall: {alertmanagers: [{url: 'http://u:p@host'}]}", "a literal credential in a URL"),
        ("oncall: {alertmanagers: [{url: 'http://host:0'}]}", "0 is not a port"),
        ("oncall: {alertmanagers: [{url: 'http://host:99999'}]}", "not a URL, try"),
        ("oncall: {alertmanagers: [{url: 'http://a b'}]}", "not a URL of http or https"),
        ("oncall:", "must be a mapping, is empty"),
        (
            "oncall: {webhooks: [{url: 'http://h', alow_private: true}]}",
            "unknown key 'alow_private', try 'allow_private'",
        ),
        ("kafka_password_2: x", "a literal credential, 'kafka_password_2', must not stand here"),
        ("pasword: x", "a literal credential, 'pasword', must not stand here"),
        ("colour: x", "unknown key 'colour', try one of bus, data,"),
        ("- a", "must be a mapping, is a list"),
        ("zones: 3", "must be a list, is a number"),
        ("remediation: {policies: 7}", "must be a path, is a number"),
    ],
)
def test_each_mistake_says_what_is_wrong(text: str, said: str, tmp_path: Path) -> None:
    found = mistakes(tmp_path, text)
    assert any(said in line for line in found), found


def test_a_reload_gives_a_new_object_or_leaves_the_old_one_alone(tmp_path: Path) -> None:
    path = write(tmp_path, "listen: 127.0.0.1:1000\n")
    old = load_settings(path)
    write(tmp_path, "listen: nowhere\n")
    with pytest.raises(SettingsError):
        load_settings(path)
    assert old.listen == "127.0.0.1:1000"
    write(tmp_path, "listen: 127.0.0.1:2000\n")
    assert load_settings(path).listen == "127.0.0.1:2000"


@pytest.mark.parametrize(
    ("text", "why"), [("3/2", "no share 3/2"), ("0/2", "pattern"), ("half", "pattern"), ("1/2", "")]
)
def test_a_share_of_the_rules_is_one_of_those_there_are(tmp_path: Path, text: str, why: str) -> None:
    path = tmp_path / "hallkeeper.yaml"
    path.write_text(f'site: site.yaml\ndata: data\nrules_share: "{text}"\n')
    if not why:
        assert load_settings(path).rules_share == "1/2"
        return
    with pytest.raises(SettingsError, match="rules_share"):
        load_settings(path)
