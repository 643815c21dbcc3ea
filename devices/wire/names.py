"""Names of Kubernetes objects, checked before they become part of a path."""

import re
from collections.abc import Mapping

_NAME = re.compile(r"[a-z0-9]([a-z0-9.-]{0,251}[a-z0-9])?")
_UID = re.compile(r"[A-Za-z0-9]([A-Za-z0-9._-]{0,126}[A-Za-z0-9])?")


def name_in(arguments: Mapping[str, object], key: str) -> str:
    """A name as Kubernetes allows them (RFC 1123 subdomain). Raises `ValueError` with what to try."""
    value = arguments.get(key)
    if not isinstance(value, str) or not _NAME.fullmatch(value) or ".." in value:
        raise ValueError(f"{key} is {value!r}, try a name of lower-case letters, digits, '-' and '.'")
    return value


def uid_in(arguments: Mapping[str, object]) -> str:
    """The object's uid: a name alone could mean its successor. Raises `ValueError`."""
    value = arguments.get("uid")
    if not isinstance(value, str) or not _UID.fullmatch(value):
        raise ValueError(f"uid is {value!r}, try metadata.uid of the object that is meant")
    return value


def job_of(arguments: Mapping[str, object]) -> tuple[str, str]:
    """Namespace and name of a job given as `job: ns/name`, or as `namespace` and `job`. Raises `ValueError`."""
    job = arguments.get("job")
    if isinstance(job, str) and "/" in job:
        namespace, _, name = job.partition("/")
        return name_in({"namespace": namespace}, "namespace"), name_in({"job": name}, "job")
    return name_in(arguments, "namespace"), name_in(arguments, "job")
