"""Asks parts whether they are ready."""

import socket
from typing import NamedTuple

import httpx

from sluice_cli.platform.parts import Part

SILENT = "does not answer yet"


class Answer(NamedTuple):
    """Whether a part is ready, and if not, what it says."""

    ready: bool
    detail: str = ""


def ask(part: Part, timeout_s: float = 2.0) -> Answer:
    """Ask one part; silence is not ready."""
    return _ping(part.port, timeout_s) if not part.ready_url else _get(part.ready_url, timeout_s)


def listening(port: int) -> bool:
    """Tell whether somebody listens on a port of this machine."""
    with socket.socket() as probe:
        probe.settimeout(0.5)
        return probe.connect_ex(("127.0.0.1", port)) == 0


def _get(url: str, timeout_s: float) -> Answer:
    try:
        answer = httpx.get(url, timeout=timeout_s)
    except httpx.HTTPError:
        return Answer(ready=False, detail=SILENT)
    if answer.status_code == httpx.codes.OK:
        return Answer(ready=True)
    try:
        checks = answer.json().get("checks", {})
    except ValueError:
        checks = {}
    return Answer(
        ready=False,
        detail="; ".join(f"{name}: {text}" for name, text in checks.items() if text != "ok")
        or f"status {answer.status_code}",
    )


def _ping(port: int, timeout_s: float) -> Answer:
    try:
        with socket.create_connection(("127.0.0.1", port), timeout=timeout_s) as connection:
            connection.sendall(b"PING\r\n")
            return Answer(ready=connection.recv(16).startswith(b"+PONG"))
    except OSError:
        return Answer(ready=False, detail=SILENT)
