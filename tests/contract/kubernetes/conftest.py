"""The authority of the test site, and a served cluster of two nodes with a job."""

from collections.abc import AsyncIterator

import pytest

from tests.contract.agent.certificates import Authority
from tests.contract.kubernetes.cluster import Cluster, job, node, pod, serving


@pytest.fixture(scope="session")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    return Authority(tmp_path_factory.mktemp("ca"))


@pytest.fixture
async def cluster(authority: Authority) -> AsyncIterator[Cluster]:
    made = Cluster(
        ("nodes", node("n1")),
        ("nodes", node("n2")),
        ("pods", pod("llama-0")),
        ("pods", pod("agent-x", job="", owner="DaemonSet")),
        ("jobs", job()),
    )
    async with serving(authority, made):
        yield made
