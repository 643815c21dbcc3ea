"""Prometheus 3's own engine, where Go can build it."""

from collections.abc import Iterator

import pytest

from tests.oracle.program import NoOracle, Oracle, built


@pytest.fixture(scope="session")
def oracle(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Oracle]:
    """The oracle, built once; skipped where Go or its modules are not at hand."""
    try:
        program = built(tmp_path_factory.mktemp("oracle"))
    except NoOracle as error:
        pytest.skip(str(error))
    with Oracle(program) as asked:
        yield asked
