"""The retrieval service and its worker as real processes on a real Valkey."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.bench.retrieval.parts import Retrieval, running


@pytest.fixture
def retrieval(tmp_path: Path) -> Iterator[Retrieval]:
    """Processes of this test's own, to be killed."""
    with running(tmp_path) as made:
        yield made


@pytest.fixture(scope="module")
def shared(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Retrieval]:
    """A service and a worker that several tests use and none kills."""
    with running(tmp_path_factory.mktemp("retrieval")) as made:
        made.serve()
        made.work()
        yield made
