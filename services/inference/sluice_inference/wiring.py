"""What the inference service is made of: the one place that knows which adapter stands behind which port."""

import asyncio
import os
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Annotated

import aiohttp
import psutil
from fastapi import Depends
from pydantic import ValidationError

from sluice.auth import ServiceTokens
from sluice.clock import SystemClock
from sluice.errors import DependencyUnavailable
from sluice.loops import Supervisor
from sluice.service import deps_of
from sluice.settings import ConfigError, PlatformSettings, secret_from_environment
from sluice.telemetry.metrics import MetricRegistry
from sluice.telemetry.tracing import Tracing
from sluice_inference.adapter_engines import AdapterEngines
from sluice_inference.adapters.adapter_file import AdapterFile
from sluice_inference.adapters.energy import HostEnergy
from sluice_inference.adapters.engine_http import HttpProbe
from sluice_inference.adapters.processes import OsLauncher
from sluice_inference.adapters.replicas import ReplicaMetrics
from sluice_inference.domain.capacity import Host
from sluice_inference.domain.errors import EngineNotFound
from sluice_inference.domain.lifecycle import RestartPolicy
from sluice_inference.domain.sentences import described
from sluice_inference.domain.specs import EnginesFile, EngineSpec, LlamaCppSpec
from sluice_inference.fleet import Fleet
from sluice_inference.keeper import EngineKeeper, Pace
from sluice_inference.metrics import EngineMetrics
from sluice_inference.scaling import Scaling
from sluice_inference.settings import Settings


@dataclass(frozen=True, slots=True)
class Engines:
    """The keepers of this host's engines, in the order of engines.yaml; `beside` are engines of adapters, by the engine that they belong to."""

    described: Mapping[str, EngineKeeper]
    beside: Mapping[str, AdapterEngines]

    @property
    def keepers(self) -> dict[str, EngineKeeper]:
        """All of them: those of engines.yaml, then those of adapters."""
        found = dict(self.described)
        for one in self.beside.values():
            found |= one.keepers
        return found

    def get(self, engine_id: str) -> EngineKeeper:
        """Return the keeper of an engine.

        Raises:
            EngineNotFound: this host has no engine of that id.
        """
        keepers = self.keepers
        keeper = keepers.get(engine_id)
        if keeper is None:
            known = ", ".join(keepers)
            raise EngineNotFound(f"There is no engine {engine_id!r} on this host. Its engines are: {known}.")
        return keeper

    async def one_is_ready(self) -> None:
        """Probe for readiness: at least one engine answers.

        Raises:
            DependencyUnavailable: none does; the sentence gives each one's state and reason.
        """
        statuses = [keeper.status() for keeper in self.keepers.values()]
        if not any(status.state == "ready" for status in statuses):
            raise DependencyUnavailable(
                "; ".join(f"{status.id} is {status.state}: {status.reason or 'not ready yet'}" for status in statuses)
            )


@dataclass(frozen=True, slots=True)
class Deps:
    """Everything that handlers use."""

    platform: PlatformSettings
    registry: MetricRegistry
    tokens: ServiceTokens
    tracing: Tracing
    probes: Mapping[str, Callable[[], Awaitable[None]]]
    engines: Engines
    fleet: Fleet
    scaling: Scaling
    host: Callable[[], Host]


DepsDep = Annotated[Deps, Depends(deps_of)]


@asynccontextmanager
async def open_deps(platform: PlatformSettings, settings: Settings) -> AsyncIterator[Deps]:
    """Start the keepers of all engines; at the end drain and stop what they started."""
    described = load_engines(platform, settings)
    registry = MetricRegistry(process=True)
    tracing = Tracing("inference", platform)
    metrics = EngineMetrics(registry)
    loops = Supervisor(registry)
    launcher = OsLauncher(
        log_dir=settings.log_dir,
        run_dir=platform.data_dir / "inference",
        host=platform.host,
        environment=dict(os.environ),  # noqa: TID251 - handed on to the engines, not read
        max_log_bytes=settings.max_log_bytes,
    )
    policy = RestartPolicy(
        first_pause_s=settings.restart_first_pause_s,
        longest_pause_s=settings.restart_longest_pause_s,
        crash_limit=settings.crash_limit,
        crash_window_s=settings.crash_window_s,
        probe_limit=settings.probe_limit,
    )
    file = AdapterFile(platform.data_dir / "inference" / "adapters.json")
    held = file.read()
    pace = Pace(settings.poll_idle_s, settings.poll_busy_s, settings.drain_s, settings.kill_after_s)
    async with aiohttp.ClientSession(connector=aiohttp.TCPConnector(force_close=True)) as session:
        probe = HttpProbe(session, secret_from_environment)

        def keeper_of(spec: EngineSpec) -> EngineKeeper:
            return EngineKeeper(
                spec,
                launcher=launcher,
                probe=probe,
                metrics=metrics,
                clock=SystemClock(),
                policy=policy,
                pace=pace,
                adapters=held.get(spec.id, {}) if spec.adapters else {},
                own=beside.get(spec.id),
                energy=energy,
            )

        energy = HostEnergy()
        beside = {
            spec.id: AdapterEngines(spec, keeper_of, loops, settings.adapter_leave_s)
            for spec in described.engines
            if isinstance(spec, LlamaCppSpec) and spec.lora
        }
        keepers = {spec.id: keeper_of(spec) for spec in described.engines}
        engines = Engines(keepers, beside)
        for engine_id, keeper in keepers.items():
            loops.start(f"engine-{engine_id}", keeper.run)
        try:
            yield Deps(
                platform=platform,
                registry=registry,
                tokens=ServiceTokens(platform.service_secret.get_secret_value(), "inference"),
                tracing=tracing,
                probes={"engines": engines.one_is_ready},
                engines=engines,
                fleet=Fleet(keepers, file),
                scaling=Scaling(described.scaled, ReplicaMetrics(session), SystemClock()),
                host=read_host,
            )
        finally:
            await asyncio.gather(*(keeper.close() for keeper in keepers.values()))
            await loops.close()
            tracing.close()


def load_engines(platform: PlatformSettings, settings: Settings) -> EnginesFile:
    """Read and check engines.yaml.

    Raises:
        ConfigError: it is missing, or a value is wrong; the sentence names it.
    """
    path = platform.config_dir / settings.engines_file
    try:
        return EnginesFile.model_validate(platform.load_yaml(settings.engines_file))
    except ValidationError as exc:
        problems = described(exc, lambda place: platform.line_of(settings.engines_file, place))
        raise ConfigError(f"{path} is not right: {problems}") from exc


def read_host() -> Host:
    """Return the cores and the memory of this machine."""
    memory = psutil.virtual_memory()
    return Host(psutil.cpu_count() or 1, memory.total, memory.available)
