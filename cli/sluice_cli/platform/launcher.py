"""Starts the parts, waits until they are ready, and stops them again."""

import fcntl
import os
import signal
import subprocess
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from types import FrameType

import psutil

from sluice_cli.platform import records
from sluice_cli.platform.errors import CommandFailed
from sluice_cli.platform.health import SILENT, ask, listening
from sluice_cli.platform.home import Home
from sluice_cli.platform.parts import Part

_LOG_TAIL = 15
_POLL_S = 0.15
_TELL_S = 10.0
_STOP_S = 30.0
_BEFORE_THE_REST, _AFTER_THE_REST = ("gateway",), ("valkey",)

Say = Callable[[str], None]


@dataclass(slots=True)
class Launcher:
    """Starts and stops parts of one home; `say` gets one line per step."""

    home: Home
    say: Say
    timeout_s: float
    ready: set[str] = field(default_factory=set)

    @contextmanager
    def all_or_nothing(self) -> Iterator[None]:
        """Stop again what was started inside, if what is done there fails or is interrupted."""
        before = self._running()
        try:
            yield
        except BaseException:
            # Those that ended by themselves, too: their records go with the rest.
            begun = [name for name in records.read(self.home.run) if name not in before]
            if begun:
                self._tell("Stopping what was started …")
                self.stop(begun)
            raise

    def start(self, wanted: Sequence[Part], values: Mapping[str, str]) -> None:
        """Start what does not run yet, stage by stage, and wait until all of it is ready.

        Raises:
            CommandFailed: a part ended or was not ready in time; with the end of its log and what to do.
        """
        running = self._running()
        self._refuse_other_ports(wanted, running)
        fresh = [part for part in wanted if part.name not in running]
        self._refuse_taken_ports(fresh)
        if fresh:
            self.say(f"Starting {len(fresh)} parts; their logs are in {self.home.logs}/")
        else:
            self.say(f"All {len(wanted)} parts run already; asking each whether it is ready.")
        for stage in sorted({part.stage for part in wanted}):
            for part in fresh:
                if part.stage == stage:
                    self._spawn(part, values)
            self._wait([part for part in wanted if part.stage <= stage], len(wanted))

    def stop_others(self, wanted: Sequence[Part], values: Mapping[str, str]) -> None:
        """Stop parts that are not wanted any more, and those that were started with other values of these variables."""
        names = {part.name for part in wanted}
        others = [
            name
            for name, record in self._running().items()
            if name not in names or (name != "valkey" and _differs(record.process(), values))
        ]
        if others:
            self.say(f"Stopping {', '.join(others)}: other services are wanted now.")
            self.stop(others)

    def stop(self, names: Iterable[str]) -> list[str]:
        """Stop parts and return those that did run: the gateway first, Valkey last, the others together.

        Each is asked to end, and killed if it has not within 30 s.
        """
        found = {name: record for name, record in records.read(self.home.run).items() if name in set(names)}
        rest = [name for name in found if name not in (*_BEFORE_THE_REST, *_AFTER_THE_REST)]
        stopped: list[str] = []
        for wave in (_BEFORE_THE_REST, rest, _AFTER_THE_REST):
            members = {name: found[name] for name in wave if name in found}
            alive = {name: process for name, record in members.items() if (process := record.process()) is not None}
            self._end(alive)
            stopped.extend(alive)
            for name in members:
                records.remove(self.home.run, name)
        return stopped

    def _running(self) -> dict[str, records.Record]:
        return {name: record for name, record in records.read(self.home.run).items() if record.process()}

    def _spawn(self, part: Part, values: Mapping[str, str]) -> None:
        if part.name == "valkey":
            (self.home.data / "valkey").mkdir(parents=True, exist_ok=True)
        everything = {**_inherited(), **values, **part.environment}
        log = self.home.logs / f"{part.name}.log"
        if log.exists():
            log.replace(log.with_suffix(".log.1"))
        with log.open("wb") as output, _uninterrupted():
            process = subprocess.Popen(
                part.command,
                env={name: value for name, value in everything.items() if name not in part.withheld},
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
            records.write(self.home.run, part.name, process.pid, part.port, part.address)

    def _wait(self, wanted: Sequence[Part], count: int) -> None:
        began = told = time.monotonic()
        waiting = [part for part in wanted if part.name not in self.ready]
        detail: dict[str, str] = {}
        while waiting:
            for part in list(waiting):
                answer = ask(part)
                if answer.ready:
                    waiting.remove(part)
                    self.ready.add(part.name)
                    self.say(
                        f"  [{len(self.ready)}/{count}] {part.name} is ready at {part.address} "
                        f"({time.monotonic() - began:.1f} s)"
                    )
                    continue
                detail[part.name] = answer.detail
                self._refuse_dead(part)
            now = time.monotonic()
            if waiting and now - began > self.timeout_s:
                part = waiting[0]
                raise CommandFailed(
                    f"{part.name} was not ready after {self.timeout_s:.0f} s ({detail[part.name]}).\n{self._log_end(part)}\n"
                    "Look at the log above; a slow machine can be given more time with SLUICE_START_TIMEOUT_S."
                )
            if waiting and now - told > _TELL_S:
                told = now
                self.say(f"  waiting for {'; '.join(_wanting(part.name, detail[part.name]) for part in waiting)}")
            time.sleep(_POLL_S)

    def _refuse_dead(self, part: Part) -> None:
        record = records.read(self.home.run).get(part.name)
        if record is None or record.process() is None:
            log = self._log_end(part)
            broken = "\nThe installation is not whole: run `make reinstall`." if "ModuleNotFoundError" in log else ""
            raise CommandFailed(f"{part.name} ended while it was starting.\n{log}{broken}")

    def _refuse_other_ports(self, wanted: Sequence[Part], running: Mapping[str, records.Record]) -> None:
        elsewhere = [part for part in wanted if part.name in running and running[part.name].port != part.port]
        if elsewhere:
            part = elsewhere[0]
            raise CommandFailed(
                f"The platform in {self.home.root} runs on other ports: its {part.name} listens on "
                f"{running[part.name].port}, not on {part.port}. Stop it with `sluice down` before it is moved, or give a "
                "second platform a folder of its own with SLUICE_HOME."
            )

    def _refuse_taken_ports(self, fresh: Sequence[Part]) -> None:
        taken = [
            f"{port} ({part.name}{_by(owner)})"
            for part in fresh
            for port in (part.port, *part.child_ports)
            if listening(port) and not self._left_over(owner := _owner(port))
        ]
        if taken:
            raise CommandFailed(
                f"These ports are in use: {', '.join(taken)}. Stop what listens there, or move the whole platform with "
                "SLUICE_PORT_BASE=9080 (the gateway's port; the other parts follow it)."
            )

    def _left_over(self, owner: psutil.Process | None) -> bool:
        # An engine whose service was killed is found and ended by the next one.
        try:
            return owner is not None and owner.environ().get("SLUICE_DATA_DIR") == str(self.home.data.absolute())
        except psutil.Error:
            return False

    def _end(self, processes: Mapping[str, psutil.Process]) -> None:
        for name, process in processes.items():
            self._tell(f"  stopping {name} (pid {process.pid})")
            _signal(process, signal.SIGTERM)
        _, slow = psutil.wait_procs(processes.values(), timeout=_STOP_S)
        for process in slow:
            self._tell(f"  the process {process.pid} did not stop within {_STOP_S:.0f} s; killing it")
            _signal(process, signal.SIGKILL)
        psutil.wait_procs(slow, timeout=_STOP_S)

    def _tell(self, line: str) -> None:
        # Stopping goes on when nobody listens any more: a closed terminal, a pipe whose reader has ended.
        with suppress(OSError):
            self.say(line)

    def _log_end(self, part: Part) -> str:
        log = self.home.logs / f"{part.name}.log"
        lines = log.read_text(encoding="utf-8", errors="replace").splitlines()[-_LOG_TAIL:] if log.exists() else []
        return "\n".join([f"--- last lines of {log}", *lines, "---"])


def _differs(process: psutil.Process | None, values: Mapping[str, str]) -> bool:
    try:
        found = {} if process is None else process.environ()
    except psutil.Error:
        return True
    return any(found.get(name, "") != value for name, value in values.items())


@contextmanager
def interruptible() -> Iterator[None]:
    """Let SIGTERM and SIGHUP (a closed terminal) end the command as Ctrl-C does, so that it can clean up."""

    def leave(number: int, _frame: FrameType | None) -> None:
        raise SystemExit(128 + number)

    chosen = [number for number in (signal.SIGTERM, signal.SIGHUP) if signal.getsignal(number) != signal.SIG_IGN]
    with _handled(chosen, leave):
        yield


@contextmanager
def _uninterrupted() -> Iterator[None]:
    # A process that was started and is not on record yet would be left behind: signals wait until it is.
    held: list[int] = []
    try:
        with _handled((signal.SIGINT, signal.SIGTERM, signal.SIGHUP), lambda number, _frame: held.append(number)):
            yield
    finally:
        for number in held:
            signal.raise_signal(number)


@contextmanager
def _handled(numbers: Iterable[signal.Signals], handler: Callable[[int, FrameType | None], None]) -> Iterator[None]:
    before = {number: signal.signal(number, handler) for number in numbers}
    try:
        yield
    finally:
        for number, earlier in before.items():
            signal.signal(number, earlier)


@contextmanager
def exclusive(home: Home) -> Iterator[None]:
    """Hold the platform's lock, so that two commands do not start or stop it at once."""
    path: Path = home.root / "up.lock"
    with path.open("w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as exc:
            raise CommandFailed(
                "Another `sluice up` or `sluice down` is at work here; wait until it has finished."
            ) from exc
        yield


def _inherited() -> dict[str, str]:
    # Byte code that may be kept makes the next start several seconds faster.
    return {name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"}  # noqa: TID251


def _owner(port: int) -> psutil.Process | None:
    try:
        for connection in psutil.net_connections(kind="tcp"):
            local = connection.laddr
            if local and connection.status == psutil.CONN_LISTEN and local.port == port and connection.pid:
                return psutil.Process(connection.pid)
    except psutil.Error:
        return None
    return None


def _wanting(name: str, detail: str) -> str:
    return name if detail == SILENT else f"{name} ({detail})"


def _by(owner: psutil.Process | None) -> str:
    try:
        return f", by {owner.name()} with pid {owner.pid}" if owner else ""
    except psutil.Error:
        return ""


def _signal(process: psutil.Process, number: int) -> None:
    with suppress(psutil.NoSuchProcess):
        process.send_signal(number)
