"""The site's certificate authority, and a served node with a client that trusts it."""

import ssl
from collections.abc import AsyncIterator
from pathlib import Path

import aiohttp
import pytest

from tests.contract.agent.certificates import Authority
from tests.contract.agent.nodes import READ_TOKEN, WRITE_TOKEN, Node, running


@pytest.fixture(scope="session")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    return Authority(tmp_path_factory.mktemp("ca"))


@pytest.fixture
async def node(tmp_path: Path, authority: Authority) -> AsyncIterator[Node]:
    async with running(tmp_path / "node", authority) as served:
        yield served


class Client:
    """Asks one node with either token."""

    def __init__(self, session: aiohttp.ClientSession, url: str) -> None:
        self.session = session
        self.url = url

    async def __call__(self, method: str, path: str, *, token: str = WRITE_TOKEN, json: object = None):
        headers = {"Authorization": f"Bearer {token}"} if token else {}
        async with self.session.request(method, self.url + path, headers=headers, json=json) as response:
            return response.status, await response.json()

    async def get(self, path: str):
        return await self("GET", path, token=READ_TOKEN)


@pytest.fixture
async def ask(node: Node) -> AsyncIterator[Client]:
    context = ssl.create_default_context(cafile=str(node.authority.path))
    async with aiohttp.ClientSession(connector=aiohttp.TCPConnector(ssl=context)) as session:
        yield Client(session, node.url)
