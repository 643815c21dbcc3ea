"""What an order asked for, as the object's own record shows it to somebody else: read with another credential, never sent."""

from devices.orders import Order
from devices.wire.hook_writer import HookWriter
from devices.wire.http_order import Seen
from devices.wire.kubernetes_writer import KubernetesWriter
from devices.wire.order_writer import OrderWriter
from devices.wire.slurm_writer import SlurmWriter
from fleet.clock import Clock
from fleet.errors import HallkeeperError
from fleet.model import Wire

RECORDED = frozenset({Wire.KUBERNETES, Wire.SLURM, Wire.HOOK})
"""Wires behind which an object keeps a record of its state that others may read."""


async def second_look(order: Order, clock: Clock) -> Seen | None:
    """The object's state for the reader whose secret the order holds; None where it could not be read.

    Raises `KeyError` for a wire that keeps no record.
    """
    writers: dict[Wire, type[OrderWriter]] = {
        Wire.KUBERNETES: KubernetesWriter,
        Wire.SLURM: SlurmWriter,
        Wire.HOOK: HookWriter,
    }
    writer = writers[order.endpoint.wire](clock)
    try:
        _, subject = writer.prepared(order)
        return await subject.look()
    except (HallkeeperError, ValueError):
        return None
