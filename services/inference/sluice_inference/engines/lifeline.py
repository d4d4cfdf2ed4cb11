"""Run a program that dies with its starter: `python -m sluice_inference.engines.lifeline -- program arguments`.

For engines that are not ours and do not watch their starter. When standard input closes, or on SIGTERM, the
program and all that it started in this process group are asked to end, and killed after ten seconds. The
status is the program's own.
"""

import os
import signal
import subprocess
import sys
import threading
from collections.abc import Sequence
from types import FrameType
from typing import NoReturn

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
        os.setpgid(0, 0)  # the group that is killed in the end must be ours alone
    try:
        child = subprocess.Popen(given[1:], stdin=subprocess.DEVNULL)
    except OSError as exc:
        print(f"{given[1]} cannot be started: {exc.strerror}.", file=sys.stderr, flush=True)  # noqa: T201
        os._exit(_EXIT_CANNOT_START)

    def end(_signal: int, _frame: FrameType | None) -> None:
        child.terminate()

    signal.signal(signal.SIGTERM, end)
    signal.signal(signal.SIGINT, end)
    threading.Thread(target=_end_with_standard_input, args=(child,), name="lifeline", daemon=True).start()
    os._exit(_status(child.wait()))


def _end_with_standard_input(child: subprocess.Popen[bytes]) -> None:
    while os.read(0, 4096):
        pass
    child.terminate()
    try:
        child.wait(_GRACE_S)
    except subprocess.TimeoutExpired:
        pass
    # Whatever is left of the group goes now, this process with it.
    os.killpg(0, signal.SIGKILL)


def _status(returncode: int) -> int:
    # A shell's way to say "ended by a signal".
    return returncode if returncode >= 0 else 128 - returncode


if __name__ == "__main__":
    main()
