"""Serves from a fork, and forks again when that process is killed: what was loaded once needs not be loaded again.

The first process loads everything, holds the listening socket and waits; it opens no connection, runs no loop and has no threads. While
nobody serves, clients' connections wait in the socket's queue instead of being refused. Linux only: elsewhere nothing ends
the serving process with the one that waits.
"""

import ctypes
import gc
import logging
import os
import signal
import socket
import sys
import time
from collections.abc import Callable
from typing import NoReturn

_log = logging.getLogger(__name__)
_STOPS = frozenset({signal.SIGTERM, signal.SIGINT})
_WAITED_FOR = _STOPS | {signal.SIGCHLD}
_PR_SET_PDEATHSIG = 1  # prctl(2)
_CALM_S = 10.0
_FIRST_PAUSE_S = 0.1
_LONGEST_PAUSE_S = 5.0


def can_revive() -> bool:
    """Tell whether this system ends a serving process together with the one that waits for it."""
    return sys.platform == "linux"


def serve_revived(serve: Callable[[socket.socket], None], listener: socket.socket) -> NoReturn:
    """Run `serve` in a fork until it ends; one that a signal ended unasked is followed by another.

    SIGTERM and SIGINT go on to the serving process, and this one ends as that one does: with its status, or by its signal. A process
    that ends by itself (a wrong setting, a port in use) is not started again. One that is killed soon after its start is started
    again after a pause, from 0.1 s up to 5 s. When this process is killed, the serving one is killed by the kernel.
    """
    gc.collect()
    gc.freeze()  # the pages of what is loaded stay shared
    before = signal.pthread_sigmask(signal.SIG_BLOCK, _WAITED_FOR)
    pause = 0.0
    while True:
        began = time.monotonic()
        pid = _forked(serve, listener, before)
        status, stopped = _watch(pid, listener)
        if stopped or status >= 0:
            _end_as(status)
        calm = time.monotonic() - began > _CALM_S
        pause = 0.0 if calm else min(_LONGEST_PAUSE_S, max(_FIRST_PAUSE_S, 2 * pause))
        _log.error(
            "the serving process was killed; another one takes its place",
            extra={"signal": signal.Signals(-status).name, "after_s": pause},
        )
        told = signal.sigtimedwait(_STOPS, pause)
        if told is not None:
            _end_as(-told.si_signo)


def _forked(serve: Callable[[socket.socket], None], listener: socket.socket, mask: set[int | signal.Signals]) -> int:
    parent = os.getpid()
    pid = os.fork()
    if pid:
        return pid
    status = 1
    try:
        _die_with(parent)
        os.setpgid(0, 0)  # what a terminal sends to the group comes once: from the process that waits
        signal.pthread_sigmask(signal.SIG_SETMASK, mask)
        serve(listener)
        status = 0
    except SystemExit as exc:
        status = exc.code if isinstance(exc.code, int) else 1
    except KeyboardInterrupt:
        _end_as(-signal.SIGINT)
    except Exception:  # noqa: BLE001 - the top of a process: its end is told by the one that waits
        _log.exception("the serving process failed")
    finally:
        logging.shutdown()
        os._exit(status)


def _die_with(parent: int) -> None:
    if ctypes.CDLL(None, use_errno=True).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL) != 0:
        raise OSError(ctypes.get_errno(), "prctl(PR_SET_PDEATHSIG) failed")
    if os.getppid() != parent:  # it was killed before this process could say so
        os._exit(1)


def _watch(pid: int, listener: socket.socket) -> tuple[int, bool]:
    # How the process ended (its status, or minus the signal), and whether it had been told to.
    stopped = False
    while True:
        told = signal.sigwaitinfo(_WAITED_FOR).si_signo
        if told in _STOPS:
            stopped = True
            listener.close()  # the serving process has its own, and closes that when it takes no more
            os.kill(pid, told)
        found, status = os.waitpid(pid, os.WNOHANG)
        if found:
            return os.waitstatus_to_exitcode(status), stopped


def _end_as(status: int) -> NoReturn:
    if status < 0:
        signal.signal(-status, signal.SIG_DFL)
        signal.pthread_sigmask(signal.SIG_UNBLOCK, {-status})
        os.kill(os.getpid(), -status)
        status = 128 - status  # the first process of a container is not ended by its own signals
    sys.exit(status)
