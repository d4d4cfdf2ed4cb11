"""How often the router asks how busy engines are: often while something goes on, seldom at rest, at once when a decision ends it."""

import asyncio
from collections.abc import Mapping
from pathlib import Path

import pytest

from sluice.auth import ServiceTokens
from sluice.clients.http import HttpAnswer, ServiceClient
from sluice.clients.inference import InferenceClient
from sluice.contracts.engine import EngineList, EngineStatus
from sluice.contracts.routing import Deployment, Model, RoutingSnapshot
from sluice.telemetry.tracing import Tracing
from sluice.testing import platform_settings
from sluice_router.adapters.loads import Loads
from sluice_router.domain.choice import Load

URL = "http://engine/v1"


class InferenceService:
    """Answers with one engine that is as busy as the test says; counts the questions."""

    def __init__(self) -> None:
        self.busy = 0
        self.away = False
        self.asked = 0

    async def send(
        self, method: str, url: str, headers: Mapping[str, str], body: bytes | None, timeout_s: float
    ) -> HttpAnswer:
        self.asked += 1
        if self.away:
            raise ConnectionError(url)
        engine = EngineStatus(
            id="e", backend="llamacpp", state="ready", base_url=URL, model="m", slots=2, slots_busy=self.busy
        )
        return HttpAnswer(200, {}, EngineList(data=(engine,)).model_dump_json().encode())

    async def close(self) -> None:
        """Nothing is open."""


@pytest.fixture
def service() -> InferenceService:
    return InferenceService()


def loads_of(service: InferenceService, tmp_path: Path, every_s: float = 60.0) -> Loads:
    platform = platform_settings(tmp_path)
    tokens = ServiceTokens(platform.service_secret.get_secret_value(), "router")
    tracing = Tracing("router", platform)
    client = InferenceClient(ServiceClient("inference", "http://inference", tokens, service, tracing, retries=0))
    deployment = Deployment(id="d", base_url=URL, upstream_model="m")
    snapshot = RoutingSnapshot(version=1, published_at=0, models=(Model(name="m", deployments=(deployment,)),))
    return Loads(client, lambda: snapshot, every_s)


async def test_a_round_tells_whether_anything_goes_on(service: InferenceService, tmp_path: Path) -> None:
    loads = loads_of(service, tmp_path)
    assert not await loads.round()
    service.busy = 1
    assert await loads.round()
    assert loads.now() == {"d": Load(running=1, waiting=0, slots=2)}
    service.busy = 0
    loads.decided("d")
    assert await loads.round(), "somebody decided since the last round"
    assert not await loads.round()
    service.away = True
    assert not await loads.round()
    assert loads.now() == {}


async def test_the_first_decision_after_a_rest_asks_at_once(service: InferenceService, tmp_path: Path) -> None:
    loads = loads_of(service, tmp_path)
    task = asyncio.create_task(loads.run())
    async with asyncio.timeout(60):
        while "d" not in loads.now():
            await asyncio.sleep(0.01)
        assert service.asked == 1
        service.busy = 2
        loads.decided("d")
        while loads.now()["d"].running != 2:
            await asyncio.sleep(0.01)
    assert service.asked == 2
    assert loads.now()["d"].running == 2
    for _ in range(5):
        loads.decided("d")
        await asyncio.sleep(0)
    assert service.asked == 2, "decisions that follow wait for the next round"
    task.cancel()
