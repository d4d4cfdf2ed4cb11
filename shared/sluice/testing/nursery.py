"""Starts services as processes of their own without importing everything again for each.

A nursery is a process that has imported a service and forks for each start. What begins in the fork is the service's
`__main__` with its own environment, log, folder and session, as `python -m` would run it, and it ends, or is killed, like
any process. Only the imports (1 to 2 s of CPU for each start), and the machine code of the embedding model (another second), are made once. Starts with `python -m` are tested where
users do them: by `sluice up` and by the container images.
"""

import atexit
import contextlib
import functools
import gc
import importlib
import json
import os
import runpy
import select
import signal
import socket
import subprocess
import sys
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

_MOST_BYTES = 1 << 17
_COMPILING = frozenset({"sluice_guardrail", "sluice_retrieval"})


@dataclass(frozen=True, slots=True)
class Start:
    """What is to be run: a package's `__main__`, its arguments, its whole environment and the folder it begins in."""

    package: str
    arguments: Sequence[str]
    environment: Mapping[str, str]
    folder: str


class Forked:
    """A process that a nursery forked; has the methods of `subprocess.Popen` that `ServiceProcess` uses."""

    def __init__(self, told: int) -> None:
        self._told = told
        self._rest = b""
        self.returncode: int | None = None
        first = self._line()
        if first is None:
            raise OSError("the nursery ended before it had started the process")
        self.pid = int(first)

    def poll(self) -> int | None:
        """Return the exit status (minus the signal that ended it), or None while it runs."""
        return self._ended(0)

    def wait(self, timeout: float | None = None) -> int:
        """Wait for its end.

        Raises:
            subprocess.TimeoutExpired: it still runs after `timeout` seconds.
        """
        status = self._ended(timeout)
        if status is None:
            raise subprocess.TimeoutExpired(str(self.pid), timeout or 0.0)
        return status

    def send_signal(self, number: int) -> None:
        """Send it a signal, unless it has ended."""
        if self.poll() is None:
            with contextlib.suppress(ProcessLookupError):
                os.kill(self.pid, number)

    def kill(self) -> None:
        """End it at once."""
        self.send_signal(signal.SIGKILL)

    def _ended(self, timeout: float | None) -> int | None:
        if self.returncode is None and select.select([self._told], [], [], timeout)[0]:
            last = self._line()
            if last is None:
                raise OSError("who watched over the process ended before it")
            self.returncode = int(last)
            os.close(self._told)
        return self.returncode

    def _line(self) -> str | None:
        while b"\n" not in self._rest:
            if not (read := os.read(self._told, 64)):
                return None
            self._rest += read
        line, _, self._rest = self._rest.partition(b"\n")
        return line.decode()


class Nursery:
    """The process that imports and forks; ends with the process that opened it."""

    def __init__(self) -> None:
        self._ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        with theirs:
            command = [sys.executable, "-c", f"from {__name__} import main; main({theirs.fileno()})"]
            self._process = subprocess.Popen(
                command,
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                pass_fds=[theirs.fileno()],
                start_new_session=True,
            )

    def start(self, wanted: Start, log: Path) -> Forked:
        """Start a process whose output is appended to `log`, and wait until it is there."""
        told, tell = os.pipe()
        try:
            with log.open("ab") as output:
                socket.send_fds(self._ours, [json.dumps(asdict(wanted)).encode()], [tell, output.fileno()])
        finally:
            os.close(tell)
        return Forked(told)

    def close(self) -> None:
        """End the nursery; what it forked goes on."""
        self._ours.close()
        self._process.wait()


@functools.cache
def this_nursery() -> Nursery:
    """Return the nursery of this process, opened when it is first asked for."""
    nursery = Nursery()
    atexit.register(nursery.close)
    return nursery


def _serve(asked: socket.socket) -> Start | None:
    """Fork for each request; returns in each fork with what it is to run, and None in the nursery when nobody asks anymore."""
    while True:
        raw, fds, _, _ = socket.recv_fds(asked, _MOST_BYTES, 2)
        _reap()
        if not raw:
            return None
        wanted = Start(**json.loads(raw))
        _load(wanted.package)
        if os.fork() == 0:
            asked.close()
            return _watched(wanted, *fds)
        for fd in fds:
            os.close(fd)


def _watched(wanted: Start, tell: int, output: int) -> Start:
    """Fork once more: the child runs, and who stays behind tells its process id and its end."""
    pid = os.fork()
    if pid == 0:
        os.close(tell)
        return _settled(wanted, output)
    os.close(output)
    os.write(tell, b"%d\n" % pid)
    _, status = os.waitpid(pid, 0)
    with contextlib.suppress(BrokenPipeError):
        os.write(tell, b"%d\n" % os.waitstatus_to_exitcode(status))
    os._exit(0)


def _settled(wanted: Start, output: int) -> Start:
    os.setsid()
    os.dup2(output, 1)
    os.dup2(output, 2)
    os.close(output)
    os.chdir(wanted.folder)
    os.environ.clear()  # noqa: TID251 - a new process gets the environment that its starter names
    os.environ.update(wanted.environment)  # noqa: TID251
    sys.argv[1:] = wanted.arguments
    return wanted


def _load(package: str) -> None:
    entry = f"{package}.__main__"
    if package not in sys.modules:
        importlib.import_module(entry)
        del sys.modules[entry]  # it is run anew in each fork
        if package in _COMPILING:
            _compile()
        gc.freeze()


def _compile() -> None:
    from sluice.machine_code import Processor, can_compile  # noqa: PLC0415 - most processes of tests do without the compiler
    from sluice.minilm.layers import compiled_layers  # noqa: PLC0415 - most processes of tests do without the compiler

    if can_compile(here := Processor.here()):
        compiled_layers(here.lanes())


def _reap() -> None:
    with contextlib.suppress(ChildProcessError):
        while os.waitpid(-1, os.WNOHANG)[0]:
            pass


def main(asked: int) -> None:
    """Be a nursery for who holds the other end of the socket `asked`; in a fork: run what it asked for."""
    wanted = _serve(socket.socket(fileno=asked))
    if wanted is not None:
        runpy.run_module(wanted.package, run_name="__main__", alter_sys=True)
