"""Whether every rule is answered: by a playbook, by the tables of faults, or by people and for a reason. Pure."""

from collections.abc import Collection
from dataclasses import dataclass

from fleet.errors import Problem
from fleet.nearest import nearest
from remediator.playbook import Playbook
from remediator.playbook_loader import Shelf


@dataclass(frozen=True, slots=True, kw_only=True)
class Coverage:
    """Which rules are answered by what."""

    by_playbook: dict[str, str]
    """Rule to playbook."""
    by_code: dict[str, tuple[str, ...]]
    """Rule whose code decides, to the playbooks that it may choose."""
    by_people: dict[str, str]
    """Rule to the reason why only people answer it."""
    uncovered: tuple[str, ...]


def coverage_of(shelf: Shelf, rules: Collection[str]) -> Coverage:
    """How each of the rules is answered."""
    by_playbook = {rule: book.playbook for book in shelf.playbooks for rule in book.rules}
    by_code: dict[str, tuple[str, ...]] = {}
    for book in shelf.playbooks:
        for rule in sorted({rule for rules_of in book.faults.values() for rule in rules_of}):
            by_code[rule] = (*by_code.get(rule, ()), book.playbook)
    by_people = {rule: entry.why for entry in shelf.people for rule in entry.rules}
    answered = by_playbook.keys() | by_people.keys()
    return Coverage(
        by_playbook=by_playbook,
        by_code=by_code,
        by_people=by_people,
        uncovered=tuple(sorted(set(rules) - answered)),
    )


def coverage_problems(shelf: Shelf, rules: Collection[str], *, everything: bool) -> list[Problem]:
    """Rules that nobody answers (where the files are meant to answer everything), and answers to rules that do not exist."""
    known = sorted(rules)
    problems = [problem for book in shelf.playbooks for problem in _unknown_rules(book, shelf, known)]
    if everything:
        found = coverage_of(shelf, rules)
        problems += [
            Problem(
                file=rule.partition("/")[0],
                line=0,
                column=0,
                path=rule,
                message="is answered by no playbook and not left to people",
                suggestion="adding it to a playbook's `rules`, or to `people:` with a reason",
            )
            for rule in found.uncovered
        ]
        problems += _both(shelf)
    return problems


def _unknown_rules(book: Playbook, shelf: Shelf, known: list[str]) -> list[Problem]:
    document = shelf.places[book.playbook]
    problems = []
    for index, rule in enumerate(book.rules):
        if rule not in known:
            near = nearest(rule, known) or "a rule that `hallkeeper rules check` lists"
            problems.append(document.problem(("rules", index), f"there is no rule {rule}", near))
    for kind, rules in book.faults.items():
        for rule in rules:
            if rule not in known:
                near = nearest(rule, known) or "a rule that `hallkeeper rules check` lists"
                problems.append(document.problem(("faults", kind, rule), f"there is no rule {rule}", near, key=True))
    return problems


def _both(shelf: Shelf) -> list[Problem]:
    """A rule that people alone answer cannot be a playbook's too."""
    alone = {rule for entry in shelf.people for rule in entry.rules}
    return [
        shelf.places[book.playbook].problem(("rules", index), f"{rule} is left to people too", "one of the two")
        for book in shelf.playbooks
        for index, rule in enumerate(book.rules)
        if rule in alone
    ]
