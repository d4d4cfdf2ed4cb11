"""Difficulty, language and domain over the router's API: trained, used by every router, explained, and done without."""

import asyncio
import json
import zlib
from collections import Counter
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import pytest
import yaml
from tests.integration.databases import set_up_schema

from sluice.clients.http import HttpAnswer
from sluice.settings import PlatformSettings
from sluice.testing import admin_headers, asgi_client, platform_settings
from sluice_router.app import create_app
from sluice_router.settings import Settings
from sluice_router.wiring import MIGRATIONS, open_deps

pytestmark = pytest.mark.integration
PLACE = {"base_url": "http://127.0.0.1:9/v1", "health": {"enabled": False}}
GERMAN = "Bitte erkläre mir, wie die Rechnung für den vergangenen Monat zustande gekommen ist."


class Network:
    """What the router reaches over HTTP: a retrieval service that embeds, or is away."""

    def __init__(self) -> None:
        self.away = False
        self.asked = 0

    async def send(
        self, method: str, url: str, headers: Mapping[str, str], body: bytes | None, timeout_s: float
    ) -> HttpAnswer:
        if self.away or not url.endswith("/v1/embeddings"):
            raise ConnectionError(url)
        self.asked += 1
        texts = json.loads(body or b"{}")["input"]
        data = [{"index": at, "embedding": _vector(text)} for at, text in enumerate(texts)]
        reply = {"data": data, "model": "minilm", "usage": {"prompt_tokens": 1, "total_tokens": 1}}
        return HttpAnswer(200, {"content-type": "application/json"}, json.dumps(reply).encode())

    async def close(self) -> None:
        """Nothing is open."""


def _vector(text: str) -> list[float]:
    found = np.random.default_rng(zlib.crc32(text.encode())).normal(0, 1, 384)
    found[0] = 3.0 if "prove" in text else -3.0
    return [float(value) for value in found / np.linalg.norm(found)]


@pytest.fixture
async def platform(tmp_path: Path) -> PlatformSettings:
    def model(name: str, **more: Any) -> dict[str, Any]:
        return {"name": name, "price": {"input": 0}, "deployments": [PLACE], **more}

    route = {
        "name": "auto",
        "candidates": ["small", "big"],
        "quality": {"strong": ["big"], "share": 0.4},
        "rules": [{"languages": ["de"], "use": ["german"]}],
    }
    domains = {"name": "expert", "candidates": ["small", "coder"], "by_domain": True}
    long = {"name": "long", "candidates": ["little", "big"]}
    seen = {"name": "seen", "candidates": ["small", "seeing"], "by_modality": True}
    seen["rules"] = [{"asks_for": ["code"], "use": ["coder"]}]
    models = [model("small"), model("big"), model("german"), model("coder", domains=["code"])]
    models.append(model("seeing", input_modalities=["text", "image"]))
    models.append(model("little", context_tokens=1000, token_scale={"de": 1.5}))
    (tmp_path / "models.yaml").write_text(yaml.safe_dump({"models": models, "routes": [route, domains, long, seen]}))
    texts = {
        "code": [f"write a function number {n} that sorts a list" for n in range(12)],
        "law": [f"clause {n} of this contract is void" for n in range(12)],
    }
    (tmp_path / "domains.yaml").write_text(yaml.safe_dump({"domains": texts}))
    made = platform_settings(tmp_path, config_dir=tmp_path, redis_url="redis://127.0.0.1:9/0")
    await set_up_schema(made, "router", MIGRATIONS)
    return made


@asynccontextmanager
async def running(platform: PlatformSettings, network: Network) -> AsyncIterator[httpx.AsyncClient]:
    app = create_app(lambda: open_deps(platform, Settings(reload_s=0.1, loads_s=60), transport=network))
    async with asgi_client(app) as client:
        client.headers.update(admin_headers())
        yield client


async def ask(client: httpx.AsyncClient, text: str, model: str = "auto", **fields: Any) -> dict[str, Any]:
    answer = await client.post("/route", json={"model": model, "text": text, **fields})
    assert answer.status_code == 200, answer.text
    found: dict[str, Any] = answer.json()
    return found


def rated(number: int) -> dict[str, Any]:
    hard = number % 3 == 0
    text = f"prove theorem {number}" if hard else f"say hello {number}"
    return {"text": text, "weak": 0.0 if hard and number % 4 else 1.0, "strong": 1.0}


async def test_what_a_question_asks_for_chooses_among_candidates(platform: PlatformSettings) -> None:
    async with running(platform, Network()) as client:
        picture = await ask(client, "Show me a photo of the old harbour.", "seen", explain=True)
        assert (picture["model"], picture["fallbacks"]) == ("seeing", ["small"])
        assert {"signal": "asks_for", "value": "the question asks for image", "against": False} in picture["signals"]
        assert (await ask(client, "Which function parses the date?", "seen"))["model"] == "coder"
        assert (await ask(client, "When was the harbour built?", "seen"))["model"] == "small"


async def test_the_difficulty_is_trained_used_everywhere_and_done_without(platform: PlatformSettings) -> None:
    network = Network()
    async with running(platform, network) as client, running(platform, network) as other:
        untrained = await ask(client, "prove it", explain=True)
        assert (untrained["model"], network.asked) == ("small", 0), "without a classifier nothing is embedded"
        assert any("gave no answer" in one["value"] for one in untrained["signals"])
        few = await client.post("/v1/classifiers/difficulty/train", json={"examples": [rated(1)]})
        assert (few.status_code, few.json()["errors"][0]["loc"]) == (422, "body.examples")
        mixed = [{**rated(n), "weak": 1.0, "strong": 0.0} for n in range(120)]
        wrong = await client.post("/v1/classifiers/difficulty/train", json={"examples": mixed})
        assert (wrong.status_code, wrong.json()["code"]) == (422, "training_refused")
        report = await client.post(
            "/v1/classifiers/difficulty/train", json={"examples": [rated(n) for n in range(300)]}
        )
        assert report.status_code == 200, report.text
        assert report.json()["apgr"] > 0.7
        assert report.json()["curve"][0]["gap_recovered"] == 0
        seen = await ask(client, "prove the last theorem", explain=True)
        assert (seen["model"], seen["reason"].startswith("a stronger model answers")) == ("big", True)
        assert (await ask(client, "say hello", explain=True))["model"] == "small"
        taken: Counter[str] = Counter()
        for number in range(200):
            taken[(await ask(client, f"prove {number}" if number % 2 else f"say {number}"))["model"]] += 1
        assert 0.35 < taken["big"] / 200 < 0.45, "half of it is hard, two fifths were asked"
        async with asyncio.timeout(60):
            while (await ask(other, "prove the last theorem", explain=True))["model"] != "big":
                pass
        network.away = True
        without = await ask(client, "prove the last theorem", explain=True)
        assert without["reason"].startswith("least loaded of 2 "), "its own decisions are the load that it knows"
        metrics = (await client.get("/metrics")).text
        strong = f'sluice_router_readings_total{{outcome="strong",signal="difficulty"}} {taken["big"] + 1:.1f}'
        assert strong in metrics
    async with running(platform, network) as later:
        network.away = False
        assert (await ask(later, "prove the last theorem", explain=True))["model"] == "big", "it outlives a restart"


async def test_language_and_domain_decide_and_are_explained(platform: PlatformSettings) -> None:
    network = Network()
    async with running(platform, network) as client:
        german = await ask(client, GERMAN, explain=True)
        assert (german["model"], german["reason"]) == ("german", "rule: german answers de")
        assert (await ask(client, "ja ja"))["model"] == "small", "too short to tell"
        fits = [(await ask(client, text, "long", prompt_tokens=700))["model"] for text in (GERMAN, "Explain the bill.")]
        assert fits == ["big", "little"], "700 tokens of English are 1,050 of German for it"
        report = await client.post("/v1/classifiers/domain/train")
        assert (report.status_code, report.json()["classifier"]) == (200, "domain")
        found = await ask(client, "write a function number 5 that sorts a list", "expert", explain=True)
        assert found["model"] == "coder", found
        assert found["reason"].startswith("models for code come first")
        assert (await ask(client, "clause 3 of this contract is void", "expert"))["model"] == "small"
        (platform.config_dir / "domains.yaml").write_text("domains: {a: [x]}")
        wrong = await client.post("/v1/classifiers/domain/train")
        assert (wrong.status_code, "domains.yaml is not right" in wrong.json()["detail"]) == (422, True)
