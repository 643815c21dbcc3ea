"""slurmrestd read over HTTP with a JWT: one fresh connection a question, nothing that changes state."""

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from ipaddress import ip_address
from typing import Any, TypeVar
from urllib.parse import quote, urlsplit

import msgspec

from devices.wire import slurm_objects as slurm
from devices.wire.once import Answered, Peer, said
from devices.wire.tls import client_context
from fleet.errors import Refused, Unreachable
from fleet.model import Endpoint
from fleet.secrets import reveal

API = "v0.0.38"
"""Served by Slurm 22.05 and later ones of that time; a secret's `api` names another."""

_VERSION = re.compile(r"v\d{1,2}\.\d{1,3}\.\d{1,3}")
_USER = re.compile(r"[a-z_][a-z0-9_.-]{0,31}")
_TOKEN = re.compile(r"[\x21-\x7e]{1,8192}")
T = TypeVar("T")


def peer_of(endpoint: Endpoint, secret: Mapping[str, object]) -> Peer:
    """The server with the user's token in its headers. Raises `Refused` for what could not be used safely."""
    where = endpoint.source
    user, token = reveal(secret.get("user", "")), reveal(secret.get("token", ""))
    if not _USER.fullmatch(user) or not _TOKEN.fullmatch(token):
        raise Refused(f"{where}: the secret lacks a usable user or token, try `user` and `token` (scontrol token)")
    headers = (f"X-SLURM-USER-NAME: {user}", f"X-SLURM-USER-TOKEN: {token}")
    parts = urlsplit(endpoint.address)
    if parts.scheme == "http":
        return Peer.here(endpoint.address, headers) if _local(parts.hostname) else _refuse(endpoint.address)
    return Peer.with_headers(endpoint.address, client_context(secret, where), headers)


def _local(host: str | None) -> bool:
    try:
        return host == "localhost" or ip_address(host or "").is_loopback
    except ValueError:
        return False


def _refuse(address: str) -> Peer:
    raise Refused(f"{address} would carry the token in the clear, try https, or slurmrestd on this machine")


def api_of(secret: Mapping[str, object]) -> str:
    """The path's version. Raises `Refused` for one that is none."""
    version = reveal(secret.get("api", API))
    if not _VERSION.fullmatch(version):
        raise Refused(f"{version!r} is no version of slurmrestd's API, try {API}")
    return version


@dataclass(frozen=True, slots=True)
class SlurmReader:
    """One cluster's objects. Raises `Unreachable` (silence, a controller that is away), `Refused` and `Malformed`."""

    peer: Peer
    api: str = API

    @classmethod
    def of(cls, endpoint: Endpoint, secret: Mapping[str, object]) -> "SlurmReader":
        """Raises `Refused` when address, user or token cannot be used."""
        return cls(peer_of(endpoint, secret), api_of(secret))

    async def node(self, name: str) -> slurm.SlurmNode | None:
        found = await self._one(f"node/{quote(name, safe='')}", "nodes", slurm.node_of)
        return found if found is not None and found.name == name else None

    async def job(self, job_id: int) -> slurm.SlurmJob | None:
        found = await self._one(f"job/{job_id}", "jobs", slurm.job_of)
        return found if found is not None and found.job_id == job_id else None

    async def partition(self, name: str) -> slurm.SlurmPartition | None:
        found = await self._one(f"partition/{quote(name, safe='')}", "partitions", slurm.partition_of)
        return found if found is not None and found.name == name else None

    async def reservation(self, name: str) -> slurm.SlurmReservation | None:
        every = await self._all("reservations", "reservations", slurm.reservation_of)
        return next((found for found in every if found.name == name), None)

    async def nodes(self) -> list[slurm.SlurmNode]:
        return await self._all("nodes", "nodes", slurm.node_of)

    async def jobs(self) -> list[slurm.SlurmJob]:
        return await self._all("jobs", "jobs", slurm.job_of)

    async def _one(self, path: str, key: str, make: Callable[[Mapping[str, Any]], T]) -> T | None:
        """The one object, or None where the controller says that there is none such."""
        answer = await self.peer.get(f"/slurm/{self.api}/{path}")
        if _no_such(_first_error(answer.body)):
            return None
        found = self._items(answer, key)
        return make(found[0]) if found else None

    async def _all(self, path: str, key: str, make: Callable[[Mapping[str, Any]], T]) -> list[T]:
        answer = await self.peer.get(f"/slurm/{self.api}/{path}")
        return [make(item) for item in self._items(answer, key)]

    def _items(self, answer: Answered, key: str) -> list[Mapping[str, Any]]:
        where, error = self.peer.where, _first_error(answer.body)
        if 300 <= answer.status < 500:
            raise Refused(f"{where}: {said(answer, error)}, try a new token (scontrol token) and the API's version")
        if answer.status != 200 or error is not None:
            raise Unreachable(f"{where}: {said(answer, error)}, try slurmctld, and the token's age")
        return slurm.items(slurm.decoded(answer.body, where), key, where)


NO_SUCH = frozenset({2000, 2017, 2018, 2053})
"""No such partition, job, node, reservation (seen from 22.05, which answers them with status 500)."""


def _no_such(error: Mapping[str, object] | None) -> bool:
    """Whether the controller itself said that it knows none such; a bare 404 may come from a wrong address."""
    return error is not None and (error.get("error_number") in NO_SUCH or error.get("errno") in NO_SUCH)


def _first_error(body: bytes) -> Mapping[str, object] | None:
    """The first of the answer's errors, or None; whatever else is wrong with the answer is found when it is read."""
    try:
        errors = msgspec.json.decode(body, type=_Errors).errors
    except (msgspec.DecodeError, RecursionError):
        return None
    return errors[0] if errors else None


class _Errors(msgspec.Struct):
    """The part of an answer that says what went wrong."""

    errors: list[dict[str, object]] = []
