"""A part of the shipped catalogue: the rules that the campaign's playbooks answer, and those of the causes that inhibit them.

The rules stay word for word as they are shipped, and keep their uids; only what nobody here answers is left out, for speed.
"""

from pathlib import Path
from shutil import copyfile
from typing import Final

from ruamel.yaml import YAML

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
    yaml = YAML(typ="safe", pure=True)
    yaml.width = 10_000
    for name, alerts in WANTED.items():
        document = yaml.load(catalogue / name)
        for group in document["groups"]:
            group["rules"] = [rule for rule in group["rules"] if rule.get("alert") in alerts]
        document["groups"] = [group for group in document["groups"] if group["rules"]]
        with (folder / name).open("w", encoding="utf-8") as file:
            yaml.dump(document, file)
        _write_sidecar(yaml, catalogue, folder, name, document["groups"])
    return folder


def _write_sidecar(yaml: YAML, catalogue: Path, folder: Path, name: str, groups: list[dict[str, object]]) -> None:
    """The sidecar's entries of the rules that stayed."""
    beside = name.replace(".yaml", ".hallkeeper.yaml")
    if not (catalogue / beside).exists():
        return
    sidecar = yaml.load(catalogue / beside)
    kept = {str(group["name"]): {rule["alert"] for rule in group["rules"]} for group in groups}  # type: ignore[attr-defined]
    sidecar["groups"] = {
        group: {alert: entry for alert, entry in entries.items() if alert in kept[group]}
        for group, entries in sidecar["groups"].items()
        if group in kept
    }
    with (folder / beside).open("w", encoding="utf-8") as file:
        yaml.dump(sidecar, file)
