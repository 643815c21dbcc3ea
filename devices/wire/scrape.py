"""Pages of Prometheus exporters: fetched over a kept connection, parsed against the layout of the last page."""

import asyncio
import logging
from dataclasses import dataclass
from urllib.parse import urlsplit

import aiohttp
import numpy as np
import numpy.typing as npt

from devices.reading import Reading, Series
from devices.wire.layout import Layout, Values, learn
from devices.wire.page import Page, page_of
from devices.wire.scrape_http import PAGE_LIMIT, Connection, NeedsMore
from fleet.clock import Clock
from fleet.errors import Malformed, Refused, Unreachable
from fleet.quality import Quality, Reason, pack

log = logging.getLogger(__name__)

ACCEPT = "text/plain;version=0.0.4"
RELEARN_BURST = 5
"""Layouts an exporter may change in a row before its pages are quarantined (default to tune)."""
RELEARN_SECONDS = 10.0
"""One more change of layout is allowed each time this long has passed (default to tune)."""
OWN_STAMP_SECONDS = 30.0
"""A sample whose own timestamp is older than this is no evidence: the longest that any evidence holds."""
_OLD = pack(Quality.UNCERTAIN, Reason.AGE)


class PageSource:
    """One exporter: a plain connection as long as that is enough, aiohttp when the exporter wants more."""

    def __init__(self, url: str) -> None:
        """Raises `Refused` for an address that is no http or https URL."""
        parts = urlsplit(url)
        try:
            port = parts.port
        except ValueError:
            port = -1
        if parts.scheme not in {"http", "https"} or not parts.hostname or port == -1:
            raise Refused(f"{url!r} is not the address of an exporter, try http://host:port/metrics")
        self._url = url
        self._host, self._port = parts.hostname, port or 80
        path = (parts.path or "/metrics") + (f"?{parts.query}" if parts.query else "")
        self._request = (
            f"GET {path} HTTP/1.1\r\nHost: {parts.netloc.rpartition('@')[2]}\r\nAccept: {ACCEPT}\r\n"
            "User-Agent: hallkeeper\r\n\r\n"
        ).encode()
        self._plain = parts.scheme == "http" and parts.username is None
        self._connection: Connection | None = None
        self._session: aiohttp.ClientSession | None = None

    async def page(self) -> Page:
        """The page. Raises `Unreachable`, `Refused` or `Malformed`; the caller bounds the time."""
        if self._plain:
            try:
                return await self._over_plain()
            except NeedsMore as more:
                log.info("%s: %s, aiohttp reads it from now on", self._url, more)
                self._plain = False
        return await self._over_aiohttp()

    async def close(self) -> None:
        if self._connection is not None:
            self._connection.close()
        if self._session is not None:
            await self._session.close()

    async def _over_plain(self) -> Page:
        connection = self._connection
        if connection is not None and connection.is_open:
            try:
                return await connection.get(self._request)
            except Unreachable:
                if connection.answered_partly:
                    raise
                # an idle connection that the exporter had closed: a GET may be sent again
        connection = self._connection = await self._connect()
        return await connection.get(self._request)

    async def _connect(self) -> Connection:
        loop = asyncio.get_running_loop()
        try:
            _, connection = await loop.create_connection(Connection, self._host, self._port)
        except OSError as error:
            raise Unreachable(f"{self._url}: no connection ({error}), try its address and whether it runs") from error
        return connection

    async def _over_aiohttp(self) -> Page:
        if self._session is None:
            self._session = aiohttp.ClientSession(headers={"Accept": ACCEPT, "User-Agent": "hallkeeper"})
        try:
            async with self._session.get(self._url, max_redirects=5) as answer:
                _judge(answer.status, self._url)
                page = await answer.content.read(PAGE_LIMIT + 1)
                while len(page) <= PAGE_LIMIT and (more := await answer.content.read(PAGE_LIMIT + 1)):
                    page += more
        except aiohttp.ClientPayloadError as error:
            raise Malformed(f"{self._url}: its answer broke off or cannot be unpacked ({error})") from error
        except (aiohttp.ClientError, OSError) as error:
            raise Unreachable(f"{self._url}: {error}, try its address and whether it runs") from error
        if len(page) > PAGE_LIMIT:
            raise Malformed(f"{self._url}: a page of more than {PAGE_LIMIT} bytes")
        return page_of(page)


def _judge(status: int, url: str) -> None:
    if status == 200:
        return
    if 400 <= status < 500 and status not in {408, 425, 429}:
        raise Refused(f"{url} answered {status}, try its address and access list")
    raise Unreachable(f"{url} answered {status}, it will be asked again")


@dataclass(slots=True)
class RelearnBudget:
    """How often an exporter may change its layout: label churn must not cost its neighbours their CPU."""

    left: float = RELEARN_BURST
    at_ms: int = 0

    def check(self, now_ms: int) -> None:
        """Before a page is learned. Raises `Malformed` when there were too many changes lately."""
        earned = max(now_ms - self.at_ms, 0) / 1000 / RELEARN_SECONDS if self.at_ms else 0.0
        self.left = min(self.left + earned, RELEARN_BURST)
        self.at_ms = now_ms
        if self.left < 1:
            raise Malformed(
                f"its series changed more than {RELEARN_BURST} times in a row: a label changes with every page,"
                " try dropping that label at the exporter"
            )

    def spend(self) -> None:
        """Count one change of the series; comments may change as they like."""
        self.left -= 1


class PageReader:
    """One exporter's pages as readings."""

    def __init__(self, url: str, *, signal: str, clock: Clock) -> None:
        self._source = PageSource(url)
        self._url, self._signal, self._clock = url, signal, clock
        self._layout: Layout | None = None
        self._budget = RelearnBudget()

    async def read(self, *, deadline_seconds: float | None = None) -> Reading:
        """One page. Raises `Unreachable` past the deadline, `Refused`, or `Malformed` naming the line.

        Without a deadline the caller ends the read by cancelling it, which costs no timer a page.
        """
        if deadline_seconds is None:
            page = await self._source.page()
        else:
            page = await self._page_within(deadline_seconds)
        at_ms = self._clock.now_ms()
        try:
            series, values = self._parse(page, at_ms)
        finally:
            page.close()
        return Reading(
            series=series,
            values=values.numbers,
            quality=_quality(values, at_ms),
            at_ms=at_ms,
            signal=self._signal,
        )

    async def close(self) -> None:
        await self._source.close()

    async def _page_within(self, seconds: float) -> Page:
        try:
            async with asyncio.timeout(seconds):
                return await self._source.page()
        except TimeoutError as error:
            raise Unreachable(f"{self._url}: no page within {seconds:g} s") from error

    def _parse(self, page: Page, now_ms: int) -> tuple[tuple[Series, ...], Values]:
        layout = self._layout
        if layout is not None and (values := layout.read(page)) is not None:
            return layout.series, values
        try:
            self._budget.check(now_ms)
            learned, values = learn(page, layout.known if layout is not None else None)
        except Malformed as error:
            raise Malformed(f"{self._url}: {error}") from error
        if layout is not None and learned.series == layout.series:
            learned.series = layout.series  # only comments changed: the same object says the same layout
        else:
            self._budget.spend()
        self._layout = learned
        return learned.series, values


def _quality(values: Values, at_ms: int) -> npt.NDArray[np.uint8] | None:
    """The marks of a page: sentinels, and samples that the exporter itself dates back."""
    if values.stamps_ms is None:
        return values.quality
    oldest = at_ms - OWN_STAMP_SECONDS * 1000
    old = np.array([stamp is not None and stamp < oldest for stamp in values.stamps_ms], dtype=np.bool_)
    marks = values.quality if values.quality is not None else np.zeros(len(old), dtype=np.uint8)
    return np.where(old & (marks == 0), np.uint8(_OLD), marks)
