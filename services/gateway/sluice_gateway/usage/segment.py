"""One file of the usage journal: a line that says what it is, then records of JSON, each followed by a comma and a line feed.

The file has its full size from the beginning, so that a disk which is full refuses it before anything is promised, and is
written through shared memory: a record costs no system call, and is in the page cache all the same. What is not used
is zero bytes; a segment that is closed in order is cut to its length. JSON has no line feed inside a record, so that a
record which the death of a process has torn is recognised, and nothing behind it is hidden.
"""

import contextlib
import mmap
import os
from pathlib import Path

import orjson

MAGIC = b"SLJ2\n"
END = b",\n"
_ZERO = b"\x00"


class ActiveSegment:
    """The segment that is being written."""

    __slots__ = ("_file", "_map", "size", "used")

    def __init__(self, path: Path, size: int) -> None:
        """Make the file.

        Raises:
            OSError: the disk refuses; nothing is left behind.
        """
        self._file = os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
        try:
            os.posix_fallocate(self._file, 0, size)
            self._map = mmap.mmap(self._file, size)
        except OSError:
            os.close(self._file)
            with contextlib.suppress(OSError):
                path.unlink()
            raise
        self.size = size
        self.used = len(MAGIC)
        self._map[: self.used] = MAGIC

    def write(self, record: bytes) -> None:
        """Append a record that fits; it survives the end of this process when this returns."""
        start = self.used
        end = start + len(record) + 2
        self._map[start:end] = record + END
        self.used = end

    def read(self, start: int, end: int) -> bytes:
        """Return what stands between two places."""
        return self._map[start:end]

    def close(self) -> None:
        """Close the file and cut it to its length."""
        self._map.close()
        with contextlib.suppress(OSError):
            os.ftruncate(self._file, self.used)
        os.close(self._file)


def is_segment(path: Path) -> bool:
    """Tell whether a file is a segment of this format."""
    with path.open("rb") as file:
        return file.read(len(MAGIC)) == MAGIC


def used_of(path: Path) -> int:
    """Return how many bytes of a segment that was left behind are used, torn ones included."""
    data = path.read_bytes()
    return len(data.rstrip(_ZERO))


def whole_records(data: bytes) -> tuple[bytes, int]:
    """Return the whole records of what a process left behind, and how many torn ones were left out."""
    if data.endswith(END) and _is_json(data):
        return data, 0
    lines = data.split(b"\n")
    kept = [line + b"\n" for line in lines if line.endswith(b",") and _is_json(line)]
    return b"".join(kept), sum(1 for line in lines if line) - len(kept)


def _is_json(records: bytes) -> bool:
    try:
        orjson.loads(b"[" + records.rstrip(END) + b"]")
    except orjson.JSONDecodeError:
        return False
    return True
