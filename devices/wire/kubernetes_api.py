"""Asks a Kubernetes API server: objects, lists in pages, and the lines of a watch. Reads only, every wait bounded."""

from collections.abc import AsyncGenerator, AsyncIterator, Mapping
from contextlib import asynccontextmanager

import aiohttp
import msgspec

from devices.wire.kubernetes_objects import Page, Status, decoded
from devices.wire.once import Peer
from devices.wire.tls import bearer, client_context
from fleet.errors import HallkeeperError, Malformed, Refused, Unreachable
from fleet.model import Endpoint

ANSWER_LIMIT = 64 << 20
"""Bytes of one answer; 500 objects of 100 kB are 50 MB."""
LINE_LIMIT = 4 << 20
"""Bytes of one watch line; an object is at most 1.5 MiB (etcd's request limit)."""
PAGE_ITEMS = 500
PAGES_LIMIT = 1_000
GET_SECONDS = 5.0
LIST_SECONDS = 30.0

Query = Mapping[str, str]


class Gone(HallkeeperError):
    """The past that was asked for is no longer kept (410): list again."""


class KubernetesApi:
    """One API server, over kept connections."""

    def __init__(self, endpoint: Endpoint, secret: Mapping[str, object]) -> None:
        """Raises `Refused` when address, token or authority cannot be used."""
        self.where = endpoint.source
        self._context, authorization = client_context(secret, self.where), bearer(secret, self.where)
        self._url = Peer.at(endpoint.address, self._context, authorization).where
        self._headers = {
            "Authorization": authorization,
            "Accept": "application/json",
            "Accept-Encoding": "identity",
            "User-Agent": "hallkeeper",
        }
        self._session: aiohttp.ClientSession | None = None

    async def close(self) -> None:
        session, self._session = self._session, None
        if session is not None:
            await session.close()

    async def get(self, path: str, query: Query | None = None, *, seconds: float = GET_SECONDS) -> bytes | None:
        """An object's JSON, or None where there is none of that name."""
        wait = aiohttp.ClientTimeout(total=seconds)
        async with self._asked(path, query or {}, wait) as answer:
            if answer.status == 404:
                return None
            await self._check(answer, path)
            return await self._bounded(answer, path)

    async def items(self, path: str, query: Query | None = None) -> tuple[list[msgspec.Raw], str]:
        """All items of a list and the version they are of. Raises `Gone` when the list ended under its pages."""
        found: list[msgspec.Raw] = []
        asked = {**(query or {}), "limit": str(PAGE_ITEMS)}
        for _ in range(PAGES_LIMIT):
            body = await self.get(path, asked, seconds=LIST_SECONDS)
            if body is None:
                raise Refused(f"{self.where}: there is no {path}, try the API server's version")
            page = decoded(body, Page, self.where)
            found += page.items or ()
            if not page.metadata.continue_:
                return found, page.metadata.resource_version
            asked["continue"] = page.metadata.continue_
        raise Malformed(f"{self.where}: {path} has more than {PAGES_LIMIT} pages")

    async def watch(self, path: str, version: str, *, seconds: float) -> AsyncGenerator[bytes, None]:
        """The lines of a watch from a version on, an empty one first, until the server ends it. Raises `Gone`."""
        query = {
            "watch": "true",
            "resourceVersion": version,
            "allowWatchBookmarks": "true",
            "timeoutSeconds": f"{seconds:.0f}",
        }
        wait = aiohttp.ClientTimeout(total=None, sock_connect=GET_SECONDS, sock_read=seconds + GET_SECONDS)
        async with self._asked(path, query, wait) as answer:
            await self._check(answer, path)
            yield b""
            rest = b""
            async for chunk in answer.content.iter_any():
                *lines, rest = (rest + chunk).split(b"\n")
                for line in lines:
                    if line:
                        yield line
                if len(rest) > LINE_LIMIT:
                    raise Malformed(f"{self.where}: a watch line of more than {LINE_LIMIT} bytes")

    @asynccontextmanager
    async def _asked(
        self, path: str, query: Query, wait: aiohttp.ClientTimeout
    ) -> AsyncIterator[aiohttp.ClientResponse]:
        """The one place where aiohttp's errors become ours."""
        if self._session is None:
            self._session = aiohttp.ClientSession(
                connector=aiohttp.TCPConnector(limit=8, ssl=self._context),
                cookie_jar=aiohttp.DummyCookieJar(),
                auto_decompress=False,
                read_bufsize=1 << 20,
            )
        try:
            async with self._session.get(
                self._url + path, params=query, headers=self._headers, timeout=wait, allow_redirects=False
            ) as answer:
                yield answer
        except aiohttp.ClientConnectorCertificateError as error:
            raise Refused(f"{self.where}: {error}, try the `ca` of its secret") from error
        except aiohttp.ClientResponseError as error:
            raise Malformed(f"{self.where}: {path}: {error!r}, try a proxy in between") from error
        except (aiohttp.ClientError, OSError, TimeoutError) as error:
            raise Unreachable(
                f"{self.where}: no answer to {path} ({error!r}), try kubectl get --raw /readyz"
            ) from error

    async def _check(self, answer: aiohttp.ClientResponse, path: str) -> None:
        if answer.status == 200:
            return
        body = (await answer.content.read(65_536))[:65_536]
        try:
            told = msgspec.json.decode(body, type=Status).message or ""
        except (msgspec.DecodeError, RecursionError):
            told = ""
        raise trouble(answer.status, f"{self.where}: {path}: status {answer.status}: {told[:300]}")

    async def _bounded(self, answer: aiohttp.ClientResponse, path: str) -> bytes:
        body = bytearray()
        async for chunk in answer.content.iter_any():
            body += chunk
            if len(body) > ANSWER_LIMIT:
                raise Malformed(f"{self.where}: {path}: more than {ANSWER_LIMIT} bytes")
        return bytes(body)


def trouble(status: int, text: str) -> HallkeeperError:
    """A status as what the caller does next."""
    if status == 410:
        return Gone(text)
    if status in {401, 403, 404, 405, 422}:
        return Refused(f"{text}, try the token of its secret and its role in the cluster")
    if status >= 500 or status in {408, 409, 429}:
        return Unreachable(f"{text}, try again later")
    return Malformed(f"{text}, try what stands between here and the API server")
