"""The two adapters, and one broker for all tests of a run."""

import pytest

from tests.contract.bus.harness import Harness
from tests.real.kafka import KafkaBroker

ADAPTERS = ["embedded", pytest.param("kafka", marks=pytest.mark.peer("kafka"))]


@pytest.fixture(scope="session")
def broker(tmp_path_factory):
    made = KafkaBroker(tmp_path_factory.mktemp("kafka"))
    try:
        yield made.start()
    finally:
        made.destroy()


@pytest.fixture(params=ADAPTERS)
async def harness(request, tmp_path):
    url = "embedded" if request.param == "embedded" else request.getfixturevalue("broker").url
    made = Harness(url, tmp_path)
    yield made
    await made.close()
