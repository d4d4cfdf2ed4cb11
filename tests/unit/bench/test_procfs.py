"""CPU and memory as /proc tells them."""

import os
import subprocess
import threading
import time
from pathlib import Path

import pytest
from tests.bench.procfs import (
    ProcessStat,
    ThreadTime,
    TreeUse,
    anonymous_bytes,
    cpu_clock,
    family,
    parse_stat,
    read_all_stats,
    thread_times,
    tree_use,
)

LINE = (
    "4711 (a (strange) name) S 42 4711 4711 0 -1 4194560 1000 0 0 0 150 50 25 5 20 0 9 0 100 2000000 300 "
    "18446744073709551615 1 1 0 0 0 0 0 0 0 0 0 0 17 1 0 0 0 0 0\n"
)


def test_parse_stat_counts_user_system_and_waited_for_children() -> None:
    found = parse_stat(LINE, ticks_per_second=100, page_size=4096)
    assert found == ProcessStat(pid=4711, parent=42, cpu_seconds=2.3, children_seconds=0.3, rss_bytes=300 * 4096)


def stat(pid: int, parent: int) -> ProcessStat:
    return ProcessStat(pid, parent, cpu_seconds=1.0, children_seconds=0.0, rss_bytes=10)


def test_family_holds_descendants_of_every_depth_and_no_strangers() -> None:
    stats = [stat(7, 5), stat(5, 3), stat(3, 1), stat(4, 1), stat(6, 3), stat(1, 0)]
    assert {member.pid for member in family(3, stats)} == {3, 5, 6, 7}


def test_family_of_a_process_that_ended_is_empty() -> None:
    assert family(99, [stat(1, 0)]) == []


def test_read_all_stats_skips_what_is_no_process(tmp_path: Path) -> None:
    for name in ("4711", "self", "12"):
        (tmp_path / name).mkdir()
    (tmp_path / "4711" / "stat").write_text(LINE)  # 12 has no stat file: it ended meanwhile
    assert [found.pid for found in read_all_stats(tmp_path)] == [4711]


def test_thread_times_are_the_first_two_numbers_of_schedstat(tmp_path: Path) -> None:
    (tmp_path / "7" / "task" / "9").mkdir(parents=True)
    (tmp_path / "7" / "task" / "9" / "schedstat").write_text("5000000000 1500000000 42\n")
    (tmp_path / "7" / "task" / "10").mkdir()  # this thread ended meanwhile
    assert thread_times(7, tmp_path) == {9: ThreadTime(5.0, 1.5)}
    assert thread_times(8, tmp_path) == {}


def test_waiting_is_that_of_the_thread_that_ran_most_meanwhile() -> None:
    before = TreeUse(0.0, 0, {1: ThreadTime(90.0, 9.0), 2: ThreadTime(1.0, 0.5)})
    after = TreeUse(0.0, 0, {1: ThreadTime(90.1, 9.9), 2: ThreadTime(3.0, 0.75), 3: ThreadTime(0.2, 0.1)})
    assert after.waited_since(before) == 0.25
    assert TreeUse(0.0, 0, {}).waited_since(before) == 0.0


def test_cpu_clock_is_finer_than_a_tick_and_counts_every_thread() -> None:
    before, started = cpu_clock(os.getpid()), time.process_time()
    threads = [threading.Thread(target=lambda: sum(range(100_000))) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    after, ended = cpu_clock(os.getpid()), time.process_time()
    assert before is not None
    assert after is not None
    assert after - before == pytest.approx(ended - started, abs=0.002)


def test_a_process_that_ended_has_no_cpu_clock() -> None:
    with subprocess.Popen(["true"]) as process:
        process.wait()
    assert cpu_clock(process.pid) is None


def test_anonymous_memory_is_less_than_all_that_is_resident() -> None:
    assert 2**20 < anonymous_bytes(os.getpid()) < tree_use(os.getpid()).rss_bytes


def test_tree_use_of_this_process_grows_with_its_work() -> None:
    before = tree_use(os.getpid())
    started = time.process_time()
    while time.process_time() - started < 0.05:
        sum(range(1000))
    after = tree_use(os.getpid())
    assert after.cpu_seconds - before.cpu_seconds == pytest.approx(0.05, abs=0.02)
    assert after.rss_bytes > 2**20
