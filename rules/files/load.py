"""From files to a rule set: groups, rules, expressions, templates, all checked before anything is used."""

import re
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Final

from fleet.document import read_document
from fleet.errors import Problem, in_order
from fleet.nodes import Node
from rules.files.fields import Fields, Mistakes, RuleFileError
from rules.files.model import DEFAULT_INTERVAL_MS, LONGEST_HOLD_MS, AlertRule, RecordingRule, RuleGroup, RuleSet
from rules.files.sidecar import NO_SIDECAR, SidecarFile, read_sidecar, sidecar_path
from rules.labels import NAME
from rules.promql.errors import ExpressionError
from rules.promql.parse import parse
from rules.promql.plan import Planner
from rules.promql.tree import Tree
from rules.templates import Template, TemplateError

_GROUP_FIELDS: Final = ("name", "interval", "query_offset", "limit", "labels", "rules")
_RULE_FIELDS: Final = ("record", "alert", "expr", "for", "keep_firing_for", "labels", "annotations")
_METRIC_NAME: Final = re.compile(r"[A-Za-z_:][A-Za-z0-9_:]*\Z")
_LABEL_NAME: Final = re.compile(r"[A-Za-z_][A-Za-z0-9_]*\Z")
SUFFIXES: Final = (".yaml", ".yml")
SIDECAR_SUFFIX: Final = ".hallkeeper"


def rule_files(paths: Sequence[Path]) -> list[tuple[Path, str]]:
    """Every rule file at or below the paths, with its path below the folder that was named; sidecars are none."""
    found: list[tuple[Path, str]] = []
    for path in paths:
        if path.is_dir():
            inside = sorted(each for each in path.rglob("*") if each.suffix in SUFFIXES and each.is_file())
            found += [(each, each.relative_to(path).as_posix()) for each in inside]
        else:
            found.append((path, path.name))
    return [(path, name) for path, name in found if Path(path.stem).suffix != SIDECAR_SUFFIX]


def load_rules(paths: Sequence[Path]) -> RuleSet:
    """The rules of files and folders. Raises `RuleFileError` with every mistake of every file."""
    groups: list[RuleGroup] = []
    problems: list[Problem] = []
    files = rule_files(paths)
    for path, name in files:
        try:
            groups += _read_file(path, name)
        except RuleFileError as error:
            problems += error.problems
    problems += _repeated(groups)
    if problems:
        raise RuleFileError(tuple(dict.fromkeys(problems)))
    return RuleSet(groups=tuple(groups), files=tuple(path for path, _ in files))


def _repeated(groups: Sequence[RuleGroup]) -> list[Problem]:
    counts = Counter(group.uid for group in groups)
    return [
        Problem(
            file=uid,
            line=0,
            column=0,
            path="",
            message="is there twice, in two folders",
            suggestion="renaming one file",
        )
        for uid, count in counts.items()
        if count > 1
    ]


def _read_file(path: Path, name: str) -> list[RuleGroup]:
    document = read_document(path, RuleFileError)
    mistakes = Mistakes(str(path), list(document.problems))
    beside = sidecar_path(path)
    sidecar = read_sidecar(beside) if beside.exists() else NO_SIDECAR
    top = Fields(document.root, "", mistakes, ("groups",))
    groups = [
        _group(node, f"groups[{number}]", name, mistakes, sidecar) for number, node in enumerate(top.items("groups"))
    ]
    for repeated, count in Counter(group.name for group in groups).items():
        if count > 1:
            mistakes.add(document.root, "groups", f"group {repeated!r} is there {count} times", "another name")
    problems = mistakes.problems + sidecar.unused({group.name: {rule.name for rule in group.rules} for group in groups})
    if problems:
        raise RuleFileError(in_order(problems))
    return groups


def _group(node: Node, path: str, file_name: str, mistakes: Mistakes, sidecar: SidecarFile) -> RuleGroup:
    fields = Fields(node, path, mistakes, _GROUP_FIELDS)
    name = fields.text("name", required=True)
    uid = f"{file_name}/{name}"
    shared = fields.texts("labels")
    seen: Counter[str] = Counter()
    rules: list[AlertRule | RecordingRule] = []
    for number, item in enumerate(fields.items("rules")):
        rule = _RuleReader(item, f"{path}.rules[{number}]", mistakes, shared).read(uid, name, seen, sidecar)
        if rule is not None:
            rules.append(rule)
    return RuleGroup(
        uid=uid,
        name=name,
        rules=tuple(rules),
        interval_ms=fields.duration_ms("interval") or DEFAULT_INTERVAL_MS,
        limit=fields.whole("limit"),
        query_offset_ms=fields.duration_ms("query_offset"),
        protective=name in sidecar.protective,
        paced=name in sidecar.paced,
    )


class _RuleReader:
    """One rule of a file."""

    def __init__(self, node: Node, path: str, mistakes: Mistakes, shared: dict[str, tuple[str, Node]]) -> None:
        self._node, self._path, self._mistakes = node, path, mistakes
        self._fields = Fields(node, path, mistakes, _RULE_FIELDS)
        self._labels = {**shared, **self._fields.texts("labels")}

    def read(
        self, group_uid: str, group: str, seen: Counter[str], sidecar: SidecarFile
    ) -> AlertRule | RecordingRule | None:
        record, alert = self._fields.text("record"), self._fields.text("alert")
        tree = self._expression()
        if bool(record) == bool(alert):
            self._mistakes.add(
                self._node, self._path, "must have `record` or `alert`, and not both", "keeping one of them"
            )
            return None
        name = alert or record
        seen[name] += 1
        uid = f"{group_uid}/{name}" + (f"#{seen[name]}" if seen[name] > 1 else "")
        self._check_labels()
        rule = self._alert(uid, name, group, tree, sidecar) if alert else self._recording(uid, name, tree)
        return rule if tree is not None else None

    def _expression(self) -> Tree | None:
        text = self._fields.text("expr", required=True)
        node = self._fields.node_of("expr")
        if not text or node is None:
            return None
        try:
            Planner().compile(text)
            return parse(text)
        except ExpressionError as error:
            where = f" at {error.where} of the expression" if error.where else ""
            self._mistakes.add(node, f"{self._path}.expr", f"{error.message}{where}")
            return None

    def _check_labels(self) -> None:
        for name, (_, node) in self._labels.items():
            if not _LABEL_NAME.match(name) or name == NAME:
                self._mistakes.add(
                    node, f"{self._path}.labels", f"invalid label name {name!r}", "letters, digits and _"
                )

    def _alert(self, uid: str, name: str, group: str, tree: Tree | None, sidecar: SidecarFile) -> AlertRule | None:
        holds = {field: self._fields.duration_ms(field) for field in ("for", "keep_firing_for")}
        for field, hold in holds.items():
            if hold > LONGEST_HOLD_MS:
                self._mistakes.add(self._node, f"{self._path}.{field}", "is longer than a year", "a shorter one")
        labels = self._templates("labels", self._labels)
        annotations = self._templates("annotations", self._fields.texts("annotations"))
        if tree is None:
            return None
        return AlertRule(
            uid=uid,
            name=name,
            expr=self._fields.text("expr"),
            tree=tree,
            place=self._mistakes.place(self._node),
            for_ms=holds["for"],
            keep_firing_for_ms=holds["keep_firing_for"],
            labels=labels,
            annotations=annotations,
            sidecar=sidecar.of(group, name),
        )

    def _templates(self, field: str, texts: dict[str, tuple[str, Node]]) -> dict[str, Template]:
        found = {}
        for name, (text, node) in texts.items():
            try:
                found[name] = Template.parse(text)
            except TemplateError as error:
                self._mistakes.add(node, f"{self._path}.{field}.{name}", f"template: {error}")
        return found

    def _recording(self, uid: str, name: str, tree: Tree | None) -> RecordingRule | None:
        for field in ("for", "keep_firing_for", "annotations"):
            node = self._fields.node_of(field)
            if node is not None:
                self._mistakes.add(node, f"{self._path}.{field}", f"a recording rule has no `{field}`", "removing it")
        if not _METRIC_NAME.match(name):
            node = self._fields.node_of("record") or self._node
            self._mistakes.add(node, f"{self._path}.record", f"invalid metric name {name!r}", "such as node:watts:sum")
        if tree is None:
            return None
        return RecordingRule(
            uid=uid,
            name=name,
            expr=self._fields.text("expr"),
            tree=tree,
            place=self._mistakes.place(self._node),
            labels={label: text for label, (text, _) in self._labels.items()},
        )
