"""The classifying model over real sockets, in vLLM's form of `POST /classify`: windows, scores, and what no answer means."""

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from aiohttp import web

from sluice.testing import asgi_client, platform_settings, service_headers
from sluice_guardrail.app import create_app
from sluice_guardrail.domain.classifying import STEP, WINDOW
from sluice_guardrail.settings import Settings
from sluice_guardrail.wiring import open_deps

pytestmark = pytest.mark.integration

POLICIES = "version: 1\npolicies: {default: {input: {injection: {action: allow, hidden: allow}, scanners: {injection_model: {}}}}}\n"


class Engine:
    """Answers as vLLM does for a model of two classes: texts that hold `attack` are of the second one."""

    def __init__(self) -> None:
        self.url = ""
        self.seen: list[dict[str, Any]] = []
        self.left_out = 0

    async def classify(self, request: web.Request) -> web.Response:
        body = await request.json()
        self.seen.append(body)
        data = [
            {"index": at, "label": "LABEL_1", "probs": [0.02, 0.98] if "attack" in text else [0.97, 0.03], "num_classes": 2}
            for at, text in enumerate(body["input"])
        ]  # fmt: skip
        return web.json_response({"id": "c", "object": "list", "data": data[self.left_out :][::-1], "usage": {}})


@pytest.fixture
async def engine() -> AsyncIterator[Engine]:
    found = Engine()
    app = web.Application()
    app.router.add_post("/classify", found.classify)
    runner = web.AppRunner(app)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    found.url = f"http://127.0.0.1:{runner.addresses[0][1]}"
    yield found
    await runner.cleanup()


async def asked(tmp_path: Path, url: str, **body: object) -> dict[str, Any]:
    (tmp_path / "guard.yaml").write_text(POLICIES)
    settings = Settings(_env_file=None, classifier_url=url, classifier_model="prompt-guard")
    platform = platform_settings(tmp_path, config_dir=tmp_path)
    async with asgi_client(create_app(lambda: open_deps(platform, settings))) as client:
        answer = await client.post("/check", json={"stage": "input", **body}, headers=service_headers("guardrail"))
        found: dict[str, Any] = answer.json()
        return found


async def test_an_attack_is_blocked_and_a_harmless_text_passes(engine: Engine, tmp_path: Path) -> None:
    verdict = await asked(tmp_path, engine.url, text="an attack of some kind")
    assert (verdict["safe"], verdict["issues"]) == (False, ["prompt_injection"])
    (found,) = verdict["details"]
    assert (found["detector"], found["score"], found["start"], found["end"]) == ("injection_model", 0.98, 0, 22)
    assert engine.seen == [{"model": "prompt-guard", "input": ["an attack of some kind"]}]
    assert (await asked(tmp_path, engine.url, text="the weather"))["safe"]


async def test_a_long_text_is_read_in_windows_and_trusted_roles_are_not(engine: Engine, tmp_path: Path) -> None:
    long = "x" * (STEP * 2) + " attack " + "y" * 100
    segments = [{"id": "s", "role": "system", "text": "attack"}, {"id": "u", "role": "user", "text": long}]
    verdict = await asked(tmp_path, engine.url, segments=segments)
    (found,) = verdict["details"]
    assert (found["segment_id"], found["start"], found["end"]) == ("u", STEP, len(long))
    assert [len(text) for text in engine.seen[0]["input"]] == [WINDOW, len(long) - STEP]


async def test_half_an_answer_a_dead_engine_and_none_give_no_verdict(engine: Engine, tmp_path: Path) -> None:
    engine.left_out = 1
    for url in (engine.url, "http://127.0.0.1:9", ""):
        verdict = await asked(tmp_path, url, text="the weather")
        assert (verdict["safe"], verdict["issues"]) == (False, ["check_failed"])
