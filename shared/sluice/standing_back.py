"""Lets a worker stand back where processes that somebody waits for share its processors.

A lower weight alone does not do it: on Linux a process that was woken waits until the one that runs has had its slice, of some
milliseconds, whatever the two weigh (measured: the 99th percentile of a gateway's answers). A process may ask for shorter slices.
"""

import ctypes
import logging
import os
import platform
import struct
from contextlib import suppress
from pathlib import Path

_log = logging.getLogger(__name__)
_SCHED_SETATTR = {"x86_64": 314, "aarch64": 274}  # sched_setattr(2); libraries of C have known it since 2025
_ATTRIBUTES = struct.Struct(
    "=IIQiIQQQII"
)  # size, policy, flags, nice, priority, runtime, deadline, period, two bounds of utilisation
_SLICE_NS = 100_000  # the shortest that Linux gives; asked for as the runtime of an ordinary process, since Linux 6.12


def stand_back(niceness: int) -> None:
    """Give this process `niceness` less of what processors are short of, and short slices; to be called before it has threads.

    What the system does not offer is left out.
    """
    os.nice(niceness)
    if niceness and os.getsid(0) == os.getpid():
        # Linux may share processors out by session first, and then a nice value counts only inside one: see sched(7), autogroup
        with suppress(OSError):
            Path("/proc/self/autogroup").write_text(str(niceness))
    if not _take_short_slices():
        _log.debug("this system gives no short slices")


def _take_short_slices() -> bool:
    number = _SCHED_SETATTR.get(platform.machine())
    if number is None or not hasattr(os, "sched_getscheduler") or os.sched_getscheduler(0) != os.SCHED_OTHER:
        return False
    nice = os.getpriority(os.PRIO_PROCESS, 0)
    asked = _ATTRIBUTES.pack(_ATTRIBUTES.size, os.SCHED_OTHER, 0, nice, 0, _SLICE_NS, 0, 0, 0, 0)
    return bool(ctypes.CDLL(None).syscall(number, 0, asked, 0) == 0)
