"""Run a program that dies with its starter: `python -m sluice_inference.engines.lifeline -- program arguments`.

For engines that are not ours and do not watch their starter. When standard input closes, or on SIGTERM, the
program is asked to end and killed after ten seconds. When it has ended, however that came about, whatever it
left in this process group is killed. The status is the program's own.
"""

import contextlib
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Sequence
from types import FrameType
from typing import NoReturn

import psutil

_GRACE_S = 10.0
_EXIT_USAGE = 2
_EXIT_CANNOT_START = 127


def main(arguments: Sequence[str] | None = None) -> NoReturn:
    """Start the program and wait for its end or ours."""
    given = list(sys.argv[1:] if arguments is None else arguments)
    if len(given) < 2 or given[0] != "--":
        print("usage: python -m sluice_inference.engines.lifeline -- program [argument ...]", file=sys.stderr)  # noqa: T201
        os._exit(_EXIT_USAGE)
    if os.getpgrp() != os.getpid():
        os.setpgid(0, 0)  # the group that is cleared in the end must be ours alone
    try:
        child = subprocess.Popen(given[1:], stdin=subprocess.DEVNULL)
    except OSError as exc:
        print(f"{given[1]} cannot be started: {exc.strerror}.", file=sys.stderr, flush=True)  # noqa: T201
        os._exit(_EXIT_CANNOT_START)
    asked = threading.Event()

    def ask(_signal: int, _frame: FrameType | None) -> None:
        asked.set()

    signal.signal(signal.SIGTERM, ask)
    signal.signal(signal.SIGINT, ask)
    for work in (lambda: _ask_when_let_go(asked), lambda: _end_when_asked(asked, child)):
        threading.Thread(target=work, daemon=True).start()
    status = child.wait()
    _clear_group()
    # A shell's way to say "ended by a signal".
    os._exit(status if status >= 0 else 128 - status)


def _ask_when_let_go(asked: threading.Event) -> None:
    while os.read(0, 4096):
        pass
    asked.set()


def _end_when_asked(asked: threading.Event, child: subprocess.Popen[bytes]) -> None:
    asked.wait()
    child.terminate()
    try:
        child.wait(_GRACE_S)
    except subprocess.TimeoutExpired:
        child.kill()


def _clear_group() -> None:
    ours = os.getpgrp()
    for pid in psutil.pids():
        with contextlib.suppress(ProcessLookupError, PermissionError):
            if pid != os.getpid() and os.getpgid(pid) == ours:
                os.kill(pid, signal.SIGKILL)


if __name__ == "__main__":
    main()
