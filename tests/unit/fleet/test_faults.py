"""Error numbers and their answers: the tables say what their sources say, and a broken table says where."""

from pathlib import Path

import pytest

from fleet.faults import Action, Checker, FaultTableError, Verdict, answer, details, load_faults, named_action
from fleet.faults.details import RECOVERIES

FAULTS = load_faults()
EKS = {46, 48, 54, 62, 63, 64, 74, 79, 95, 109, 110, 119, 120, 136, 140, 142, 143, 151, 155, 156, 158}
AZURE = {48, 56, 57, 58, 62, 63, 64, 65, 68, 69, 73, 74, 79, 80, 81, 92, 119, 120}


def said(checker: Checker, verdict: Verdict) -> set[int]:
    return {code for code, fault in FAULTS.xid.items() if fault.verdicts.get(checker) is verdict}


@pytest.mark.parametrize(
    ("xid", "action"),
    [
        (79, Action.REBOOT_NODE),
        (95, Action.RESET_GPU),
        (94, Action.RESTART_APPLICATION),
        (48, Action.FOLLOW_MEMORY),
        (63, Action.NONE),
        (999, Action.REPORT),
    ],
)
def test_an_xid_asks_for_what_nvidia_says(xid: int, action: Action) -> None:
    assert answer(FAULTS, xid) is action


@pytest.mark.parametrize(
    ("named", "action"),
    [
        ("reset", Action.RESET_GPU),
        ("reboot", Action.REBOOT_NODE),
        ("drain_peers", Action.DRAIN_PEERS),
        ("drain_and_reset", Action.DRAIN_AND_RESET),
        ("none", Action.RESTART_APPLICATION),
        ("unknown", Action.RESTART_APPLICATION),
        (None, Action.RESTART_APPLICATION),
    ],
)
def test_the_action_that_the_driver_names_overrides_the_table(named: str | None, action: Action) -> None:
    assert answer(FAULTS, 94, named=named) is action


def test_the_lists_of_the_public_checkers_are_noted_as_they_are() -> None:
    assert said(Checker.EKS, Verdict.FAULT) == EKS
    assert said(Checker.AZURE, Verdict.FAULT) == AZURE
    assert said(Checker.GCM, Verdict.HARMLESS) == {13, 31, 43, 45, 63, 92, 109}


@pytest.mark.parametrize("xid", [63, 92, 94, 109, 68, 69, 70, 71, 72, 75, 76, 77])
def test_where_the_checkers_disagree_the_table_says_so_and_why(xid: int) -> None:
    assert FAULTS.xid[xid].disputed
    assert "disagree" in FAULTS.xid[xid].note


def test_what_all_agree_on_is_not_disputed() -> None:
    assert not any(FAULTS.xid[xid].disputed for xid in (13, 31, 48, 62, 64, 74, 79, 95, 119, 120))


@pytest.mark.parametrize(
    ("sxid", "action"),
    [
        (10006, Action.RESET_FABRIC),
        (12028, Action.RESET_FABRIC),
        (14018, Action.RESET_GPU),
        (10004, Action.CHECK_THERMALS),
        (11018, Action.FOLLOW_NVLINK),
        (18019, Action.CHECK_LINK),
    ],
)
def test_a_switchs_error_asks_for_what_nvidia_says(sxid: int, action: Action) -> None:
    assert FAULTS.sxid[sxid].action is action
    assert FAULTS.sxid[sxid].fatal


def test_single_bit_errors_of_a_switch_are_harmless() -> None:
    assert not {11021, 12003, 14003, 15004, 17001} & FAULTS.sxid.keys()


def test_results_of_dcgm_have_their_actions() -> None:
    assert FAULTS.dcgm["ROW_REMAP_FAILURE"] is Action.RUN_DIAGNOSIS
    assert FAULTS.dcgm["PENDING_ROW_REMAP"] is Action.RESET_GPU
    assert FAULTS.dcgm["VOLATILE_SBE_DETECTED"] is Action.NONE


NVLINK = "NVRM: Xid (PCI:0000:5d:00): 74, NVLink: fatal error detected on link {}({})"
SXID = "nvidia-nvswitch2: SXid (PCI:0000:85:00.0): 12028, Non-fatal, Link 61 egress non-posted PRIV error"
RECOVERY = "NVRM: Xid (PCI:0008:01:00): 154, GPU recovery action changed from 0x0 (None) to 0x{} (said here)"


@pytest.mark.parametrize(
    ("kind", "code", "text", "labels"),
    [
        ("xid", "74", NVLINK.format(6, "0x10000, 0x0, 0x0, 0x0, 0x0, 0x0, 0x0"), {"place": "link 6", "grade": "count"}),
        ("xid", "74", NVLINK.format(6, "0x2, 0x0, 0x0, 0x0, 0x0, 0x0, 0x0"), {"place": "link 6", "grade": "maker"}),
        ("xid", "74", NVLINK.format(17, "0x0, 0x0, 0x2000, 0x0, 0x0"), {"place": "link 17", "grade": "maker"}),
        ("xid", "74", NVLINK.format(0, "0x0, 0x2000, 0x0, 0x0, 0x1"), {"place": "link 0", "grade": "maker"}),
        ("xid", "74", "NVLink: link 9 went down", {"place": "link 9"}),
        ("xid", "13", "Graphics SM Warp Exception on (GPC 1, TPC 0, SM 1): Out Of Range", {"place": "gpc 1 tpc 0"}),
        ("xid", "13", "Graphics Exception: ESR 0x405840", {}),
        ("xid", "79", "GPU has fallen off the bus. (GPC 1, TPC 0, SM 1)", {}),
        ("xid", "154", RECOVERY.format(2), {"grade": "reboot"}),
        ("xid", "154", RECOVERY.format("9"), {"grade": "unknown"}),
        ("sxid", "12028", SXID, {"place": "link 61"}),
        ("sel", "74", NVLINK.format(6, "0x2, 0x0, 0x0, 0x0, 0x0"), {}),
        ("sel", "0x8:0x1", "power supply PSU1: failure detected", {}),
        ("sel", "0x8:0x1", "power supply PSU1: failure detected, over", {"grade": "over"}),
    ],
)
def test_the_text_of_an_error_gives_its_place_and_grade(
    kind: str, code: str, text: str, labels: dict[str, str]
) -> None:
    assert details(kind, code, text) == labels


def test_the_drivers_action_has_the_same_names_everywhere() -> None:
    assert {value: name for value, (name, _) in FAULTS.recovery.items()} == dict(RECOVERIES)
    assert [named_action(RECOVERY.format(value)) for value in range(5)] == list(RECOVERIES.values())
    assert named_action("GPU recovery action changed") is None


GOOD = dict.fromkeys(("xid.csv", "sxid.csv"), "codes;meaning;action;fatal;note\n1;one;none;no;\n") | {
    "dcgm.csv": "names;action;note\nA,B;none;\n",
    "recovery.csv": "value;name;action\n0;none;none\n",
}


@pytest.mark.parametrize(
    ("name", "text", "message"),
    [
        ("xid.csv", "codes;meaning;action;fatal;note\n1;one;explode;no;\n", r"xid.csv:2: 'explode'"),
        ("xid.csv", "# head\ncodes;meaning;action;fatal;note\n1;one;none;maybe;\n", r"xid.csv:3: 'maybe'"),
        (
            "sxid.csv",
            "codes;meaning;action;fatal;note\n1-3;a;none;no;\n2;b;none;no;\n",
            r"sxid.csv:3: 2 stands .* twice",
        ),
        ("xid.csv", "codes;meaning;action;fatal;note\n1;one;none\n", r"xid.csv:2: 3 columns, the table has 5"),
        ("dcgm.csv", "names;action;note\nA,A;none;\n", r"dcgm.csv:2: A stands in the table twice"),
        ("recovery.csv", "value;name;action\n0;none;never\n", r"recovery.csv:2: 'never'"),
        ("xid.csv", "# nothing\n", r"xid.csv: empty"),
    ],
)
def test_a_broken_table_says_where_and_what(tmp_path: Path, name: str, text: str, message: str) -> None:
    for file, content in (GOOD | {name: text}).items():
        (tmp_path / file).write_text(content)
    with pytest.raises(FaultTableError, match=message):
        load_faults(tmp_path)
