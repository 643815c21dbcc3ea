"""A framework's own checkpoint service: the agent's checkpoint protocol at another address, for jobs that have no node agent."""

from devices.orders import Order
from devices.wire.agent import CheckpointRequest
from devices.wire.http_order import Subject
from devices.wire.once import Courier, Peer
from devices.wire.order_writer import OrderWriter
from devices.wire.tls import bearer, client_context
from fleet.errors import Refused


class HookWriter(OrderWriter):
    """Carries out `checkpoint_http` and nothing else."""

    def prepared(self, order: Order) -> tuple[Courier, Subject]:
        if order.verb != "checkpoint_http":
            raise Refused(f"{order.verb!r} is no verb of a checkpoint service, try checkpoint_http")
        where = order.endpoint.source
        peer = Peer.at(order.endpoint.address, client_context(order.secret, where), bearer(order.secret, where))
        return peer, CheckpointRequest(peer, order.intent, order.arguments)
