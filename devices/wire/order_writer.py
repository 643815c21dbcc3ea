"""What every writer without sessions does alike: from an order to its errand, or to a verdict that says why nothing was sent."""

from abc import ABC, abstractmethod

from devices.orders import Order, Remember, Report, State, Verdict, forget
from devices.wire.http_order import Errand, Subject, Timing
from devices.wire.once import Courier
from fleet.clock import Clock
from fleet.errors import HallkeeperError


class OrderWriter(ABC):
    """One wire's writer; what the order is about and who carries it is the wire's own."""

    def __init__(self, clock: Clock, *, remember: Remember = forget, timing: Timing | None = None) -> None:
        self._clock = clock
        self._remember = remember
        self._timing = timing or Timing()

    @abstractmethod
    def prepared(self, order: Order) -> tuple[Courier, Subject]:
        """Who carries it and what it is about. Raises `HallkeeperError` or `ValueError`: nothing is sent then."""

    async def act(self, order: Order, report: Report) -> Verdict:
        """Look, send at most once, look again."""
        errand = self._errand(order, report)
        return errand if isinstance(errand, Verdict) else await errand.run()

    async def settle(self, order: Order, note: str, report: Report) -> Verdict:
        """Read what an earlier process's request did; there is nothing to fence."""
        del note
        errand = self._errand(order, report)
        return errand if isinstance(errand, Verdict) else await errand.settle()

    def _errand(self, order: Order, report: Report) -> Errand | Verdict:
        try:
            courier, subject = self.prepared(order)
        except (HallkeeperError, ValueError, KeyError) as error:
            return Verdict(state=State.NOT_SENT, text=f"{order.asset}: nothing was sent: {error}")
        return Errand(order, courier, subject, report, clock=self._clock, remember=self._remember, timing=self._timing)
