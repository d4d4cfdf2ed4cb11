"""Portkey's open-source gateway: it proxies to the provider that each request's headers name, and checks no key."""

import json
import shutil
from contextlib import contextmanager

from tests.bench.children import Child
from tests.bench.loadgen import Target
from tests.bench.paths import PEERS
from tests.bench.rows.base import READY_SECONDS, Gateway, Opened, Place, answers

from sluice.testing import free_port

PACKAGE = PEERS / "portkey" / "node_modules" / "@portkey-ai" / "gateway"
SERVER = PACKAGE / "build" / "start-server.js"


def missing(_place: Place) -> str | None:
    if not SERVER.exists():
        return "it is not installed (make bench-peers installs it)"
    return None if shutil.which("node") else "Node.js is not installed"


def version() -> str | None:
    """Return the release that is installed."""
    return str(json.loads((PACKAGE / "package.json").read_text())["version"])


@contextmanager
def open_portkey(place: Place) -> Opened:
    port = free_port()
    command = ["node", str(SERVER), f"--port={port}", "--headless"]
    headers = (
        "Authorization: Bearer upstream",
        "x-portkey-provider: openai",
        f"x-portkey-custom-host: {place.upstream.base_url}",
    )
    with Child(
        "Portkey",
        command,
        core=place.gateway_core,
        log=place.logs / "portkey.log",
        environment={"NODE_ENV": "production"},
        folder=place.folder,
    ) as process:
        process.wait_until(answers(f"http://127.0.0.1:{port}/"), READY_SECONDS)
        yield Gateway(Target(port, headers=headers), process)
