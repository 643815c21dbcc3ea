"""Which playbook answers an alert: the driver's own word first, then the rule's playbook, then what the tables say of its code.

Pure. The tables are facts (`fleet.faults`); what an asked-for action means here is what playbooks say under `actions`.
"""

from collections.abc import Iterable, Mapping, Sequence

from fleet.faults import Action, Faults, answer
from fleet.model import AssetId, Kind, Site
from remediator.causes import Symptom
from remediator.playbook import FaultKind, Playbook, answering
from remediator.verbs import Lane

NAMED: Mapping[str, str] = {"GpuResetNamed": "reset", "GpuRebootNamed": "reboot", "GpuDrainNamed": "drain_peers"}
"""Alerts that say which recovery action the driver named (XID 154, NVML's recovery action)."""


class Answers:
    """What answers an alert, given everything else that fires."""

    def __init__(self, playbooks: Sequence[Playbook], faults: Faults, site: Site) -> None:
        self._faults = faults
        self._site = site
        self._by_rule: dict[str, Playbook] = {}
        self._by_code: dict[str, list[tuple[FaultKind, str, Playbook]]] = {}
        for book in playbooks:
            if book.lane is not Lane.CORRECTIVE:
                continue
            for rule in book.rules:
                self._by_rule[rule] = book
            for kind, rules in book.faults.items():
                for rule, code in rules.items():
                    self._by_code.setdefault(rule, []).append((kind, code, book))

    def of(self, alert: Symptom, others: Iterable[Symptom] = ()) -> Playbook | None:
        """The playbook that may treat an alert; None where a person must."""
        book = self._chosen(alert, others)
        if book is None or not alert.named or self._site.asset(alert.asset).kind not in book.targets:
            return None
        return book

    def action(self, alert: Symptom, others: Iterable[Symptom] = ()) -> Action | None:
        """What the tables or the driver ask for; None where no code decides."""
        named = named_for(alert, others)
        for kind, code, _ in self._by_code.get(alert.rule, ()):
            return action_of(self._faults, kind, code or alert.labels.get("code", ""), named)
        return None

    def _chosen(self, alert: Symptom, others: Iterable[Symptom]) -> Playbook | None:
        coded = self._by_code.get(alert.rule)
        plain = self._by_rule.get(alert.rule)
        if not coded:
            return plain
        others = tuple(others)
        if plain is not None and named_for(alert, others) is None:
            return plain
        action = self.action(alert, others)
        return next((book for _, _, book in coded if action in book.actions), plain)


def named_for(alert: Symptom, others: Iterable[Symptom]) -> str | None:
    """The recovery action that the driver named for the alert's GPU, the strongest of several; None where it named none."""
    found = {
        NAMED[other.alertname]
        for other in others
        if other.alertname in NAMED and other.active and other.asset == alert.asset and _same_gpu(alert, other)
    }
    return next((name for name in ("reboot", "reset", "drain_peers") if name in found), None)


def action_of(faults: Faults, kind: FaultKind, code: str, named: str | None = None) -> Action | None:
    """What a code asks for; None for what is no code of that kind. What the driver named overrides the table."""
    match kind:
        case FaultKind.XID:
            return answer(faults, int(code), named=named) if code.isdigit() else None
        case FaultKind.SXID:
            if not code.isdigit():
                return None
            fault = faults.sxid.get(int(code))
            return Action.NONE if fault is None else fault.action
        case FaultKind.DCGM:
            return faults.dcgm.get(code.removeprefix("DCGM_FR_"), Action.REPORT) if code else None


def answers_at_all(playbooks: Sequence[Playbook], rule: str, kind: Kind) -> bool:
    """Whether a rule may be answered for an asset of a kind, in either lane."""
    coded = any(rule in rules for book in playbooks for rules in book.faults.values() if kind in book.targets)
    books = (answering(playbooks, rule, lane) for lane in Lane)
    return coded or any(book is not None and kind in book.targets for book in books)


def treats(book: Playbook, asset: AssetId, site: Site) -> bool:
    """Whether a playbook can be done to an asset."""
    return site.asset(asset).kind in book.targets


def _same_gpu(one: Symptom, other: Symptom) -> bool:
    mine, theirs = one.labels.get("gpu"), other.labels.get("gpu")
    return mine is None or theirs is None or mine == theirs
