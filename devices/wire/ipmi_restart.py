"""Whether a BMC restarted: it answers a new login and no longer knows a session that nobody closed."""

from dataclasses import dataclass

from devices.wire.ipmi_fence import forgotten
from devices.wire.rmcp import Patience
from devices.wire.rmcp_session import Account
from fleet.clock import Clock
from fleet.errors import HallkeeperError

EXPIRY_FLOOR_SECONDS = 50.0
"""Before this a BMC has dropped no session for idleness (60 s, give or take 3; IPMI section 6.12.15, margin ours)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Restart:
    """One BMC that was told to start anew."""

    address: str
    account: Account
    session: int
    sent_at_ns: int
    patience: Patience
    clock: Clock

    async def seen(self, *, until_ns: int, pause_seconds: float) -> bool | None:
        """True once it is shown; False when it answered to the end without; None when it never answered again.

        A session that is gone shows a restart only where it was silent meanwhile, or before any idle session expires.
        """
        silent = False
        answered: bool | None = None
        while True:
            try:
                gone = await forgotten(self.address, self.account, self.session, patience=self.patience)
            except HallkeeperError:
                silent, gone, answered = True, None, None
            else:
                answered = False
            young = self.clock.boottime_ns() - self.sent_at_ns < EXPIRY_FLOOR_SECONDS * 1e9
            if gone and (silent or young):
                return True
            if self.clock.boottime_ns() >= until_ns:
                return answered
            await self.clock.sleep(pause_seconds)
