"""The usage journal: append-only segment files on local disk, from which the shipper reads.

A record is in the page cache when `append` returns, so it survives the death of this process by any means; it
does not survive the machine losing power before the kernel has written it out.
"""

import asyncio
import contextlib
import fcntl
import logging
import os
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, NamedTuple

import orjson

from sluice_gateway.domain.errors import JournalUnavailable
from sluice_gateway.usage.framing import HEADER_SIZE, MAGIC, MAX_PAYLOAD, decode, frame

_log = logging.getLogger(__name__)

JournalState = Literal["ok", "full", "failed"]

_READ_BYTES = 256 * 1024
_SUFFIX = ".journal"
_CURSOR_BYTES = 64
_FULL_AT = 0.9


class Position(NamedTuple):
    """A place in the journal: the segment's number and the byte in it; positions compare in writing order."""

    segment: int
    offset: int


class Batch(NamedTuple):
    """Records in writing order, and the position that follows them."""

    payloads: list[bytes]
    end: Position


@dataclass(frozen=True, slots=True)
class JournalLimits:
    """Sizes in bytes: when a new segment begins, and how much may wait before the journal counts as full."""

    segment_bytes: int = 8 * 1024 * 1024
    max_bytes: int = 1024 * 1024 * 1024


class Journal:
    """Appends records and hands them out in order until they are committed.

    One process owns the folder (a lock file says so). Every start begins a new segment, so nothing is ever written
    behind a torn record. Segments are deleted when all their records are committed.

    Degraded modes, told by `state`; in both `accepting` is False and the service is not ready:
        full: 90 % of `max_bytes` wait to be shipped. What was admitted is still recorded until all of it is used.
        failed: the disk refuses to write. Each `append` tries again in a new segment.
    """

    def __init__(self, directory: Path, limits: JournalLimits | None = None) -> None:
        self._directory = directory
        self._limits = limits or JournalLimits()
        self._cursor_path = directory / "cursor.json"
        self._lock = -1
        self._file = -1
        self._active = 0
        self._written = 0
        self._sizes: dict[int, int] = {}
        self._total = 0
        self._cursor = Position(0, 0)
        self._failed = False
        self._arrived = asyncio.Event()
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
            self._recall()
            self._begin_segment()
        except BlockingIOError as exc:
            self._release()
            raise JournalUnavailable(
                f"Another gateway process writes the usage journal in {self._directory}. Give each gateway process a "
                "SLUICE_DATA_DIR of its own, or stop the other one."
            ) from exc
        except OSError as exc:
            self._release()
            raise JournalUnavailable(
                f"The usage journal in {self._directory} cannot be written ({exc.strerror}). Check the folder's owner and free space."
            ) from exc
        self._judge()
        if self.has_pending:
            self._arrived.set()

    def close(self) -> None:
        """Close the files; records that are not committed stay for the next start."""
        self._release()

    @property
    def state(self) -> JournalState:
        """What the journal can do now; see the class."""
        if self._failed:
            return "failed"
        return "full" if self.pending_bytes >= self._limits.max_bytes * _FULL_AT else "ok"

    @property
    def pending_bytes(self) -> int:
        """Bytes of records on disk that are not committed."""
        committed = self._cursor.offset - len(MAGIC) if self._cursor.segment in self._sizes else 0
        return self._total - len(MAGIC) * len(self._sizes) - committed

    @property
    def segments(self) -> int:
        """How many segment files there are."""
        return len(self._sizes)

    @property
    def has_pending(self) -> bool:
        """Whether records wait to be shipped."""
        return any(
            (number > self._cursor.segment and size > len(MAGIC))
            or (number == self._cursor.segment and size > self._cursor.offset)
            for number, size in self._sizes.items()
        )

    def append(self, payload: bytes) -> None:
        """Write one record; when it returns, the record survives the end of this process.

        Raises:
            JournalUnavailable: the record is not written, because the disk refuses or the journal holds `max_bytes`.
        """
        data = frame(payload)
        if self._total + len(data) > self._limits.max_bytes and self.pending_bytes + len(data) > self._limits.max_bytes:
            self._judge()
            raise JournalUnavailable(
                "The usage journal is full, so nothing can be answered that would have to be billed."
            )
        if self._failed:
            self.recover()
        if self._failed or self._file < 0:
            raise JournalUnavailable(
                "The usage journal cannot be written, so nothing can be answered that would have to be billed."
            )
        self._write(data)
        self.appended += 1
        if not self._arrived.is_set():
            self._arrived.set()

    def recover(self) -> None:
        """Begin a new segment if the disk refused the last write; nothing changes while it still refuses."""
        if not self._failed:
            return
        try:
            self._begin_segment()
        except OSError:
            return
        self._failed = False
        self._judge()

    async def wait(self) -> None:
        """Wait until there is a record to ship."""
        await self._arrived.wait()

    def read(self, limit: int) -> Batch:
        """Return at most `limit` records that follow the cursor; none means that all is shipped."""
        while True:
            number, offset = self._at()
            batch, done = self._read_segment(number, offset, limit)
            if batch.payloads or not done:
                return batch
            later = [other for other in self._sizes if other > number]
            if not later:
                self._arrived.clear()
                return batch
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
            _log.warning("the usage journal's cursor cannot be written", exc_info=True)
        self._forget_shipped()
        self._judge()

    def _write_cursor(self, position: Position) -> None:
        # One write of a fixed size over the old cursor: a rename over a file makes some file systems wait for the disk,
        # and a cursor that cannot be read after a power loss only means that usage is shipped again.
        stored = orjson.dumps({"segment": position.segment, "offset": position.offset}).ljust(_CURSOR_BYTES)
        file = os.open(self._cursor_path, os.O_WRONLY | os.O_CREAT, 0o600)
        try:
            os.pwrite(file, stored, 0)
        finally:
            os.close(file)

    async def probe(self) -> None:
        """Raise when usage cannot be recorded now."""
        self.recover()
        state = self.state
        if state == "full":
            raise JournalUnavailable(
                f"The usage journal is full ({self.pending_bytes} bytes wait): Redis does not take usage. "
                "Bring Redis back or raise SLUICE_GATEWAY_JOURNAL_MAX_BYTES."
            )
        if state == "failed":
            raise JournalUnavailable(f"The usage journal in {self._directory} cannot be written; check the disk.")

    def _at(self) -> Position:
        if self._cursor.segment in self._sizes:
            return self._cursor
        return Position(min(self._sizes), len(MAGIC))

    def _read_segment(self, number: int, offset: int, limit: int) -> tuple[Batch, bool]:
        # True says that the segment holds nothing more, now or ever, unless it is the active one.
        size = self._sizes[number]
        with self._path(number).open("rb") as file:
            file.seek(offset)
            data = file.read(min(size - offset, _READ_BYTES))
            found = decode(data, limit=limit)
            if not found.payloads and not found.corrupt and offset + len(data) < size:
                data += file.read(min(size - offset - len(data), HEADER_SIZE + MAX_PAYLOAD))
                found = decode(data, limit=1)
        end = Position(number, offset + found.consumed)
        if not found.payloads and end.offset < size:
            self.torn += 1
            _log.warning(
                "journal segment %d ends in a torn record at byte %d; skipped %d bytes", *end, size - end.offset
            )
            if number == self._active:
                self._begin_segment()
            self._total -= size - end.offset
            self._sizes[number] = end.offset
        return Batch(found.payloads, end), not found.payloads

    def _write(self, data: bytes) -> None:
        try:
            done = os.write(self._file, data)
        except OSError as exc:
            raise self._fail(exc.strerror or "error", torn=False) from exc
        if done != len(data):
            raise self._fail("the disk is full", torn=True)
        self._written += done
        self._total += done
        self._sizes[self._active] = self._written
        if self._written >= self._limits.segment_bytes:
            try:
                self._begin_segment()
            except OSError as exc:
                self._fail(exc.strerror or "error", torn=False)
        if self._total > self._limits.max_bytes * _FULL_AT:
            self._judge()

    def _fail(self, reason: str, *, torn: bool) -> JournalUnavailable:
        # A record that was written in part is cut off again, so that the segment stays readable to its end. Should
        # that fail too, the reader meets a torn record at the segment's end; the next write goes to a new one.
        if torn:
            with contextlib.suppress(OSError):
                os.ftruncate(self._file, self._written)
        if not self._failed:
            _log.error("the usage journal cannot be written (%s); requests are refused until it can", reason)
        self._failed = True
        self.accepting = False
        return JournalUnavailable(f"The usage journal cannot be written ({reason}).")

    def _judge(self) -> None:
        accepting = self.state == "ok"
        if self.accepting and not accepting:
            _log.error("the usage journal is nearly full: %d bytes wait for Redis", self.pending_bytes)
        self.accepting = accepting

    def _begin_segment(self) -> None:
        number = max([self._active, self._cursor.segment, *self._sizes]) + 1
        new = os.open(self._path(number), os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_APPEND | os.O_CLOEXEC, 0o600)
        try:
            os.write(new, MAGIC)
        except OSError:
            os.close(new)
            self._path(number).unlink()
            raise
        if self._file >= 0:
            os.close(self._file)
        self._file, self._active, self._written = new, number, len(MAGIC)
        self._sizes[number] = self._written
        self._total += self._written

    def _recall(self) -> None:
        # Empty segments of earlier starts go, damaged ones are set aside; the cursor is where the last process had shipped to. A cursor that cannot be
        # read means shipping all again, which is safe: consumers know each event by its id.
        for path in sorted(self._directory.glob(f"*{_SUFFIX}")):
            size = path.stat().st_size
            if size <= len(MAGIC):
                path.unlink()
            elif path.stem.isdigit() and _is_segment(path):
                self._sizes[int(path.stem)] = size
            else:
                _log.error("%s is not a journal segment; set aside", path.name)
                path.rename(path.with_suffix(".damaged"))
        self._total = sum(self._sizes.values())
        try:
            stored = orjson.loads(self._cursor_path.read_bytes())
            self._cursor = Position(int(stored["segment"]), int(stored["offset"]))
        except (OSError, ValueError, KeyError, TypeError):
            self._cursor = Position(0, 0)
        self._forget_shipped()

    def _forget_shipped(self) -> None:
        for number in [number for number in self._sizes if number != self._active]:
            shipped = number < self._cursor.segment or (
                number == self._cursor.segment and self._cursor.offset >= self._sizes[number]
            )
            if shipped:
                self._total -= self._sizes.pop(number)
                self._path(number).unlink(missing_ok=True)

    def _path(self, number: int) -> Path:
        return self._directory / f"{number:016d}{_SUFFIX}"

    def _release(self) -> None:
        self.accepting = False
        for descriptor in (self._file, self._lock):
            if descriptor >= 0:
                os.close(descriptor)
        self._file = self._lock = -1


def _is_segment(path: Path) -> bool:
    with path.open("rb") as file:
        return file.read(len(MAGIC)) == MAGIC
