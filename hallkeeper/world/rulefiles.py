"""A part of the shipped catalogue: the rules that the campaign's playbooks answer, and those of the causes that inhibit them.

The rules stay word for word as they are shipped, and keep their uids; only what nobody here answers is left out, for speed.
"""

from pathlib import Path
from shutil import copyfile
from typing import Any, Final

import yaml

from remediator.playbook_loader import SHIPPED as SHIPPED_PLAYBOOKS
from rules.service import SHIPPED

WANTED: Final = {
    "node.yaml": ("NodeHeartbeatLost", "NodeHung", "NodesSilentTogether", "BmcSilent"),
    "gpu.yaml": ("GpuFellOffBus",),
    "power.yaml": ("PduFeedLost", "PduSilent"),
}
PLAYBOOKS: Final = ("node-hung", "gpu-fell-off-bus", "phase-overload", "pieces")
"""The shipped playbooks that answer them, and the steps that they share."""


def write_playbooks(folder: Path, shipped: Path = SHIPPED_PLAYBOOKS) -> Path:
    """Those playbooks, as they are shipped; the folder."""
    folder.mkdir(parents=True, exist_ok=True)
    for name in PLAYBOOKS:
        copyfile(shipped / f"{name}.yaml", folder / f"{name}.yaml")
    return folder


def write_rules(folder: Path, catalogue: Path = SHIPPED) -> Path:
    """The wanted rules as rule files of their own, with their sidecars; the folder."""
    folder.mkdir(parents=True, exist_ok=True)
    for name, alerts in WANTED.items():
        document = _read(catalogue / name)
        for group in document["groups"]:
            group["rules"] = [rule for rule in group["rules"] if rule.get("alert") in alerts]
        document["groups"] = [group for group in document["groups"] if group["rules"]]
        _write(folder / name, document)
        _write_sidecar(catalogue, folder, name, document["groups"])
    return folder


def _write_sidecar(catalogue: Path, folder: Path, name: str, groups: list[dict[str, object]]) -> None:
    """The sidecar's entries of the rules that stayed."""
    beside = name.replace(".yaml", ".hallkeeper.yaml")
    if not (catalogue / beside).exists():
        return
    sidecar = _read(catalogue / beside)
    kept = {str(group["name"]): {rule["alert"] for rule in group["rules"]} for group in groups}  # type: ignore[attr-defined]
    sidecar["groups"] = {
        group: {alert: entry for alert, entry in entries.items() if alert in kept[group]}
        for group, entries in sidecar["groups"].items()
        if group in kept
    }
    _write(folder / beside, sidecar)


def _read(path: Path) -> Any:
    return yaml.safe_load(path.read_text(encoding="utf-8"))


def _write(path: Path, document: object) -> None:
    """Lines are not folded: an expression stays one."""
    path.write_text(yaml.safe_dump(document, sort_keys=False, width=10_000, allow_unicode=True), encoding="utf-8")
