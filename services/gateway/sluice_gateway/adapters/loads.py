"""How busy a model is, as the router knows it."""

import asyncio
import logging
from dataclasses import dataclass, field

from sluice.clients.router import RouterClient
from sluice.clock import Clock
from sluice.errors import SluiceError
from sluice.telemetry.tracing import untraced

_log = logging.getLogger(__name__)
_TIMEOUT_S = 2.0


@dataclass(slots=True)
class ModelLoads:
    """Loads of models and routes, asked of the router when somebody wants to know and the last answer is `keep_s` old.

    Degraded mode: while the router is away every model counts as idle.
    """

    router: RouterClient
    clock: Clock
    keep_s: float
    _shares: dict[str, float] = field(default_factory=dict)
    _asked_at: float = float("-inf")
    _asking: asyncio.Lock = field(default_factory=asyncio.Lock)

    async def share(self, model: str) -> float:
        """Return the share of its capacity that the least busy deployment of a model or route has in use, 0 when not known."""
        async with self._asking:
            if self.clock.monotonic() - self._asked_at >= self.keep_s:
                await self._ask()
                self._asked_at = self.clock.monotonic()
        return self._shares.get(model, 0.0)

    async def _ask(self) -> None:
        try:
            with untraced():
                deployments = await self.router.deployments(timeout_s=_TIMEOUT_S)
                routes = await self.router.routes(timeout_s=_TIMEOUT_S)
        except SluiceError as exc:
            _log.debug("no loads: %s", exc.detail)
            self._shares = {}
            return
        shares: dict[str, float] = {}
        for item in deployments.data:
            if item.deployment.health != "down":
                shares[item.model] = min(item.load, shares.get(item.model, item.load))
        for route in routes.data:
            known = [shares[name] for name in (*route.candidates, *route.fallbacks) if name in shares]
            if known:
                shares[route.name] = min(known)
        self._shares = shares
