"""Reads what processes used from /proc: CPU seconds and resident memory, for a process and all that it started."""

import os
import time
from collections.abc import Mapping
from pathlib import Path
from typing import NamedTuple

PROC = Path("/proc")
TICKS_PER_SECOND = os.sysconf("SC_CLK_TCK")
PAGE_SIZE = os.sysconf("SC_PAGE_SIZE")

# Fields of /proc/<pid>/stat, counted from the state that follows the command name (proc_pid_stat(5)).
_PARENT, _UTIME, _STIME, _CUTIME, _CSTIME, _RSS = 1, 11, 12, 13, 14, 21

_CPU_CLOCK = 2  # in a clock's number: the scheduler's time of a whole process


class ProcessStat(NamedTuple):
    """One line of /proc/<pid>/stat, where time comes in ticks; `cpu_seconds` counts the process, its threads, and the
    children it has waited for, which are `children_seconds`."""

    pid: int
    parent: int
    cpu_seconds: float
    children_seconds: float
    rss_bytes: int


class TreeUse(NamedTuple):
    """What a process and its living descendants have used so far.

    `waits` tells for each thread how long it ran and how long it was ready to run while others had its core: on a
    machine that others use as well it tells how far a figure can be trusted.
    """

    cpu_seconds: float
    rss_bytes: int
    waits: Mapping[int, "ThreadTime"]

    def waited_since(self, before: "TreeUse") -> float:
        """Return how long the thread that has run most since `before` was kept waiting since then."""
        times = [spent.since(before.waits.get(thread, NOTHING)) for thread, spent in self.waits.items()]
        return max(times, default=NOTHING).waited_seconds


class ThreadTime(NamedTuple):
    """How long a thread ran, and how long it waited for a core."""

    ran_seconds: float
    waited_seconds: float

    def since(self, before: "ThreadTime") -> "ThreadTime":
        """Return the difference."""
        return ThreadTime(self.ran_seconds - before.ran_seconds, self.waited_seconds - before.waited_seconds)


NOTHING = ThreadTime(0.0, 0.0)


def parse_stat(line: str, ticks_per_second: int = TICKS_PER_SECOND, page_size: int = PAGE_SIZE) -> ProcessStat:
    """Read one stat line; the command name may hold blanks and brackets, so fields count from its last bracket."""
    pid, _, rest = line.partition(" ")
    fields = rest[rest.rindex(")") + 1 :].split()
    own, children = (sum(int(fields[index]) for index in pair) for pair in ((_UTIME, _STIME), (_CUTIME, _CSTIME)))
    return ProcessStat(
        pid=int(pid),
        parent=int(fields[_PARENT]),
        cpu_seconds=(own + children) / ticks_per_second,
        children_seconds=children / ticks_per_second,
        rss_bytes=int(fields[_RSS]) * page_size,
    )


def family(root: int, stats: list[ProcessStat]) -> list[ProcessStat]:
    """Return the process `root` and all its descendants among `stats`."""
    by_parent: dict[int, list[ProcessStat]] = {}
    for stat in stats:
        by_parent.setdefault(stat.parent, []).append(stat)
    found = [stat for stat in stats if stat.pid == root]
    for member in found:  # the list grows while it is walked: children follow their parents
        found.extend(by_parent.get(member.pid, []))
    return found


def read_all_stats(proc: Path = PROC) -> list[ProcessStat]:
    """Read the stat line of every process that is there now."""
    stats = []
    for entry in proc.iterdir():
        if not entry.name.isdigit():
            continue
        try:
            stats.append(parse_stat((entry / "stat").read_text()))
        except (FileNotFoundError, ProcessLookupError):
            continue  # it ended between the listing and the reading
    return stats


def cpu_clock(pid: int) -> float | None:
    """Return the CPU seconds of a process and all its threads, to the nanosecond; None when it has ended.

    The clock's number is made from the process id as clock_getcpuclockid(3) makes it on Linux. Ticks of /proc, ten
    milliseconds each, would be too coarse for a few dozen slow streams.
    """
    try:
        return time.clock_gettime(~pid << 3 | _CPU_CLOCK)
    except OSError:
        return None


def tree_use(root: int) -> TreeUse:
    """Sum CPU time and resident memory over a process and its descendants."""
    members = family(root, read_all_stats())
    waits: dict[int, ThreadTime] = {}
    cpu = 0.0
    for member in members:
        own = cpu_clock(member.pid)
        cpu += member.cpu_seconds if own is None else own + member.children_seconds
        waits |= thread_times(member.pid)
    return TreeUse(cpu, sum(member.rss_bytes for member in members), waits)


def thread_times(pid: int, proc: Path = PROC) -> dict[int, ThreadTime]:
    """Read the times of each thread of a process (none where the kernel does not tell)."""
    found = {}
    for thread in (proc / str(pid) / "task").glob("*"):
        try:
            ran, waited, _ = (thread / "schedstat").read_text().split()
        except (FileNotFoundError, ProcessLookupError):
            continue  # it ended between the listing and the reading
        found[int(thread.name)] = ThreadTime(int(ran) / 1e9, int(waited) / 1e9)
    return found


def anonymous_bytes(root: int, proc: Path = PROC) -> int:
    """Sum the resident memory of a process and its descendants that is no file's (RssAnon of proc_pid_status(5))."""
    return sum(_anonymous(member.pid, proc) for member in family(root, read_all_stats(proc)))


def _anonymous(pid: int, proc: Path) -> int:
    try:
        lines = (proc / str(pid) / "status").read_text().splitlines()
    except (FileNotFoundError, ProcessLookupError):
        return 0
    return next((int(line.split()[1]) * 1024 for line in lines if line.startswith("RssAnon:")), 0)
