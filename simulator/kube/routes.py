"""From a path to what it names: resource, namespace, object, subresource; and the discovery documents."""

from collections.abc import Mapping
from dataclasses import dataclass

from simulator.kube.store import PODS, RESOURCES, Resource

READ_VERBS = ["get", "list", "watch"]


@dataclass(frozen=True, slots=True)
class Target:
    """What a request is about."""

    resource: Resource
    namespace: str = ""
    name: str = ""
    subresource: str = ""


def target_of(segments: tuple[str, ...]) -> Target | None:
    """The target of a path below /api/v1 or /apis/GROUP/v1; None for anything else."""
    match segments:
        case ("api", "v1", *rest):
            group = ""
        case ("apis", str(group), "v1", *rest):
            pass
        case _:
            return None
    return _target(group, rest)


def _target(group: str, rest: list[str]) -> Target | None:
    namespace = ""
    if len(rest) >= 3 and rest[0] == "namespaces":
        namespace, rest = rest[1], rest[2:]
    if not 1 <= len(rest) <= 3:
        return None
    resource = next((one for one in RESOURCES if one.group == group and one.plural == rest[0]), None)
    if (
        resource is None
        or (namespace and not resource.namespaced)
        or (len(rest) > 1 and resource.namespaced and not namespace)
    ):
        return None
    return Target(resource, namespace, *rest[1:])


def _verbs(resource: Resource) -> list[str]:
    return READ_VERBS + {"nodes": ["patch"], "jobs": ["patch"], "pods": ["delete"]}.get(resource.plural, [])


def discovery(segments: tuple[str, ...]) -> Mapping[str, object] | None:
    """The documents from which clients learn what there is; None where the path is none of them."""
    groups = sorted({resource.group for resource in RESOURCES if resource.group})
    match segments:
        case ("version",):
            return {"major": "1", "minor": "33", "gitVersion": "v1.33.4", "platform": "linux/amd64"}
        case ("api",):
            return {"kind": "APIVersions", "versions": ["v1"]}
        case ("apis",):
            return {"kind": "APIGroupList", "apiVersion": "v1", "groups": [_group(group) for group in groups]}
        case ("api", "v1"):
            return _resources("")
        case ("apis", str(group), "v1") if group in groups:
            return _resources(group)
        case _:
            return None


def _group(group: str) -> Mapping[str, object]:
    version = {"groupVersion": f"{group}/v1", "version": "v1"}
    return {"name": group, "versions": [version], "preferredVersion": version}


def _resources(group: str) -> Mapping[str, object]:
    known = [resource for resource in RESOURCES if resource.group == group]
    listed: list[dict[str, object]] = [
        {
            "name": one.plural, "singularName": one.kind.lower(), "namespaced": one.namespaced, "kind": one.kind, "verbs": _verbs(one),
            "shortNames": list(one.short),
        }
        for one in known
    ]  # fmt: skip
    if PODS in known:
        listed.append(
            {
                "name": "pods/eviction",
                "singularName": "",
                "namespaced": True,
                "group": "policy",
                "version": "v1",
                "kind": "Eviction",
                "verbs": ["create"],
            }
        )
    return {"kind": "APIResourceList", "groupVersion": f"{group}/v1" if group else "v1", "resources": listed}
