"""Signals and splits over the router's API, and what its metrics count of them."""

from collections.abc import AsyncIterator
from pathlib import Path

import httpx
import pytest

from sluice.migrations import upgrade
from sluice.testing import admin_headers, asgi_client, platform_settings
from sluice_router.app import create_app
from sluice_router.settings import Settings
from sluice_router.wiring import MIGRATIONS, open_deps

MODELS = """
models:
  - name: plain
    input_modalities: [text]
    deployments: [{id: plain-1, base_url: "http://127.0.0.1:9/v1", region: eu, health: {enabled: false}}]
  - name: seeing
    input_modalities: [text, image]
    deployments: [{id: seeing-1, base_url: "http://127.0.0.1:9/v1", region: us, health: {enabled: false}}]
routes:
  - name: auto
    candidates: [plain, seeing]
  - name: canary
    candidates: [plain, seeing]
    split: [{model: plain, weight: 1}, {model: seeing, weight: 1}]
"""


@pytest.fixture
async def http(tmp_path: Path) -> AsyncIterator[httpx.AsyncClient]:
    (tmp_path / "models.yaml").write_text(MODELS)
    platform = platform_settings(tmp_path, config_dir=tmp_path, redis_url="redis://127.0.0.1:9/0")
    await upgrade(platform, "router", MIGRATIONS)
    async with asgi_client(create_app(lambda: open_deps(platform, Settings()))) as client:
        client.headers.update(admin_headers())
        yield client


async def test_explain_in_the_address_shows_every_signal_and_what_spoke_against_is_counted(
    http: httpx.AsyncClient,
) -> None:
    answer = await http.post("/route?explain=true", json={"model": "auto", "modalities": ["image"]})
    plain, seeing = answer.json()["candidates"]
    assert (plain["chosen"], plain["reason"], seeing["chosen"]) == (False, "it does not take image", True)
    against = {value["signal"]: value["against"] for value in plain["signals"]}
    assert [signal for signal, spoke in against.items() if spoke] == ["modality"]
    assert (await http.post("/route", json={"model": "auto"})).json()["candidates"] is None
    metrics = (await http.get("/metrics")).text
    assert 'sluice_router_signals_against_total{signal="modality"} 1.0' in metrics


async def test_what_no_model_may_take_is_refused_with_each_reason_and_counted(http: httpx.AsyncClient) -> None:
    asked = {"model": "auto", "modalities": ["image"], "regions": ["eu"]}
    answer = await http.post("/route", json=asked)
    assert (answer.status_code, answer.json()["code"]) == (422, "no_suitable_model")
    assert "plain: it does not take image; seeing: it is in us, allowed is eu" in answer.json()["detail"]
    assert 'sluice_router_decisions_total{outcome="refused"} 1.0' in (await http.get("/metrics")).text


async def test_a_split_is_sticky_with_a_subject_falls_anew_without_and_is_counted(http: httpx.AsyncClient) -> None:
    async def models(subject: str, times: int) -> list[str]:
        body = {"model": "canary", "subject": subject}
        return [(await http.post("/route", json=body)).json()["model"] for _ in range(times)]

    assert len(set(await models("anna", 10))) == 1
    assert set(await models("", 64)) == {"plain", "seeing"}  # all alike once in 2^63 runs
    lines = [
        line for line in (await http.get("/metrics")).text.splitlines() if line.startswith("sluice_router_split_total{")
    ]
    assert all('route="canary"' in line and 'result="taken"' in line for line in lines)
    assert sum(float(line.rsplit(" ", 1)[1]) for line in lines) == 74
