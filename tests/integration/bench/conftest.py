"""The compiled programs and a running mock upstream."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.bench.mock import MockUpstream
from tests.bench.run import choose_cores
from tests.bench.scenarios import Bodies, write_bodies
from tests.bench.toolchain import Programs, build, find_compiler


@pytest.fixture(scope="session")
def programs(tmp_path_factory: pytest.TempPathFactory) -> Programs:
    if find_compiler() is None:
        pytest.skip("no C compiler here; make bench needs one")
    return build(tmp_path_factory.mktemp("native"))


@pytest.fixture
def upstream(programs: Programs, tmp_path: Path) -> Iterator[MockUpstream]:
    with MockUpstream(programs.mock, core=choose_cores()[1], log=tmp_path / "mock.log") as running:
        yield running


@pytest.fixture
def bodies(tmp_path: Path) -> Bodies:
    return write_bodies(tmp_path)
