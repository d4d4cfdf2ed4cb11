import asyncio
import os
import resource
import signal
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sluice_gateway.domain.errors import JournalUnavailable
from sluice_gateway.usage.framing import frame
from sluice_gateway.usage.journal import Journal, JournalLimits


@contextmanager
def opened(folder: Path, limits: JournalLimits | None = None) -> Iterator[Journal]:
    journal = Journal(folder, limits)
    journal.open()
    try:
        yield journal
    finally:
        journal.close()


def drain(journal: Journal, limit: int = 100, *, commit: bool = True) -> list[bytes]:
    read: list[bytes] = []
    while batch := journal.read(limit):
        if not batch.payloads:
            return read
        read += batch.payloads
        if commit:
            journal.commit(batch.end)
        else:
            return read
    return read


def files(folder: Path) -> list[Path]:
    return sorted(folder.glob("*.journal"))


def test_records_come_back_in_order_and_only_until_they_are_committed(tmp_path: Path) -> None:
    with opened(tmp_path) as journal:
        for number in range(10):
            journal.append(b"%d" % number)
        first = journal.read(4)
        assert first.payloads == [b"0", b"1", b"2", b"3"]
        assert journal.read(4).payloads == first.payloads
        journal.commit(first.end)
        assert drain(journal) == [b"%d" % number for number in range(4, 10)]
        assert journal.pending_bytes == 0


def test_a_new_process_goes_on_where_the_last_one_had_committed(tmp_path: Path) -> None:
    with opened(tmp_path) as journal:
        for number in range(6):
            journal.append(b"%d" % number)
        journal.commit(journal.read(2).end)
    with opened(tmp_path) as journal:
        journal.append(b"6")
        assert drain(journal) == [b"2", b"3", b"4", b"5", b"6"]
    with opened(tmp_path) as journal:
        assert drain(journal) == []
        assert len(files(tmp_path)) == 1


def test_a_torn_tail_of_the_last_process_costs_nothing_else(tmp_path: Path) -> None:
    with opened(tmp_path) as journal:
        journal.append(b"whole")
    with files(tmp_path)[0].open("ab") as file:
        file.write(frame(b"torn record")[:-3])
    with opened(tmp_path) as journal:
        journal.append(b"after")
        assert drain(journal) == [b"whole", b"after"]
        assert journal.torn == 1
        assert journal.pending_bytes == 0
        assert len(files(tmp_path)) == 1


def test_a_lost_cursor_means_reading_all_again(tmp_path: Path) -> None:
    with opened(tmp_path) as journal:
        for number in range(3):
            journal.append(b"%d" % number)
        journal.commit(journal.read(2).end)
    (tmp_path / "cursor.json").write_bytes(b"")
    with opened(tmp_path) as journal:
        assert drain(journal) == [b"0", b"1", b"2"]


def test_segments_rotate_by_size_and_are_deleted_when_committed(tmp_path: Path) -> None:
    with opened(tmp_path, JournalLimits(segment_bytes=200)) as journal:
        records = [b"%03d" % number * 20 for number in range(30)]
        for record in records:
            journal.append(record)
        assert len(files(tmp_path)) > 5
        assert drain(journal, 7) == records
        assert len(files(tmp_path)) == 1
        assert journal.pending_bytes == 0
        assert not journal.has_pending


def test_a_record_longer_than_one_read_comes_back(tmp_path: Path) -> None:
    with opened(tmp_path) as journal:
        journal.append(b"a" * 700_000)
        journal.append(b"b")
        assert [len(record) for record in drain(journal)] == [700_000, 1]


def test_two_processes_cannot_own_one_folder(tmp_path: Path) -> None:
    with opened(tmp_path), pytest.raises(JournalUnavailable, match="Another gateway process"):
        Journal(tmp_path).open()
    with opened(tmp_path) as journal:
        assert journal.accepting


async def test_nearly_full_means_not_ready_and_full_refuses_until_records_are_shipped(tmp_path: Path) -> None:
    with opened(tmp_path, JournalLimits(segment_bytes=500, max_bytes=2000)) as journal:
        while journal.accepting:
            journal.append(b"x" * 100)
        assert journal.state == "full"
        with pytest.raises(JournalUnavailable, match="full"):
            await journal.probe()
        journal.append(b"was admitted before")
        while journal.pending_bytes < 1900:
            journal.append(b"x" * 10)
        with pytest.raises(JournalUnavailable, match="full"):
            journal.append(b"x" * 100)
        assert sum(path.stat().st_size for path in files(tmp_path)) <= 2000
        batch = journal.read(10)
        journal.commit(batch.end)
        assert journal.accepting
        await journal.probe()
        journal.append(b"again")


async def test_a_full_disk_refuses_keeps_whole_records_and_recovers(tmp_path: Path) -> None:
    # A file-size limit of this process makes the kernel cut a write short, as a full disk does.
    with opened(tmp_path) as journal:
        journal.append(b"first")
        size = files(tmp_path)[0].stat().st_size
        previous = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
        soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
        resource.setrlimit(resource.RLIMIT_FSIZE, (size + 20, hard))
        try:
            with pytest.raises(JournalUnavailable, match="cannot be written"):
                journal.append(b"does not fit " * 10)
            assert journal.state == "failed"
            assert not journal.accepting
        finally:
            resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
            signal.signal(signal.SIGXFSZ, previous)
        await journal.probe()
        journal.append(b"second")
        assert drain(journal) == [b"first", b"second"]
        assert journal.torn == 0


async def test_a_waiting_reader_wakes_at_the_first_record_and_sleeps_when_all_is_read(tmp_path: Path) -> None:
    with opened(tmp_path) as journal:
        waiting = asyncio.create_task(journal.wait())
        await asyncio.sleep(0.01)
        assert not waiting.done()
        journal.append(b"one")
        await asyncio.wait_for(waiting, 1)
        assert drain(journal) == [b"one"]
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(journal.wait(), 0.01)


def test_a_file_that_is_no_segment_is_set_aside(tmp_path: Path) -> None:
    (tmp_path / "0000000000000007.journal").write_bytes(b"something else")
    with opened(tmp_path) as journal:
        journal.append(b"one")
        assert drain(journal) == [b"one"]
    assert (tmp_path / "0000000000000007.damaged").read_bytes() == b"something else"


def test_damage_in_the_segment_being_written_does_not_hide_later_records(tmp_path: Path) -> None:
    with opened(tmp_path) as journal:
        journal.append(b"one")
        journal.append(b"two")
        path = files(tmp_path)[0]
        descriptor = os.open(path, os.O_WRONLY)
        os.pwrite(descriptor, b"\xff", path.stat().st_size - 1)
        os.close(descriptor)
        assert drain(journal) == [b"one"]
        journal.append(b"three")
        assert drain(journal) == [b"three"]
        assert journal.torn == 1


@settings(max_examples=60, deadline=None)
@given(
    st.lists(
        st.one_of(
            st.tuples(st.just("append"), st.integers(1, 300)),
            st.tuples(st.just("ship"), st.integers(1, 5)),
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
            written.append(b"%06d" % len(written) + b"." * amount)
            journal.append(written[-1])
        elif step == "ship":
            batch = journal.read(amount)
            shipped += batch.payloads
            if amount % 2:
                journal.commit(batch.end)
            else:
                shipped = shipped[: len(shipped) - len(batch.payloads)]
        else:
            active = files(folder)[-1]
            journal.close()
            with active.open("ab") as file:
                file.write(frame(b"never acknowledged" * 3)[:amount])
            journal = Journal(folder, limits)
            journal.open()
    shipped += drain(journal)
    journal.close()
    assert shipped == written
