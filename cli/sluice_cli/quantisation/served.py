"""A GGUF file, served by llama.cpp for as long as it is measured."""

import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx

from sluice_cli.platform.errors import CommandFailed
from sluice_cli.quantisation.engine import Engine

_RUNNER = "sluice_inference.engines.llamacpp"
_START_S = 120.0
_END_S = 10.0


@contextmanager
def served(file: Path, *, context_tokens: int, threads: int) -> Iterator[Engine]:
    """Start llama.cpp with a file on a free port of this machine, yield it when it is ready, and end it.

    Raises:
        CommandFailed: it does not start.
    """
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        port = int(found.getsockname()[1])
    command = [
        sys.executable,
        "-m",
        _RUNNER,
        "--model",
        str(file),
        "--alias",
        file.stem,
        "--port",
        str(port),
        "--slots",
        "1",
    ]
    command += [
        "--context-tokens",
        str(context_tokens),
        "--threads",
        str(threads),
        "--prompt-cache-mib",
        "0",
        "--lifeline",
    ]
    with tempfile.TemporaryFile() as log:
        # It ends when its standard input closes, however this process ends.
        process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=log, stderr=log)
        try:
            url = f"http://127.0.0.1:{port}"
            deadline = time.monotonic() + _START_S
            while not _is_ready(url):
                if process.poll() is not None or time.monotonic() > deadline:
                    log.seek(0)
                    said = log.read().decode(errors="replace").strip().splitlines()
                    raise CommandFailed(f"llama.cpp cannot serve {file}: {said[-1] if said else 'it said nothing'}")
                time.sleep(0.1)
            with Engine(f"{url}/v1", file.stem) as engine:
                yield engine
        finally:
            if process.stdin is not None:
                process.stdin.close()
            try:
                process.wait(_END_S)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()


def _is_ready(url: str) -> bool:
    try:
        return httpx.get(f"{url}/health", timeout=2).status_code == httpx.codes.OK
    except httpx.HTTPError:
        return False
