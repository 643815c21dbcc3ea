"""Posts one body to one URL: bounded, no redirects, only to addresses that the receiver may have."""

import contextlib
import ipaddress
import socket
from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Any
from urllib.parse import urlsplit

import aiohttp
from aiohttp.abc import AbstractResolver, ResolveResult
from aiohttp.resolver import ThreadedResolver

from oncall.guard import ForbiddenReceiver, check_address, check_scheme

TIMEOUT_SECONDS = 5.0
ANSWER_BYTES = 64 * 1024


class Answer(StrEnum):
    """What became of one delivery, named by what to do next."""

    TAKEN = "taken"
    AGAIN = "again"
    REFUSED = "refused"


@dataclass(frozen=True, slots=True, kw_only=True)
class Delivery:
    """The outcome of one try."""

    answer: Answer
    why: str


class _GuardedResolver(AbstractResolver):
    """Resolves once and refuses forbidden addresses, so that the address checked is the address connected to."""

    def __init__(self, url: str, *, allow_private: bool) -> None:
        self._inner = ThreadedResolver()
        self._url = url
        self._allow_private = allow_private

    async def resolve(
        self, host: str, port: int = 0, family: socket.AddressFamily = socket.AF_INET
    ) -> list[ResolveResult]:
        found = await self._inner.resolve(host, port, family)
        for each in found:
            check_address(self._url, each["host"], allow_private=self._allow_private)
        return found

    async def close(self) -> None:
        await self._inner.close()


class HttpPoster:
    """One receiver's HTTP client."""

    def __init__(self, url: str, *, allow_private: bool = False) -> None:
        check_scheme(url, allow_private=allow_private)
        with contextlib.suppress(ValueError):
            check_address(url, str(ipaddress.ip_address(urlsplit(url).hostname or "")), allow_private=allow_private)
        self._url = url
        self._allow_private = allow_private
        self._session: aiohttp.ClientSession | None = None

    async def post(self, body: bytes, headers: Mapping[str, str]) -> Delivery:
        """Try once. Redirects count as a refusal: they could lead anywhere."""
        try:
            async with self._opened().post(self._url, data=body, headers=headers, allow_redirects=False) as response:
                text = (await response.content.read(ANSWER_BYTES)).decode(errors="replace")
                return judge(response.status, text)
        except ForbiddenReceiver as error:
            return Delivery(answer=Answer.REFUSED, why=str(error))
        except (aiohttp.ClientError, TimeoutError, OSError) as error:
            return Delivery(answer=Answer.AGAIN, why=f"no answer: {error or type(error).__name__}")

    def _opened(self) -> aiohttp.ClientSession:
        if self._session is None:
            options: dict[str, Any] = {"timeout": aiohttp.ClientTimeout(total=TIMEOUT_SECONDS)}
            resolver = _GuardedResolver(self._url, allow_private=self._allow_private)
            self._session = aiohttp.ClientSession(connector=aiohttp.TCPConnector(resolver=resolver, limit=4), **options)
        return self._session

    async def close(self) -> None:
        """Release the connections."""
        if self._session is not None:
            await self._session.close()


def judge(status: int, text: str) -> Delivery:
    """2xx is taken; 429, 408 and 5xx are tried again; anything else is refused for good."""
    if 200 <= status < 300:
        return Delivery(answer=Answer.TAKEN, why="")
    again = status in {408, 425, 429} or status >= 500
    return Delivery(answer=Answer.AGAIN if again else Answer.REFUSED, why=f"HTTP {status}: {text[:200]}")
