"""Playbooks and policies are read strictly: every mistake at once, with file, line and column."""

from pathlib import Path

import pytest

from fleet.model import AssetId, Domain, Kind, Site
from fleet.settings import Settings
from remediator.playbook import PlaybookModes, answering, mode_for
from remediator.playbook_loader import PlaybookError, load_playbooks, playbook_hash
from remediator.policies import PolicyError, covering, load_policies
from remediator.rule_texts import rule_texts
from remediator.verbs import Lane, Mode
from tests.unit.remediator.fakes.sitefile import make_site

BOOKS = {book.playbook: book for book in load_playbooks()}
HUNG = BOOKS["node-hung"]
GOOD = """playbook: mine
purpose: A node is cordoned and given back.
lane: corrective
cause: silence
rules: [a.yaml/g/A]
ladder:
  - rung: only
    steps:
      - {name: cordon, act: cordon}
      - {name: uncordon, act: uncordon, undoes: cordon}
"""


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Site:
    return make_site(tmp_path_factory.mktemp("site"), racks=2)


def load(folder: Path, **files: str):
    for name, text in files.items():
        (folder / f"{name}.yaml").write_text(text)
    return load_playbooks([folder])


def test_the_shipped_playbooks_observe_until_somebody_says_more() -> None:
    codes = "APP SWAP RESET REBOOT CYCLE AC BMC DIAG RMA RET CAP SUSP SHED COOL LEAK FEED IB NET SENS ENV"
    assert {book.code for book in BOOKS.values()} == {f"P-{code}" for code in codes.split()}
    assert {book.mode for book in BOOKS.values()} == {Mode.OBSERVE}


def test_they_answer_rules_that_the_shipped_catalogue_has() -> None:
    known = rule_texts(Settings())
    assert {rule for book in BOOKS.values() for rule in book.rules} <= set(known)


def test_pods_are_taken_only_after_the_power_of_a_silent_node() -> None:
    steps = [step.name for step in HUNG.ladder[0].steps]
    assert steps.index("cordon") < steps.index("power-off") < steps.index("out-of-service") < steps.index("power-on")
    assert steps.index("ready") < steps.index("untaint") < steps.index("uncordon")


MISTAKES = [
    (GOOD.replace("act: cordon}", "act: reset}"), "mine.yaml:9:", "is 'reset'"),
    (GOOD.replace("undoes: cordon", "undoes: nothing"), "mine.yaml:7:", "no earlier step"),
    (GOOD.replace("lane: corrective", "lane: corrective\ncolour: red"), "mine.yaml:4:1: colour:", "not known"),
    (GOOD.replace("rules: [a.yaml/g/A]", "rules: []"), "mine.yaml:5:", "answers no rule"),
    (GOOD.replace("{name: cordon, act: cordon}", "{use: nothing}"), "mine.yaml:9:", "no piece"),
    (GOOD.replace("{name: cordon, act: cordon}", "{name: cordon, act: cordon, otherwise: continue}"), "mine.yaml:9:", "satisfies nothing"),
    (GOOD.replace("{name: cordon, act: cordon}", "{name: cordon}"), "mine.yaml:9:", "either `act` or `wait`"),
    (GOOD.replace("{name: cordon, act: cordon}", "{name: cordon, act: rack_power_off, each: nodes}").replace("lane:", "targets: [rack, cdu]\nlane:"), "mine.yaml:1:", "`targets` must be [rack]"),
    (GOOD.replace("{name: cordon, act: cordon}", "{name: cordon, act: power_off, each: nodes}").replace("lane:", "targets: [rack]\nlane:"), "mine.yaml:1:", "a remediation may cut one"),
    (GOOD.replace("lane: corrective", "lane: protective"), "mine.yaml:1:", "has `shed`"),
    (GOOD.replace("playbook: mine", "playbook: [mine"), "mine.yaml:", "YAML"),
]  # fmt: skip


@pytest.mark.parametrize(("text", "where", "what"), MISTAKES, ids=[m[2] for m in MISTAKES])
def test_a_mistake_is_named_with_its_place(tmp_path: Path, text: str, where: str, what: str) -> None:
    with pytest.raises(PlaybookError) as caught:
        load(tmp_path, mine=text)
    assert where in str(caught.value)
    assert what in str(caught.value)


def test_all_mistakes_of_all_files_are_told_at_once_and_nothing_is_half_loaded(tmp_path: Path) -> None:
    with pytest.raises(PlaybookError) as caught:
        load(
            tmp_path,
            one=GOOD.replace("cause: silence", "cause: boredom"),
            two=GOOD.replace("rules: [a.yaml/g/A]", "rules: 7"),
            good=GOOD,
        )
    assert {Path(problem.file).stem for problem in caught.value.problems} == {"one", "two"}


def test_one_rule_has_one_playbook(tmp_path: Path) -> None:
    with pytest.raises(PlaybookError, match="answered by 'mine' already"):
        load(tmp_path, a=GOOD, b=GOOD.replace("playbook: mine", "playbook: other"))


def test_an_empty_folder_is_a_mistake(tmp_path: Path) -> None:
    with pytest.raises(PlaybookError, match="holds no playbook"):
        load_playbooks([tmp_path])


ROW, SITE = Domain(kind=Kind.ROW, id=AssetId("row-01")), Domain(kind=Kind.SITE, id=AssetId("s"))


@pytest.mark.parametrize(
    ("modes", "may_enforce", "ours", "expected"),
    [
        (PlaybookModes(), True, True, Mode.OBSERVE),
        (PlaybookModes(default=Mode.ENFORCE), True, True, Mode.ENFORCE),
        (PlaybookModes(default=Mode.OBSERVE, domains={"row-01": Mode.ENFORCE}), True, True, Mode.ENFORCE),
        (PlaybookModes(default=Mode.ENFORCE, domains={"row-01": Mode.OBSERVE}), True, True, Mode.OBSERVE),
        (PlaybookModes(default=Mode.ENFORCE), False, True, Mode.APPROVE),
        (PlaybookModes(default=Mode.ENFORCE), True, False, Mode.APPROVE),
        (PlaybookModes(default=Mode.OBSERVE), False, False, Mode.OBSERVE),
    ],
)
def test_the_mode_is_the_nearest_domains_and_never_more_than_what_was_proven(
    modes: PlaybookModes, may_enforce: bool, ours: bool, expected: Mode
) -> None:
    assert mode_for(HUNG, {"node-hung": modes}, [ROW, SITE], may_enforce=may_enforce, ours=ours) is expected


def test_a_rule_finds_its_playbook_in_its_lane() -> None:
    books = list(BOOKS.values())
    assert answering(books, "node.yaml/node/NodeHung") is HUNG
    assert answering(books, "power.yaml/pdu/PduPhaseOverload") is None
    assert answering(books, "power.yaml/pdu/PduPhaseOverload", Lane.PROTECTIVE) is not None


def test_a_back_test_vouches_for_exactly_this_rule_and_playbook_in_any_mode() -> None:
    rule = {"expr": "x > 1", "for": "10s"}
    before = playbook_hash(HUNG, rule)
    assert playbook_hash(HUNG.model_copy(update={"mode": Mode.ENFORCE}), rule) == before
    assert playbook_hash(HUNG.model_copy(update={"hold_down_seconds": 7.0}), rule) != before
    assert playbook_hash(HUNG, {**rule, "for": "11s"}) != before


NOW = 1_790_000_000_000
POLICY = 'policies:\n  - {kind: idle-outlets, assets: [r01], expires_at: "2026-09-30T00:00:00Z", armed_by: alice}\n'


def test_a_policy_covers_its_assets_until_it_expires(tmp_path: Path, site: Site) -> None:
    (tmp_path / "p.yaml").write_text(POLICY)
    found = load_policies(tmp_path / "p.yaml", site, NOW)
    assert covering(found, "idle-outlets", AssetId("dgx-001"), site, NOW) is found[0]
    assert covering(found, "idle-outlets", AssetId("dgx-005"), site, NOW) is None
    assert covering(found, "idle-outlets", AssetId("dgx-001"), site, NOW + 31 * 86_400_000) is None
    assert load_policies(None, site, NOW) == ()


@pytest.mark.parametrize(
    ("text", "where", "what"),
    [
        (POLICY.replace("r01", "r99"), "p.yaml:2:", "no asset 'r99'"),
        (POLICY.replace("2026-09-30T00:00:00Z", "2027-09-30T00:00:00Z"), "p.yaml:2:", "days away"),
        (POLICY.replace("2026-09-30T00:00:00Z", "2026-09-30T00:00:00"), "p.yaml:2:", "no time zone"),
        (POLICY.replace("idle-outlets", "everything"), "p.yaml:2:", "idle-outlets"),
        (POLICY.replace("armed_by: alice", "armed_by: alice, forever: true"), "p.yaml:2:", "not known"),
    ],
)
def test_a_policy_that_is_wrong_arms_nothing(tmp_path: Path, site: Site, text: str, where: str, what: str) -> None:
    (tmp_path / "p.yaml").write_text(text)
    with pytest.raises(PolicyError) as caught:
        load_policies(tmp_path / "p.yaml", site, NOW)
    assert where in str(caught.value)
    assert what in str(caught.value)
