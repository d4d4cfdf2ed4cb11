"""The platform at rest: parts are found, watched and summed up, and a bar that is not kept is said."""

import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import psutil
import pytest
from tests.bench.errors import BenchError
from tests.bench.rest import PartAtRest, complaints, main, measure, running, table, total, youngest_s

from sluice_cli.platform import records
from sluice_cli.platform.home import Home
from sluice_cli.platform.parts import Layout, parts

QUIET = [PartAtRest("router", 0.25, 60.0), PartAtRest("valkey", 0.5, 4.5)]


@contextmanager
def child(code: str) -> Iterator[psutil.Process]:
    with subprocess.Popen([sys.executable, "-c", code]) as process:
        try:
            yield psutil.Process(process.pid)
        finally:
            process.kill()


def test_a_busy_part_is_told_from_a_quiet_one_and_both_have_memory() -> None:
    with child("while True: pass") as busy, child("import time; time.sleep(60)") as quiet:
        found = {row.part: row for row in measure({"busy": busy, "quiet": quiet}, 1.0)}
    assert found["busy"].cpu_percent > 5 * max(found["quiet"].cpu_percent, 1.0)
    assert all(1 < row.pss_mib < 200 for row in found.values())


def test_a_part_that_ends_while_it_is_measured_is_an_error() -> None:
    with child("import time; time.sleep(60)") as short:
        killing = threading.Timer(0.3, short.kill)
        killing.start()
        with pytest.raises(BenchError, match=r"ended .* measured: short"):
            measure({"short": short}, 1.5)
        killing.join()


def test_a_platform_that_lacks_a_part_is_not_measured(tmp_path: Path) -> None:
    wanted = parts(Layout(9000), Home(tmp_path), "")
    record = records.write(tmp_path, "valkey", psutil.Process().pid, 9011, "redis://x")
    with pytest.raises(BenchError, match=r"do not run: gateway, router") as caught:
        running(wanted, {"valkey": record})
    assert "valkey" not in str(caught.value)
    assert running(wanted[:1], {"valkey": record})["valkey"].pid == record.pid


def test_without_a_platform_the_command_says_what_to_do(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("SLUICE_HOME", str(tmp_path))
    assert main([]) == 2
    assert "sluice up" in capsys.readouterr().err


def test_rest_counts_from_the_part_that_was_started_last() -> None:
    record = records.Record("router", 1, 0.0, 1, "", started_at=100.0)
    later = records.Record("valkey", 2, 0.0, 1, "", started_at=150.0)
    assert youngest_s({"router": record, "valkey": later}, now=160.0) == 10.0


def test_the_table_has_the_largest_user_first_and_the_sum_last() -> None:
    assert table(QUIET).splitlines()[2:] == [
        "| valkey | 0.50 | 4.5 |",
        "| router | 0.25 | 60.0 |",
        "| in all | 0.75 | 64.5 |",
    ]
    assert total(QUIET).pss_mib == 64.5


@pytest.mark.parametrize(
    ("row", "said"),
    [
        (PartAtRest("x", 4.9, 1900.0), []),
        (PartAtRest("x", 5.0, 1900.0), ["5.0 % of one core"]),
        (PartAtRest("x", 1.0, 1908.0), ["1,908 MiB"]),
        (PartAtRest("x", 9.0, 2500.0), ["9.0 % of one core", "2,500 MiB"]),
    ],
)
def test_a_bar_that_is_not_kept_is_said(row: PartAtRest, said: list[str]) -> None:
    found = complaints([row])
    assert len(found) == len(said)
    assert all(found[at].startswith(start) for at, start in enumerate(said))
