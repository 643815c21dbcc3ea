"""Each kind of mistake in a site file: where it is, what is wrong, what to try."""

from collections.abc import Callable
from pathlib import Path

import pytest

from fleet.errors import SiteError
from fleet.loader import load_site

Mistakes = Callable[..., list[str]]

ONE_BY_ONE = {
    "unknown key": (
        [("power_limit_watts:", "power_limit_wats:")],
        "power_limit_wats:",
        "halls[0].rows[0].racks[0].power_limit_wats: unknown key 'power_limit_wats', try 'power_limit_watts'",
    ),
    "wrong type": (
        [("gpus: 8", 'gpus: "8"')],
        '"8"',
        "halls[0].rows[0].racks[0].nodes[0].gpus: must be a whole number, is text, try digits without quotes",
    ),
    "number for a name": (
        [("name: hall-1", "name: 1")],
        "1",
        'halls[0].name: must be text, is a number, try quotes: "…"',
    ),
    "missing": (
        [("        zone: 1\n", "")],
        "name:",
        "halls[0].rows[0].zone: `zone` is missing, try adding `zone:` (Number of the row's zone, used once and never again: unit of polling, partition on the bus)",
    ),
    "duplicate name": (
        [("name: gen-1, rated", "name: r01, rated")],
        "r01",
        "power.generator_strings[0].name: the name 'r01' is taken, by the rack in line 15, try a name that is used once in the whole site",
    ),
    "duplicate key": (
        [("simulated: true", "simulated: true\nsimulated: false")],
        "simulated:",
        "simulated: the key 'simulated' is there twice, try keeping one of the two",
    ),
    "backwards range": (
        [('"dgx-[001-004]"\n', '"dgx-[004-001]"\n')],
        '"dgx-[004-001]"',
        "halls[0].rows[0].racks[0].nodes[0].names: [004-001] runs backwards, try [001-004]",
    ),
    "uneven range": (
        [('"dgx-[001-004]"\n', '"dgx-[01-004]"\n')],
        '"dgx-[01-004]"',
        "halls[0].rows[0].racks[0].nodes[0].names: [01-004] has ends of different width, try [001-004]",
    ),
    "open bracket": (
        [('"dgx-[001-004]"\n', '"dgx-[001-004"\n')],
        '"dgx-[001-004"',
        "halls[0].rows[0].racks[0].nodes[0].names: 'dgx-[001-004' has a bracket without its partner, or is empty, try dgx-[001-064]",
    ),
    "too many names": (
        [('"dgx-[001-004]"\n', '"dgx-[1-999999]"\n')],
        '"dgx-[1-999999]"',
        "halls[0].rows[0].racks[0].nodes[0].names: stands for more than 20000 names, try several smaller ranges",
    ),
    "name with a blank": (
        [("name: hall-1", "name: hall 1")],
        "hall 1",
        "halls[0].name: must be 1 to 63 letters, digits, dots, dashes or underscores, with a letter or digit at both ends, try dgx-001",
    ),
    "range without template": (
        [("{index+31000}", "31000")],
        '"127.0.0.1:31000"',
        "halls[0].rows[0].racks[0].nodes[0].bmc.address: the same address for all 4 names of the range, try {name}, {index} or {number} in it",
    ),
    "unknown template": (
        [("{index+31000}", "{host}")],
        '"127.0.0.1:{host}"',
        "halls[0].rows[0].racks[0].nodes[0].bmc.address: {host} means nothing here, try {name}, {index}, {number}, {index+31000}",
    ),
    "half a template": (
        [("{index+31000}", "{index+31000}{")],
        '"127.0.0.1:{index+31000}{"',
        "halls[0].rows[0].racks[0].nodes[0].bmc.address: { means nothing here, try {name}, {index}, {number}, {index+31000}",
    ),
    "outlets and nodes of different number": (
        [('"[1-4]"', '"[1-3]"')],
        '"[1-3]"',
        "power.pdus[1].outlets[0].outlet: 3 outlet(s) for 4 node(s), try ranges of the same length",
    ),
    "dangling node": (
        [("outlet: 1, node: dgx-001", "outlet: 1, node: dgx-01")],
        "dgx-01",
        "power.pdus[0].outlets[0].node: 'dgx-01' does not exist, must name a node, try 'dgx-001'",
    ),
    "dangling rack": (
        [("racks: [r01]", "racks: [r02]")],
        "r02]",
        "cooling.loops[0].racks[0]: 'r02' does not exist, must name a rack, try 'r01'",
    ),
    "dangling busbar": (
        [("fed_by: [busbar-a]", "fed_by: [busbar]")],
        "busbar]",
        "power.pdus[0].fed_by[0]: 'busbar' does not exist, must name a bess or busbar or generator string or grid supply or substation, try 'busbar-b'",
    ),
    "name of another kind": (
        [("cdu: cdu-1", "cdu: crac-1")],
        "crac-1",
        "cooling.loops[0].cdu: 'crac-1' is a crac, must name a cdu, try 'cdu-1'",
    ),
    "dangling credentials group": (
        [("credentials: pdu\n", "credentials: pdus\n")],
        "pdus",
        "power.pdus[0].credentials: no credentials group 'pdus', try 'pdu'",
    ),
    "zone taken": (
        [("    rows:\n", "    rows:\n      - {name: row-00, zone: 1}\n")],
        "1",
        "halls[0].rows[1].zone: zone 1 is taken, by the row in line 12, try 2, a number that no row ever had",
    ),
    "zone of no row": (
        [("profile: cdu-modbus, unit: 1", "profile: cdu-modbus, unit: 1, zone: 9")],
        "9",
        "cooling.cdus[0].zone: no row has zone 9, try one of 1",
    ),
    "outlet taken": (
        [("outlet: 2,", "outlet: 1,")],
        "1",
        "power.pdus[0].outlets[1].outlet: outlet 1 is taken, in line 50, try another number",
    ),
    "port taken": (
        [("ports: [", "ports: [{port: 1, node: dgx-002}, ")],
        "1",
        "fabric.switches[0].ports[1].port: port 1 is taken, in line 68, try another number",
    ),
    "supply plugged in twice": (
        [("supply: psu-2", "supply: psu-1")],
        "psu-1",
        "power.pdus[1].outlets[0].supply: psu-1 of dgx-001 is plugged in twice, also in line 50, try another supply of dgx-001 on pdu-r01-b",
    ),
    "power in a circle": (
        [("fed_by: [grid-1]}", "fed_by: [busbar-b]}")],
        "[busbar-b]",
        "power.substations[1].fed_by: the power tree runs in a circle: sub-b ← busbar-b ← sub-b, try feeding one from outside",
    ),
    "fed by nothing": (
        [("fed_by: [sub-b]", "fed_by: []")],
        "[]",
        "power.busbars[1].fed_by: must not be empty, try adding one, or removing the key",
    ),
    "literal credential": (
        [('read: "file:secrets/bmc-read.yaml"', "read: hunter2")],
        "hunter2",
        "credentials.bmc.read: a literal credential must not stand here, try a file of mode 0600, named as file:PATH",
    ),
    "literal credential under its own name": (
        [("bmc: {read:", "bmc: {password: hunter2, read:")],
        "password:",
        "credentials.bmc.password: a literal credential, 'password', must not stand here, try a file of mode 0600, named by file:PATH under credentials",
    ),
    "literal credential in a URL": (
        [("http://127.0.0.1:32900", "http://admin:hunter2@127.0.0.1:32900")],
        '"http://admin:hunter2@127.0.0.1:32900/metrics"',
        "fabric.switches[0].exporter: a literal credential in a URL, try a credentials group, and the URL without user and password",
    ),
    "unknown family": (
        [("profile: openbmc", "profile: opnbmc")],
        "opnbmc",
        "halls[0].rows[0].racks[0].nodes[0].bmc.profile: unknown device family 'opnbmc', try 'openbmc'",
    ),
    "not a host": (
        [('"127.0.0.1:30001"', '"127.0.0.256:161"')],
        '"127.0.0.256:161"',
        "power.pdus[0].address: '127.0.0.256' is not a host, try a name, an IPv4 address, or [an IPv6 address]",
    ),
    "not a port": (
        [('"127.0.0.1:30001"', '"127.0.0.1:70000"')],
        '"127.0.0.1:70000"',
        "power.pdus[0].address: '70000' is not a port, try a number from 1 to 65535",
    ),
    "not a URL": (
        [("https://127.0.0.1:34001", "127.0.0.1:34001")],
        '"127.0.0.1:34001"',
        "schedulers[0].address: not a URL of https, try https://host:port/",
    ),
    "plain HTTP to an agent": (
        [('"https://127.0.0.1:{index+33000}"', '"http://127.0.0.1:{index+33000}"')],
        '"http://127.0.0.1:{index+33000}"',
        "halls[0].rows[0].racks[0].nodes[0].agent.address: not a URL of https, try https://host:port/",
    ),
    "address taken": (
        [('"127.0.0.1:30002"', '"127.0.0.1:30001"')],
        '"127.0.0.1:30001"',
        "power.pdus[1].address: the address 127.0.0.1:30001 is used twice, also in line 43, try the device's own address",
    ),
    "slow protective meter": (
        [("      feed: a\n", "      feed: a\n      protective: true\n      refresh_seconds: 5\n")],
        "5",
        "power.pdus[0].refresh_seconds: a meter that refreshes every 5 s cannot serve the protective lane, try a meter of 2 s or faster, or protective: false",
    ),
    "two exporters of a kind": (
        [("refresh_seconds: 1}]", 'refresh_seconds: 1}, {kind: dcgm, address: "http://{name}/"}]')],
        "dcgm",
        "halls[0].rows[0].racks[0].nodes[0].exporters[1].kind: a second dcgm exporter of one node, try one page a kind",
    ),
    "idle above maximum": (
        [("idle_watts: 2000", "idle_watts: 20000")],
        "20000",
        "halls[0].rows[0].racks[0].nodes[0].idle_watts: idles at 20000 W above its 10200 W maximum, try below 10200",
    ),
    "phase of another PDU": (
        [("      phases: 3\n", "      phases: 1\n")],
        "2",
        "power.pdus[0].outlets[1].phase: phase 2 on a single-phase PDU, try 1",
    ),
    "name and names": (
        [("              - names:", "              - name: dgx-001\n                names:")],
        '"dgx-[001-004]"',
        "halls[0].rows[0].racks[0].nodes[0].names: name and names exclude each other, try one of them",
    ),
    "neither name nor names": (
        [('              - names: "dgx-[001-004]"\n                model', "              - model")],
        "model:",
        "halls[0].rows[0].racks[0].nodes[0]: has no name, try name: dgx-001, or names: dgx-[001-004]",
    ),
    "negative watts": (
        [("power_limit_watts: 50000", "power_limit_watts: -1")],
        "-1",
        "halls[0].rows[0].racks[0].power_limit_watts: must be more than 0, try The most that may be drawn in it, in W",
    ),
    "infinite watts": (
        [("power_limit_watts: 50000", "power_limit_watts: .inf")],
        ".inf",
        "halls[0].rows[0].racks[0].power_limit_watts: must be a finite number, try digits",
    ),
    "choice": (
        [("feed: b", "feed: B")],
        "B",
        "power.pdus[1].feed: must be 'a' or 'b', is 'B', try a",
    ),
}
"""What to replace in the small site, what stands at the place that is named, and what is said about it."""


@pytest.mark.parametrize("kind", ONE_BY_ONE)
def test_each_mistake_is_found_where_it_is(kind: str, mistakes: Mistakes, folder: Path) -> None:
    replacements, stands_there, said = ONE_BY_ONE[kind]
    found = mistakes(*replacements)
    places = [line.split(":", 2)[:2] for line in found if line.split(": ", 1)[1] == said]
    assert len(places) == 1, found
    line, column = (int(number) for number in places[0])
    assert (folder / "site.yaml").read_text().splitlines()[line - 1][column - 1 :].startswith(stands_there)


@pytest.mark.parametrize("kind", [kind for kind in ONE_BY_ONE if "literal" in kind])
def test_a_literal_credential_is_never_repeated(kind: str, mistakes: Mistakes) -> None:
    assert not any("hunter2" in line for line in mistakes(*ONE_BY_ONE[kind][0]))


def test_names_of_a_broken_range_are_not_called_missing(mistakes: Mistakes) -> None:
    found = mistakes(('"dgx-[001-004]"\n', '"dgx-[001-004"\n'))
    assert len(found) == 1, found


def test_a_wrong_item_is_not_also_an_empty_list(mistakes: Mistakes) -> None:
    assert not any("must not be empty" in line for line in mistakes(("zone: 1", "zone: x")))


def test_a_missing_secret_and_an_open_one_are_named(mistakes: Mistakes, folder: Path) -> None:
    (folder / "secrets" / "bmc-write.yaml").unlink()
    (folder / "secrets" / "agent-read.yaml").chmod(0o644)
    found = mistakes(text=(Path(__file__).parent / "mini.yaml").read_text())
    assert found == [
        f"5:52: credentials.bmc.write: {folder}/secrets/bmc-write.yaml is absent, try creating it with mode 0600",
        (
            f"6:17: credentials.agent.read: {folder}/secrets/agent-read.yaml has mode 0644, others can read it, "
            f"try chmod 0600 {folder}/secrets/agent-read.yaml"
        ),
    ]


def test_secrets_in_a_folder_of_another_user_are_a_warning(
    load: Callable[..., object], folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A collector may not even look at the secrets that write."""
    look = Path.stat

    def closed(path: Path, **options: object) -> object:
        if path.name.endswith("-write.yaml"):
            raise PermissionError(13, "Permission denied", str(path))
        return look(path, **options)

    monkeypatch.setattr(Path, "stat", closed)
    warnings = [str(warning) for warning in load().warnings]
    assert len(warnings) == 4
    assert all("cannot be read (Permission denied)" in warning for warning in warnings)


def test_secrets_may_be_left_unlooked_at(folder: Path) -> None:
    path = folder / "elsewhere.yaml"
    path.write_text((Path(__file__).parent / "mini.yaml").read_text().replace("file:secrets/", "file:absent/"))
    assert load_site(path, check_secrets=False).name == "mini"


def test_a_systemd_credential_outside_its_unit_is_a_warning(load: Callable[..., object]) -> None:
    text = (Path(__file__).parent / "mini.yaml").read_text().replace("file:secrets/bmc-read.yaml", "credential:bmc")
    site = load(text, environ={})
    assert [str(w).split(": ", 2)[1] for w in site.warnings] == ["credentials.bmc.read"]


def test_a_systemd_credential_inside_its_unit_is_looked_for(mistakes: Mistakes, folder: Path) -> None:
    text = (Path(__file__).parent / "mini.yaml").read_text().replace("file:secrets/bmc-read.yaml", "credential:bmc")
    found = mistakes(text=text, environ={"CREDENTIALS_DIRECTORY": str(folder)})
    assert found == [f"5:15: credentials.bmc.read: {folder}/bmc is absent, try creating it with mode 0600"]


ODD = {
    "one feed": (
        ('        - {outlet: "[1-4]", node: "dgx-[001-004]"', '        - {outlet: "[1-3]", node: "dgx-[001-003]"'),
        "on feed a alone: dgx-004",
    ),
    "no outlet": (("{outlet: 4, node: dgx-004", "{outlet: 4, node: dgx-003"), None),
    "over-subscribed PDU": (("rated_amperes: 63", "rated_amperes: 48"), "may draw 40800 W, it carries 33120 W"),
    "over-subscribed rack": (
        ("power_limit_watts: 50000", "power_limit_watts: 40000"),
        "the nodes on r01 may draw 40800 W",
    ),
    "over-subscribed busbar": (
        ("busbar-a, rated_watts: 1000000", "busbar-a, rated_watts: 1000"),
        "the nodes on busbar-a",
    ),
    "uneven phases": (("psu-1, phase: 3", "psu-1, phase: 2"), "moving an outlet from phase 1 to phase 3"),
}


@pytest.mark.parametrize("kind", [kind for kind in ODD if ODD[kind][1] is not None])
def test_what_is_odd_but_usable_is_a_warning(kind: str, load: Callable[..., object]) -> None:
    (old, new), expected = ODD[kind]
    text = (Path(__file__).parent / "mini.yaml").read_text()
    assert old in text
    warnings = [str(warning) for warning in load(text.replace(old, new, 1)).warnings]
    assert any(expected in warning for warning in warnings), warnings


def test_a_node_without_an_outlet_cannot_be_proven_off(load: Callable[..., object]) -> None:
    text = (Path(__file__).parent / "mini.yaml").read_text()
    text = text.replace("        - {outlet: 4, node: dgx-004, supply: psu-1, phase: 1}\n", "")
    text = text.replace('outlet: "[1-4]", node: "dgx-[001-004]"', 'outlet: "[1-3]", node: "dgx-[001-003]"')
    warnings = [str(warning) for warning in load(text).warnings]
    assert any("on no outlet, so nothing can prove them off: dgx-004" in warning for warning in warnings), warnings


def test_phases_that_no_outlet_could_even_out_are_not_complained_about(load: Callable[..., object]) -> None:
    """Four equal nodes on three phases are 2, 1, 1: as even as they get."""
    assert load().warnings == ()


FILES = {
    "absent": (lambda path: None, "0:0: is absent, try another path, or creating it"),
    "directory": (lambda path: path.mkdir(), "0:0: is a directory, try naming the file in it"),
    "empty": (lambda path: path.write_text(""), "0:0: is empty, try a first line such as `site: …`"),
    "comments alone": (lambda path: path.write_text("# nothing\n"), "0:0: is empty, try a first line such as `site: …`"),
    "not UTF-8": (
        lambda path: path.write_bytes(b"site: mini\nhalls: \xff\n"),
        "2:8: byte 0xff is not UTF-8, try saving the file as UTF-8",
    ),
    "not YAML": (
        lambda path: path.write_text("site: mini\nhalls: [a, b\n"),
        ("3:1: not valid YAML: did not find expected ',' or ']', "
        "try checking indentation, quotes and brackets here and one line before"),
    ),
    "a tab": (
        lambda path: path.write_text("site: mini\nhalls:\n\t- name: hall-1\n"),
        ("3:1: not valid YAML: found character that cannot start any token, "
        "try checking indentation, quotes and brackets here and one line before"),
    ),
    "two documents": (
        lambda path: path.write_text("site: mini\n---\nsite: other\n"),
        "2:1: is a second document, try one document a file, without `---` in it",
    ),
    "a list": (
        lambda path: path.write_text("- site\n"),
        "1:1: must be a mapping, is a list, try `key: value` lines below it",
    ),
}  # fmt: skip


@pytest.mark.parametrize("kind", FILES)
def test_what_is_no_site_file_at_all_is_one_clear_error(kind: str, tmp_path: Path) -> None:
    make, expected = FILES[kind]
    path = tmp_path / "site.yaml"
    make(path)
    with pytest.raises(SiteError) as caught:
        load_site(path)
    assert str(caught.value) == f"{path}:{expected}"


def test_a_syntax_error_never_quotes_the_text(tmp_path: Path) -> None:
    path = tmp_path / "site.yaml"
    path.write_text("password: hunter2\n  community: hunter2: x\n")
    with pytest.raises(SiteError) as caught:
        load_site(path)
    assert "hunter2" not in str(caught.value)
