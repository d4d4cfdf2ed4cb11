"""A journal, of usage or of what else must not be lost: append-only segment files on local disk, from which a shipper reads.

A record is in the page cache when `append` returns, so it survives the death of this process by any means; it
does not survive the machine losing power before the kernel has written it out.
"""

import asyncio
import fcntl
import logging
import os
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, NamedTuple

import orjson

from sluice_gateway.domain.errors import JournalUnavailable
from sluice_gateway.usage.segment import END, MAGIC, ActiveSegment, is_segment, used_of, whole_records

_log = logging.getLogger(__name__)

JournalState = Literal["ok", "full", "failed"]

READ_BYTES = 128 * 1024
_SUFFIX = ".journal"
_CURSOR_BYTES = 64
_FULL_AT = 0.9


class Position(NamedTuple):
    """A place in the journal: the segment's number and the byte in it; positions compare in writing order."""

    segment: int
    offset: int


class Batch(NamedTuple):
    """Records in writing order as the inside of a JSON array, how many they are, and the position that follows them."""

    records: bytes
    length: int
    end: Position


@dataclass(frozen=True, slots=True)
class JournalLimits:
    """Sizes in bytes: when a new segment begins, and how much may wait before the journal counts as full."""

    segment_bytes: int = 8 * 1024 * 1024
    max_bytes: int = 1024 * 1024 * 1024


class Journal:
    """Appends records of JSON and hands them out in order until they are committed.

    One process owns the folder (a lock file says so). Every start begins a new segment, so nothing is ever written
    behind a torn record. Segments are deleted when all their records are committed.

    Degraded modes, told by `state`; in both `accepting` is False and the service is not ready:
        full: 90 % of `max_bytes` wait to be shipped. What was admitted is still recorded until all of it is used.
        failed: the disk refuses a new segment. Each `append` tries again.
    """

    def __init__(self, directory: Path, limits: JournalLimits | None = None, name: str = "usage") -> None:
        self._directory = directory
        self._name = name
        self._limits = limits or JournalLimits()
        self._lock = self._cursor_file = -1
        self._active: ActiveSegment | None = None
        self._number = 0
        self._room = 0  # up to where the active segment may be written without a further thought
        self._left: dict[int, int] = {}  # how much of each older segment is used
        self._recalled: set[int] = set()  # those that another process has written
        self._cursor = Position(0, 0)
        self._failed = False
        self._arrived = asyncio.Event()
        self._quiet = True
        self.appended = 0
        self.torn = 0
        self.accepting = False

    def open(self) -> None:
        """Take the folder, find what the last process left, and begin a new segment.

        Raises:
            JournalUnavailable: another process owns the folder, or the disk refuses.
        """
        try:
            self._directory.mkdir(parents=True, exist_ok=True, mode=0o700)
            self._lock = os.open(self._directory / "lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
            fcntl.flock(self._lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            cursor = self._directory / "cursor.json"
            self._cursor_file = os.open(cursor, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
            self._recall()
            self._begin_segment()
        except BlockingIOError as exc:
            self.close()
            raise JournalUnavailable(
                f"Another gateway process writes the {self._name} journal in {self._directory}. Give each gateway process a "
                "SLUICE_DATA_DIR of its own, or stop the other one."
            ) from exc
        except OSError as exc:
            self.close()
            raise JournalUnavailable(
                f"The {self._name} journal in {self._directory} cannot be written ({exc.strerror}). Check the folder's owner and free space."
            ) from exc
        self._judge()
        if self.has_pending:
            self._quiet = False
            self._arrived.set()

    def close(self) -> None:
        """Close the files; records that are not committed stay for the next start."""
        self.accepting = False
        self._room = 0
        if self._active is not None:
            self._active.close()
            self._active = None
        for descriptor in (self._lock, self._cursor_file):
            if descriptor >= 0:
                os.close(descriptor)
        self._lock = self._cursor_file = -1

    @property
    def state(self) -> JournalState:
        """What the journal can do now; see the class."""
        if self._failed:
            return "failed"
        return "full" if self.pending_bytes >= self._limits.max_bytes * _FULL_AT else "ok"

    @property
    def pending_bytes(self) -> int:
        """Bytes of records that are not committed."""
        return sum(max(0, used - self._committed_in(number)) for number, used in self._used().items())

    @property
    def segments(self) -> int:
        """How many segment files there are."""
        return len(self._used())

    @property
    def recalling(self) -> bool:
        """Whether records of earlier processes wait to be shipped."""
        return bool(self._recalled)

    @property
    def has_pending(self) -> bool:
        """Whether records wait to be shipped."""
        return self.pending_bytes > 0

    def append(self, record: bytes) -> None:
        """Write one record, a JSON value without line feeds; when it returns, the record survives the end of this process.

        Raises:
            JournalUnavailable: the record is not written, because the disk refuses or the journal holds `max_bytes`.
        """
        active = self._active
        if active is None or active.used + len(record) + 2 > self._room:
            active = self._make_room(len(record) + 2)
        active.write(record)
        self.appended += 1
        if self._quiet:
            self._quiet = False
            self._arrived.set()

    def recover(self) -> None:
        """Begin a new segment if the disk refused the last one; nothing changes while it still refuses."""
        if not self._failed:
            return
        try:
            self._begin_segment()
        except OSError:
            return
        self._judge()

    async def wait(self) -> None:
        """Wait until there is a record to ship."""
        await self._arrived.wait()

    def read(self, limit: int = READ_BYTES) -> Batch:
        """Return the records that follow the cursor, about `limit` bytes of them; a length of 0 means that all is shipped."""
        while True:
            number, offset = self._at()
            used = self._used()
            if number in used and offset < used[number]:
                batch = self._read_segment(number, offset, used[number], limit)
                if batch.length:
                    return batch
                self._cursor = batch.end
                continue
            later = [other for other in used if other > number]
            if not later:
                self._quiet = True
                self._arrived.clear()
                return Batch(b"", 0, Position(number, offset))
            self._cursor = Position(min(later), len(MAGIC))
            self._forget_shipped()

    def commit(self, end: Position) -> None:
        """Note durably that everything before `end` is shipped, and delete segments that are done with."""
        if end < self._cursor:
            return
        self._cursor = end
        try:
            self._write_cursor(end)
        except OSError:
            # A full disk is freed by deleting what is shipped, so that goes on; the next start may ship some again.
            _log.warning("the %s journal's cursor cannot be written", self._name, exc_info=True)
        self._forget_shipped()
        self._judge()

    async def probe(self) -> None:
        """Raise when usage cannot be recorded now."""
        self.recover()
        self._judge()
        state = self.state
        if state == "full":
            raise JournalUnavailable(
                f"The usage journal is full ({self.pending_bytes} bytes wait): Redis does not take usage. "
                "Bring Redis back or raise SLUICE_GATEWAY_JOURNAL_MAX_BYTES."
            )
        if state == "failed":
            raise JournalUnavailable(f"The usage journal in {self._directory} cannot be written; check the disk.")

    def _used(self) -> dict[int, int]:
        if self._active is None:
            return self._left
        return {**self._left, self._number: self._active.used}

    def _committed_in(self, number: int) -> int:
        return self._cursor.offset if number == self._cursor.segment else len(MAGIC)

    def _at(self) -> Position:
        used = self._used()
        if self._cursor.segment in used or not used:
            return self._cursor
        return Position(min(used), len(MAGIC))

    def _read_segment(self, number: int, offset: int, used: int, limit: int) -> Batch:
        data = self._slice(number, offset, min(used, offset + limit))
        cut = data.rfind(END) + len(END)
        if cut < len(END):  # one record is longer than the limit, or the segment ends in a torn one
            data = self._slice(number, offset, used)
            cut = data.find(END) + len(END) if END in data else len(data)
        elif offset + len(data) == used:
            cut = len(data)
        data = data[:cut]
        end = Position(number, offset + cut)
        if number in self._recalled:
            data, torn = whole_records(data)
            if torn:
                self.torn += torn
                _log.warning("journal segment %d: %d torn records left out", number, torn)
        return Batch(data[: -len(END)], data.count(b"\n"), end)

    def _slice(self, number: int, start: int, end: int) -> bytes:
        if number == self._number and self._active is not None:
            return self._active.read(start, end)
        with self._path(number).open("rb") as file:
            file.seek(start)
            return file.read(end - start)

    def _make_room(self, size: int) -> ActiveSegment:
        # The slow part of appending: a new segment, or the reason why there is none.
        pending = self.pending_bytes
        if pending + size > self._limits.max_bytes:
            self._judge()
            raise JournalUnavailable(
                f"The {self._name} journal is full, so that nothing can be promised that would have to stand in it."
            )
        if self._failed or self._active is None or self._active.used + size > self._active.size:
            try:
                self._begin_segment(size)
            except OSError as exc:
                raise self._fail(exc.strerror or "error") from exc
        active = self._active
        assert active is not None
        self._judge(pending + size)
        # Up to the end of the segment, or as far as the journal may be filled before it is judged again.
        full = int(self._limits.max_bytes * _FULL_AT)
        free = (full if pending < full else self._limits.max_bytes) - pending
        self._room = min(active.size, active.used + max(size, free))
        return active

    def _fail(self, reason: str) -> JournalUnavailable:
        if not self._failed:
            _log.error("the %s journal cannot be written (%s); nothing is promised until it can", self._name, reason)
        self._failed = True
        self.accepting = False
        self._room = 0
        return JournalUnavailable(f"The {self._name} journal cannot be written ({reason}).")

    def _judge(self, pending: int | None = None) -> None:
        waiting = self.pending_bytes if pending is None else pending
        accepting = not self._failed and waiting < self._limits.max_bytes * _FULL_AT
        if self.accepting and not accepting:
            _log.error("the %s journal is nearly full: %d bytes wait", self._name, waiting)
        self.accepting = accepting

    def _begin_segment(self, size: int = 0) -> None:
        number = max([self._number, self._cursor.segment, *self._left]) + 1
        new = ActiveSegment(self._path(number), max(self._limits.segment_bytes, len(MAGIC) + size))
        if self._active is not None:
            self._left[self._number] = self._active.used
            self._active.close()
        self._active, self._number = new, number
        self._failed = False
        self._room = 0

    def _recall(self) -> None:
        # Empty segments of earlier starts go, damaged ones are set aside; the cursor is where the last process had shipped to. A
        # cursor that cannot be read means shipping all again, which is safe: consumers know each event by its id.
        for path in sorted(self._directory.glob(f"*{_SUFFIX}")):
            if not (path.stem.isdigit() and is_segment(path)):
                if path.stat().st_size == 0 or not any(path.read_bytes()):
                    path.unlink()  # a process died while it made it
                    continue
                _log.error("%s is not a journal segment; set aside", path.name)
                path.rename(path.with_suffix(".damaged"))
                continue
            used = used_of(path)
            if used <= len(MAGIC):
                path.unlink()
            else:
                self._left[int(path.stem)] = used
        self._recalled = set(self._left)
        try:
            stored = orjson.loads(os.pread(self._cursor_file, _CURSOR_BYTES, 0))
            self._cursor = Position(int(stored["segment"]), int(stored["offset"]))
        except (OSError, ValueError, KeyError, TypeError):
            self._cursor = Position(0, 0)
        self._forget_shipped()

    def _write_cursor(self, position: Position) -> None:
        # One write of a fixed size over the old cursor: a rename over a file makes some file systems wait for the disk,
        # and a cursor that cannot be read after a power loss only means that usage is shipped again.
        stored = orjson.dumps({"segment": position.segment, "offset": position.offset}).ljust(_CURSOR_BYTES)
        os.pwrite(self._cursor_file, stored, 0)

    def _forget_shipped(self) -> None:
        for number in list(self._left):
            shipped = number < self._cursor.segment or (
                number == self._cursor.segment and self._cursor.offset >= self._left[number]
            )
            if shipped:
                del self._left[number]
                self._recalled.discard(number)
                self._path(number).unlink(missing_ok=True)

    def _path(self, number: int) -> Path:
        return self._directory / f"{number:016d}{_SUFFIX}"
