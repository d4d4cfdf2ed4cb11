"""Ends the processes that tests and benchmarks start when their starter is gone, however it went.

A starter that is killed, by `timeout` for example, runs no `finally`: engines and servers that it started would go on for ever. The guardian
is a small process that is told of each of them and reads a pipe that only its starter holds; when the pipe closes it ends what is left.
"""

import atexit
import contextlib
import functools
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

_GRACE_S = 5.0
_LOOK_S = 0.05


class Guardian:
    """The process that watches; it lives a moment longer than the one that opened it."""

    def __init__(self) -> None:
        self._process = subprocess.Popen(
            [sys.executable, "-I", "-S", __file__],
            stdin=subprocess.PIPE,
            stdout=subprocess.DEVNULL,
            start_new_session=True,
        )

    def watch(self, pid: int) -> None:
        """End this process, with its group where it leads one, when the caller is gone; one that has ended by then is left alone."""
        assert self._process.stdin is not None
        began = _began(pid)
        if began:
            os.write(self._process.stdin.fileno(), f"{pid} {began}\n".encode())

    def close(self) -> None:
        """Let it end what still runs, and wait for it."""
        assert self._process.stdin is not None
        self._process.stdin.close()
        self._process.wait()


@functools.cache
def this_guardian() -> Guardian:
    """Return the guardian of this process, started when it is first asked for."""
    guardian = Guardian()
    atexit.register(guardian.close)
    return guardian


def _began(pid: int) -> str:
    # the start, in ticks since boot: a number that was given to another process since has another one (proc(5))
    with contextlib.suppress(OSError):
        state, *rest = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
        if state not in "ZX":
            return rest[18]
    return ""


def _end(told: dict[int, str], number: signal.Signals) -> bool:
    """Send a signal to those that still run; tells whether there are any."""
    left = [pid for pid, began in told.items() if _began(pid) == began]
    for pid in left:
        with contextlib.suppress(ProcessLookupError, PermissionError):
            if os.getpgid(pid) == pid:
                os.killpg(pid, number)
            else:
                os.kill(pid, number)
    return bool(left)


def main() -> None:
    """Read who is to be watched until nobody can say more, then end them."""
    told: dict[int, str] = {}
    for line in sys.stdin:
        pid, _, began = line.strip().partition(" ")
        told[int(pid)] = began
    until = time.monotonic() + _GRACE_S
    _end(told, signal.SIGTERM)
    while any(_began(pid) == began for pid, began in told.items()):
        if time.monotonic() > until:
            _end(told, signal.SIGKILL)
            break
        time.sleep(_LOOK_S)


if __name__ == "__main__":
    main()
