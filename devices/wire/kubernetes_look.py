"""Reading one object of a cluster before and after a write."""

from urllib.parse import quote

from devices.wire.http_order import fields
from devices.wire.kubernetes_facts import Node, node_of
from devices.wire.kubernetes_objects import NodeObject, decoded
from devices.wire.once import Peer, said
from fleet.errors import Refused, Unreachable


async def read(peer: Peer, path: str) -> bytes | None:
    """The object's JSON, or None where there is none. Raises `Unreachable` or `Refused`."""
    answer = await peer.get(path)
    if answer.status == 404:
        return None
    if answer.status == 200:
        return answer.body
    what = f"{peer.where}{path}: {said(answer, fields(answer.body))}"
    if answer.status >= 500 or answer.status == 429:
        raise Unreachable(f"{what}, try again later")
    raise Refused(f"{what}, try the token of the secret and its role in the cluster")


async def node(peer: Peer, name: str) -> Node:
    """The node of that name. Raises as `read`, and `Refused` where there is none."""
    body = await read(peer, f"/api/v1/nodes/{quote(name)}")
    if body is None:
        raise Refused(f"{peer.where}: there is no node {name}, try its name in the cluster")
    return node_of(decoded(body, NodeObject, peer.where))
