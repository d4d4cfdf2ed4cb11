"""How busy deployments are, as far as the router can know."""

import logging
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field

from sluice.clients.inference import InferenceClient
from sluice.contracts.engine import EngineList, EngineStatus
from sluice.contracts.routing import RoutingSnapshot
from sluice.errors import SluiceError
from sluice.loops import Rounds
from sluice.telemetry.tracing import untraced
from sluice_router.domain.choice import Load

_log = logging.getLogger(__name__)


@dataclass(slots=True)
class Loads:
    """Load from two sources: what the inference service reports of its engines, and decisions made since that report.

    An engine belongs to the deployment with the same base URL (its `public_url`, if it has one). A deployment that is no engine of ours (a paid provider,
    another host) is known by recent decisions alone, which are forgotten at each round. Degraded mode: while the
    inference service is away, only recent decisions count.

    While nothing is decided, no engine is busy and none takes adapters, the question is asked five times as seldom; the first
    decision asks anew. `latencies` reads what deployments' latest requests took, while there are decisions or a route has targets;
    `slowest` has it, in seconds. `adapters` has those of each engine by its base URL with where they answer, as last heard, and `changed` is awaited when they changed.
    """

    inference: InferenceClient
    snapshot: Callable[[], RoutingSnapshot]
    every_s: float
    adapters: dict[str, dict[str, str]] = field(default_factory=dict)
    changed: Callable[[], Awaitable[None]] | None = None
    reported: dict[str, Load] = field(default_factory=dict)
    recent: dict[str, int] = field(default_factory=dict)
    latencies: Callable[[Sequence[str]], Awaitable[Mapping[str, float]]] | None = None
    slowest: Mapping[str, float] = field(default_factory=dict)
    _rounds: Rounds = field(init=False)

    def __post_init__(self) -> None:
        self._rounds = Rounds(self.round, self.every_s)

    async def run(self) -> None:
        """Ask until cancelled."""
        await self._rounds.run()

    async def round(self) -> bool:
        """Ask once; tell whether anything is going on."""
        try:
            with untraced():
                engines = await self.inference.engines(timeout_s=2.0)
        except SluiceError as exc:
            _log.debug("no engine loads: %s", exc.detail)
            self.reported = {}
        else:
            by_url = {
                _url(engine): Load(
                    engine.slots_busy or 0, engine.requests_waiting or 0, engine.slots, engine.kv_cache_usage
                )
                for engine in engines.data
            }
            self.reported = {
                deployment.id: by_url[deployment.base_url]
                for model in self.snapshot().models
                for deployment in model.deployments
                if deployment.base_url in by_url
            }
            await self._note_adapters(engines)
        decided = bool(self.recent)
        if self.latencies is not None:
            aimed = any(route.targets is not None for route in self.snapshot().routes)
            self.slowest = await self.latencies(self._deployments()) if decided or aimed else {}
        self.recent = {}
        return decided or bool(self.adapters) or any(load.running or load.waiting for load in self.reported.values())

    async def _note_adapters(self, engines: EngineList) -> None:
        held = {
            url: {name: one.adapter_urls.get(name, url).rstrip("/") for name in one.adapters}
            for one in engines.data
            if one.adapters is not None and (url := _url(one))
        }
        if held != self.adapters:
            self.adapters.clear()
            self.adapters.update(held)
            if self.changed is not None:
                await self.changed()

    def _deployments(self) -> list[str]:
        return [deployment.id for model in self.snapshot().models for deployment in model.deployments]

    def now(self) -> dict[str, Load]:
        """Return the load of every deployment of which something is known."""
        names = {*self.reported, *self.recent, *self.slowest}
        empty = Load()
        return {
            name: Load(
                running=self.reported.get(name, empty).running + self.recent.get(name, 0),
                waiting=self.reported.get(name, empty).waiting,
                slots=self.reported.get(name, empty).slots,
                kv_cache=self.reported.get(name, empty).kv_cache,
                latency_s=self.slowest.get(name),
            )
            for name in names
        }

    def decided(self, deployment: str) -> None:
        """Count a request that was just sent to a deployment."""
        self.recent[deployment] = self.recent.get(deployment, 0) + 1
        self._rounds.wake()


def _url(engine: EngineStatus) -> str:
    return (engine.public_url or engine.base_url).rstrip("/")
