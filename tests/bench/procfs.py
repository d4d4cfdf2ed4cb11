"""Reads what processes used from /proc: CPU seconds and resident memory, for a process and all that it started."""

import os
from pathlib import Path
from typing import NamedTuple

PROC = Path("/proc")
TICKS_PER_SECOND = os.sysconf("SC_CLK_TCK")
PAGE_SIZE = os.sysconf("SC_PAGE_SIZE")

# Fields of /proc/<pid>/stat, counted from the state that follows the command name (proc_pid_stat(5)).
_PARENT, _UTIME, _STIME, _CUTIME, _CSTIME, _RSS = 1, 11, 12, 13, 14, 21


class ProcessStat(NamedTuple):
    """One line of /proc/<pid>/stat; CPU time counts the process, its threads, and children it has waited for."""

    pid: int
    parent: int
    cpu_seconds: float
    rss_bytes: int


class TreeUse(NamedTuple):
    """What a process and its living descendants have used so far.

    `waited_seconds` is how long the process' first thread was ready to run while others had its core: on a machine
    that others use as well it tells how far a figure can be trusted.
    """

    cpu_seconds: float
    rss_bytes: int
    waited_seconds: float


def parse_stat(line: str, ticks_per_second: int = TICKS_PER_SECOND, page_size: int = PAGE_SIZE) -> ProcessStat:
    """Read one stat line; the command name may hold blanks and brackets, so fields count from its last bracket."""
    pid, _, rest = line.partition(" ")
    fields = rest[rest.rindex(")") + 1 :].split()
    ticks = sum(int(fields[index]) for index in (_UTIME, _STIME, _CUTIME, _CSTIME))
    return ProcessStat(
        pid=int(pid),
        parent=int(fields[_PARENT]),
        cpu_seconds=ticks / ticks_per_second,
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


def tree_use(root: int) -> TreeUse:
    """Sum CPU time and resident memory over a process and its descendants."""
    members = family(root, read_all_stats())
    return TreeUse(
        cpu_seconds=sum(member.cpu_seconds for member in members),
        rss_bytes=sum(member.rss_bytes for member in members),
        waited_seconds=waited_seconds(root),
    )


def waited_seconds(pid: int, proc: Path = PROC) -> float:
    """Read how long a process' first thread has waited for a core (0 where the kernel does not tell)."""
    try:
        line = (proc / str(pid) / "schedstat").read_text()
    except (FileNotFoundError, ProcessLookupError):
        return 0.0
    return int(line.split()[1]) / 1e9
