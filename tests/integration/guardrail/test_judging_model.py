"""The judging model over real sockets: what is sent, and what a slow, failing or missing one means for a check."""

import asyncio
from pathlib import Path
from typing import Any

import pytest
from openai_provider import Behaviour, Provider

from sluice.settings import ConfigError
from sluice.testing import asgi_client, platform_settings, service_headers
from sluice_guardrail.app import create_app
from sluice_guardrail.settings import Settings
from sluice_guardrail.wiring import open_deps

pytestmark = pytest.mark.integration

POLICIES = (
    "version: 1\npolicies: {default: {input: {scanners: {harm_model: {}}}, output: {scanners: {second_opinion: {}}}}}\n"
)


async def asked(tmp_path: Path, url: str, *bodies: dict[str, Any], **more: Any) -> tuple[list[dict[str, Any]], str]:
    (tmp_path / "guard.yaml").write_text(POLICIES)
    settings = Settings(_env_file=None, judge_url=url, judge_model="judge-1", judge_api_key="sk-judge", **more)
    platform = platform_settings(tmp_path, config_dir=tmp_path)
    async with asgi_client(create_app(lambda: open_deps(platform, settings))) as client:
        answers = await asyncio.gather(
            *(client.post("/check", json=body, headers=service_headers("guardrail")) for body in bodies)
        )
        return [answer.json() for answer in answers], (await client.get("/metrics")).text


async def test_a_model_is_asked_over_http(tmp_path: Path) -> None:
    async with Provider(default=Behaviour(text="unsafe\nS10")) as provider:
        (verdict,), metrics = await asked(tmp_path, provider.base_url, {"stage": "input", "text": "Something vile"})
        (seen,) = provider.seen
    assert (verdict["safe"], verdict["issues"]) == (False, ["high_toxicity"])
    assert (seen.json["model"], seen.json["temperature"], seen.json["logprobs"]) == ("judge-1", 0.0, True)
    assert "Something vile" in seen.json["messages"][1]["content"]
    assert 'sluice_guard_detector_runs_total{detector="harm_model",outcome="ok"} 1.0' in metrics


async def test_an_answer_is_disputed_by_a_second_model(tmp_path: Path) -> None:
    segments = [{"id": "q", "role": "question", "text": "2 + 2?"}, {"id": "a", "role": "assistant", "text": "It is 5."}]
    async with Provider(default=Behaviour(text="no")) as provider:
        (verdict,), _ = await asked(tmp_path, provider.base_url, {"stage": "output", "segments": segments})
    assert (verdict["safe"], verdict["issues"]) == (True, ["disputed_answer"])


async def test_slow_and_failing_models_give_no_verdict_and_without_one_the_service_does_not_start(
    tmp_path: Path,
) -> None:
    text = {"stage": "input", "text": "x"}
    async with Provider(default=Behaviour(stall_s=5.0)) as slow:
        (late,), metrics = await asked(tmp_path, slow.base_url, text, judge_timeout_s=0.2)
    assert (late["safe"], late["details"][0]["kind"]) == (False, "late")
    assert 'detector="harm_model",outcome="late"' in metrics
    async with Provider(default=Behaviour(status=500)) as failing:
        (broken,), _ = await asked(tmp_path, failing.base_url, text)
    assert (broken["safe"], broken["details"][0]["kind"]) == (False, "broken")
    with pytest.raises(ConfigError, match="SLUICE_GUARDRAIL_JUDGE_URL"):
        await asked(tmp_path, "", text)
