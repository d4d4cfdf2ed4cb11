import asyncio
import json
import resource
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sluice_gateway.domain.errors import JournalUnavailable
from sluice_gateway.usage.journal import Batch, Journal, JournalLimits


@contextmanager
def opened(folder: Path, limits: JournalLimits | None = None) -> Iterator[Journal]:
    journal = Journal(folder, limits)
    journal.open()
    try:
        yield journal
    finally:
        journal.close()


def records_of(batch: Batch) -> list[bytes]:
    found = [json.dumps(record).encode() for record in json.loads(b"[" + batch.records + b"]")]
    assert len(found) == batch.length
    return found


def drain(journal: Journal, limit: int = 1000) -> list[bytes]:
    read: list[bytes] = []
    while (batch := journal.read(limit)).length:
        read += records_of(batch)
        journal.commit(batch.end)
    return read


def files(folder: Path) -> list[Path]:
    return sorted(folder.glob("*.journal"))


def numbers(count: int, first: int = 0) -> list[bytes]:
    return [b"%d" % number for number in range(first, first + count)]


def test_records_come_back_in_order_and_only_until_they_are_committed(tmp_path: Path) -> None:
    with opened(tmp_path) as journal:
        for record in numbers(10):
            journal.append(record)
        first = journal.read(13)
        assert records_of(first) == numbers(4)
        assert journal.read(13) == first
        journal.commit(first.end)
        assert drain(journal) == numbers(6, 4)
        assert journal.pending_bytes == 0


def test_a_new_process_goes_on_where_the_last_one_had_committed(tmp_path: Path) -> None:
    with opened(tmp_path) as journal:
        for record in numbers(6):
            journal.append(record)
        journal.commit(journal.read(6).end)
    with opened(tmp_path) as journal:
        journal.append(b"6")
        assert drain(journal) == numbers(5, 2)
    with opened(tmp_path) as journal:
        assert drain(journal) == []
        assert len(files(tmp_path)) == 1


def left_behind(folder: Path, tail: bytes) -> None:
    """Leave a segment as a process does that is killed: at its full size, with whatever it had begun to write."""
    path = files(folder)[-1]
    data = path.read_bytes().rstrip(b"\0")
    path.write_bytes((data + tail).ljust(4096, b"\0"))


@pytest.mark.parametrize("tail", [b'["torn', b'["torn"]', b'["to\0\0"],\n', b'"a"],\n', b"\0\0\0],\n"])
def test_a_torn_tail_of_the_last_process_costs_nothing_else(tmp_path: Path, tail: bytes) -> None:
    with opened(tmp_path) as journal:
        journal.append(b'["whole"]')
    left_behind(tmp_path, tail)
    with opened(tmp_path) as journal:
        journal.append(b'["after"]')
        assert drain(journal) == [b'["whole"]', b'["after"]']
        assert journal.torn == 1
        assert journal.pending_bytes == 0
        assert len(files(tmp_path)) == 1


def test_a_lost_cursor_means_reading_all_again(tmp_path: Path) -> None:
    with opened(tmp_path) as journal:
        for record in numbers(3):
            journal.append(record)
        journal.commit(journal.read(6).end)
    (tmp_path / "cursor.json").write_bytes(b"")
    with opened(tmp_path) as journal:
        assert drain(journal) == numbers(3)


def test_segments_rotate_by_size_and_are_deleted_when_committed(tmp_path: Path) -> None:
    with opened(tmp_path, JournalLimits(segment_bytes=200)) as journal:
        records = [b'"%s"' % (b"%03d" % number * 20) for number in range(30)]
        for record in records:
            journal.append(record)
        assert len(files(tmp_path)) > 5
        assert drain(journal, 70) == records
        assert len(files(tmp_path)) == 1
        assert journal.pending_bytes == 0
        assert not journal.has_pending


def test_a_record_longer_than_one_read_or_one_segment_comes_back(tmp_path: Path) -> None:
    with opened(tmp_path, JournalLimits(segment_bytes=100_000)) as journal:
        journal.append(b'"%s"' % (b"a" * 700_000))
        journal.append(b"1")
        journal.append(b'"%s"' % (b"b" * 90_000))
        assert [len(record) for record in drain(journal)] == [700_002, 1, 90_002]


def test_two_processes_cannot_own_one_folder(tmp_path: Path) -> None:
    with opened(tmp_path), pytest.raises(JournalUnavailable, match="Another gateway process"):
        Journal(tmp_path).open()
    with opened(tmp_path) as journal:
        assert journal.accepting


async def test_nearly_full_means_not_ready_and_full_refuses_until_records_are_shipped(tmp_path: Path) -> None:
    with opened(tmp_path, JournalLimits(segment_bytes=500, max_bytes=2000)) as journal:
        while journal.accepting:
            journal.append(b"1" * 100)
        assert journal.state == "full"
        assert 1800 <= journal.pending_bytes < 1950
        with pytest.raises(JournalUnavailable, match="full"):
            await journal.probe()
        journal.append(b'"was admitted before"')
        while journal.pending_bytes < 1985:
            journal.append(b"1")
        with pytest.raises(JournalUnavailable, match="full"):
            journal.append(b"1" * 100)
        batch = journal.read()
        journal.commit(batch.end)
        assert journal.accepting
        await journal.probe()
        journal.append(b"1")


@contextmanager
def largest_file(size: int) -> Iterator[None]:
    """Have the kernel refuse files over a size, as a full disk refuses them."""
    previous = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
        signal.signal(signal.SIGXFSZ, previous)


async def test_a_full_disk_refuses_keeps_whole_records_and_recovers(tmp_path: Path) -> None:
    with opened(tmp_path, JournalLimits(segment_bytes=200)) as journal:
        journal.append(b'"first"')
        with largest_file(100):
            journal.append(b'"still fits"')
            with pytest.raises(JournalUnavailable, match="cannot be written"):
                journal.append(b'"%s"' % (b"does not fit " * 20))
            assert journal.state == "failed"
            assert not journal.accepting
            with pytest.raises(JournalUnavailable, match="cannot be written"):
                await journal.probe()
        await journal.probe()
        assert journal.accepting
        journal.append(b'"second"')
        assert drain(journal) == [b'"first"', b'"still fits"', b'"second"']
        assert journal.torn == 0


async def test_a_waiting_reader_wakes_at_the_first_record_and_sleeps_when_all_is_read(tmp_path: Path) -> None:
    with opened(tmp_path) as journal:
        waiting = asyncio.create_task(journal.wait())
        await asyncio.sleep(0.01)
        assert not waiting.done()
        journal.append(b"1")
        await asyncio.wait_for(waiting, 1)
        assert drain(journal) == [b"1"]
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(journal.wait(), 0.01)
        journal.append(b"2")
        await asyncio.wait_for(journal.wait(), 1)


def test_a_file_that_is_no_segment_is_set_aside(tmp_path: Path) -> None:
    (tmp_path / "0000000000000007.journal").write_bytes(b"something else")
    (tmp_path / "0000000000000008.journal").write_bytes(bytes(500))
    with opened(tmp_path) as journal:
        journal.append(b"1")
        assert drain(journal) == [b"1"]
    assert (tmp_path / "0000000000000007.damaged").read_bytes() == b"something else"
    assert not (tmp_path / "0000000000000008.journal").exists(), "a process died while it made it"


def test_a_hole_in_a_segment_left_behind_hides_its_own_records_and_the_next(tmp_path: Path) -> None:
    with opened(tmp_path) as journal:
        for record in numbers(9):
            journal.append(record)
    path = files(tmp_path)[0]
    data = bytearray(path.read_bytes())
    data[8:14] = bytes(6)  # as a power loss leaves it
    path.write_bytes(data)
    with opened(tmp_path) as journal:
        assert drain(journal) == [b"0", *numbers(5, 4)]
        assert journal.torn == 1


def test_a_killed_process_leaves_every_record_whose_append_returned(tmp_path: Path) -> None:
    program = (
        "import os, sys\n"
        "from pathlib import Path\n"
        "from sluice_gateway.usage.journal import Journal\n"
        "journal = Journal(Path(sys.argv[1])); journal.open(); number = 0\n"
        "while True:\n"
        "    journal.append(b'%d' % number); number += 1\n"
        "    if number % 100 == 0: os.write(1, b'%d\\n' % number)\n"
    )
    with subprocess.Popen([sys.executable, "-c", program, str(tmp_path)], stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        for _ in range(50):
            told = int(process.stdout.readline())
        process.kill()
    with opened(tmp_path) as journal:
        found = drain(journal, 100_000)
    assert len(found) >= told
    assert found == numbers(len(found))


@settings(max_examples=60)
@given(
    st.lists(
        st.one_of(
            st.tuples(st.just("append"), st.integers(1, 300)),
            st.tuples(st.just("ship"), st.integers(1, 500)),
            st.tuples(st.just("crash"), st.integers(0, 40)),
        ),
        max_size=40,
    )
)
def test_whatever_happens_each_record_is_read_at_least_once_and_in_order(
    tmp_path_factory: pytest.TempPathFactory, steps: list[tuple[str, int]]
) -> None:
    folder = tmp_path_factory.mktemp("journal")
    limits = JournalLimits(segment_bytes=600)
    journal = Journal(folder, limits)
    journal.open()
    written: list[bytes] = []
    shipped: list[bytes] = []
    for step, amount in steps:
        if step == "append":
            written.append(b'"%06d%s"' % (len(written), b"." * amount))
            journal.append(written[-1])
        elif step == "ship":
            batch = journal.read(amount)
            if amount % 2 and batch.length:
                shipped += records_of(batch)
                journal.commit(batch.end)
        else:
            active = files(folder)[-1]
            journal.close()
            data = active.read_bytes() + (b'"never acknowledged"' * 3)[:amount]
            active.write_bytes(data.ljust(600, b"\0"))
            journal = Journal(folder, limits)
            journal.open()
    shipped += drain(journal)
    journal.close()
    assert shipped == written
