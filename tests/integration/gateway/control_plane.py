"""The gateway's control plane under test: started in process, with real servers behind it."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any, NamedTuple

import httpx
from tests.integration.databases import set_up_schema

from sluice.clock import SystemClock
from sluice.contracts.routing import Deployment, Model, Policy, Price, RoutingSnapshot
from sluice.ids import new_id
from sluice.settings import PlatformSettings
from sluice.testing import asgi_client
from sluice_gateway.app import create_app, in_front
from sluice_gateway.domain.audit import ADMINISTRATOR, Trail
from sluice_gateway.settings import Settings
from sluice_gateway.wiring import MIGRATIONS, Deps, open_deps


class Gateway(NamedTuple):
    """A running control plane, the client that calls it, and its dependencies."""

    client: httpx.AsyncClient
    deps: Deps


@asynccontextmanager
async def running_gateway(platform: PlatformSettings, **settings: Any) -> AsyncIterator[Gateway]:
    await set_up_schema(platform, "gateway", MIGRATIONS)
    own = Settings(_env_file=None, **settings)
    app = create_app(lambda: open_deps(platform, own))
    async with asgi_client(app, in_front(app, own)) as client:
        yield Gateway(client, app.state.deps)


def trail(at: float | None = None) -> Trail:
    """Return the trail of a change by the administrator, now or at another time."""
    return Trail(ADMINISTRATOR, "req_of_a_test", SystemClock().now() if at is None else at, new_id)


def snapshot(version: int = 1, base_url: str = "http://127.0.0.1:9/v1", **fields: Any) -> RoutingSnapshot:
    """Return a snapshot with one chat model `mock`, priced at 1 and 2 dollars per million tokens."""
    values: dict[str, Any] = {
        "version": version,
        "published_at": float(version),
        "models": (
            Model(
                name="mock",
                price=Price(input=1.0, output=2.0),
                deployments=(Deployment(id="mock-1", base_url=base_url, upstream_model="mock"),),
            ),
        ),
        "policies": (Policy(name="open"), Policy(name="strict", guard_input="enforce")),
        **fields,
    }
    return RoutingSnapshot(**values)
