"""Huge pages for what a process has loaded: 2 MiB instead of 4 KiB a page, where Linux leaves that to the process.

An interpreter's objects lie all over the heap, and each page that is touched needs its address translated; on a virtual machine
twice. Measured on the gateway: 7 % of a request's processor time (docs/benchmarks.md).
"""

import ctypes
import sys
from collections.abc import Iterator
from pathlib import Path

_SETTING = Path("/sys/kernel/mm/transparent_hugepage/enabled")
_MAPS = Path("/proc/self/maps")
_SUMS = Path("/proc/self/smaps_rollup")
_HUGE = 2 << 20
_MADV_HUGEPAGE, _MADV_COLLAPSE = 14, 25  # madvise(2); the second is there since Linux 6.1


def use_huge_pages() -> int:
    """Move this process' own memory into huge pages, and return how many bytes lie in such now; 0 where the system does not want that.

    What is loaded later goes its usual way. It takes some milliseconds, in which nothing else runs.
    """
    if not _is_offered():
        return 0
    madvise = ctypes.CDLL(None).madvise
    madvise.argtypes = (ctypes.c_size_t, ctypes.c_size_t, ctypes.c_int)
    for first, last in list(_own_memory()):
        begin, end = -(-first // _HUGE) * _HUGE, last // _HUGE * _HUGE
        if begin < end and madvise(begin, end - begin, _MADV_HUGEPAGE) == 0:
            madvise(begin, end - begin, _MADV_COLLAPSE)  # where a part cannot be moved, the rest is
    return _in_huge_pages()


def _is_offered() -> bool:
    try:
        return sys.platform == "linux" and "[never]" not in _SETTING.read_text()
    except OSError:
        return False


def _own_memory() -> Iterator[tuple[int, int]]:
    # Private writable memory that is no file's: the heap, and what the interpreter takes beside it; not the stacks.
    for line in _MAPS.read_text().splitlines():
        span, access, _, _, inode, *name = line.split(maxsplit=5)
        if access == "rw-p" and inode == "0" and name in ([], ["[heap]"]):
            first, last = span.split("-")
            yield int(first, 16), int(last, 16)


def _in_huge_pages() -> int:
    lines = (line.split() for line in _SUMS.read_text().splitlines())
    return sum(int(words[1]) << 10 for words in lines if words[0] == "AnonHugePages:")
