"""Servers of detectors over real sockets (classifying models, LettuceDetect, LLM Guard): what is sent, what is found, and what no answer means."""

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from detector_servers import DetectorServer, detector_server

from sluice.testing import asgi_client, platform_settings, service_headers
from sluice_guardrail.app import create_app
from sluice_guardrail.domain.classifying import STEP
from sluice_guardrail.settings import Settings
from sluice_guardrail.wiring import open_deps

pytestmark = pytest.mark.integration

ATTACKS = "{input: {injection: {action: allow, hidden: allow}, scanners: {injection_model: {}}}}"
GROUNDED = "{output: {scanners: {groundedness: null, groundedness_model: {action: redact}}}}"
SCANNED = "{input: {injection: {action: allow, hidden: allow}, scanners: {llm_guard: {kinds: {Sentiment: flag, Toxicity: allow}}}}, output: {scanners: {llm_guard: {}}}}"
RAG = [
    {"id": "q", "role": "question", "text": "How many people?"},
    {"id": "c", "role": "context", "text": "France has 67 million people."},
    {"id": "a", "role": "assistant", "text": " It is a country. It has 69 million people. That is all of it."},
]


@pytest.fixture
async def server() -> AsyncIterator[DetectorServer]:
    async with detector_server() as found:
        yield found


async def post(tmp_path: Path, path: str, policy: str, body: dict[str, Any], **settings: Any) -> Any:
    (tmp_path / "guard.yaml").write_text(f"version: 1\npolicies: {{default: {policy}}}\n")
    platform = platform_settings(tmp_path, config_dir=tmp_path)
    deps = Settings(_env_file=None, **settings)
    async with asgi_client(create_app(lambda: open_deps(platform, deps))) as client:
        return (await client.post(path, json=body, headers=service_headers("guardrail"))).json()


async def classified(tmp_path: Path, url: str, format: str = "classify", **body: object) -> Any:
    settings = {"classifier_url": url, "classifier_model": "prompt-guard", "classifier_format": format}
    return await post(tmp_path, "/check", ATTACKS, {"stage": "input", **body}, **settings)


async def answered(tmp_path: Path, url: str, **more: Any) -> Any:
    body = {"stage": "output", "segments": RAG, "second_opinion": False}
    return await post(tmp_path, "/check", GROUNDED, body, lettucedetect_url=url, **more)


@pytest.mark.parametrize("format", ["classify", "predict"])
async def test_an_attack_is_blocked_and_a_harmless_text_passes(
    format: str, server: DetectorServer, tmp_path: Path
) -> None:
    verdict = await classified(tmp_path, server.url, format, text="an attack of some kind")
    assert (verdict["safe"], verdict["issues"]) == (False, ["prompt_injection"])
    (found,) = verdict["details"]
    assert (found["detector"], found["score"], found["start"], found["end"]) == ("injection_model", 0.98, 0, 22)
    sent = {"classify": {"model": "prompt-guard", "input": ["an attack of some kind"]},
            "predict": {"inputs": [["an attack of some kind"]], "truncate": False}}  # fmt: skip
    assert server.seen == [sent[format]]
    assert (await classified(tmp_path, server.url, format, text="the weather"))["safe"]


@pytest.mark.parametrize("format", ["classify", "predict"])
async def test_a_long_text_is_read_in_windows_and_trusted_roles_are_not(
    format: str, server: DetectorServer, tmp_path: Path
) -> None:
    long = "x" * (STEP * 40) + " attack " + "y" * 100
    segments = [{"id": "s", "role": "system", "text": "attack"}, {"id": "u", "role": "user", "text": long}]
    verdict = await classified(tmp_path, server.url, format, segments=segments)
    (found,) = verdict["details"]
    assert (found["segment_id"], found["start"], found["end"]) == ("u", STEP * 39, len(long))
    sizes = [len(one["input"] if format == "classify" else one["inputs"]) for one in server.seen]
    assert sorted(sizes) == ([40] if format == "classify" else [8, 32])


@pytest.mark.parametrize("format", ["classify", "predict"])
async def test_half_an_answer_and_a_dead_engine_give_no_verdict(
    format: str, server: DetectorServer, tmp_path: Path
) -> None:
    server.left_out = 1
    for url in (server.url, "http://127.0.0.1:9"):
        verdict = await classified(tmp_path, url, format, text="the weather")
        assert (verdict["safe"], verdict["issues"]) == (False, ["check_failed"])


async def test_labels_that_say_nothing_give_no_verdict(server: DetectorServer, tmp_path: Path) -> None:
    server.instead = [[{"label": "CAT", "score": 0.9}, {"label": "DOG", "score": 0.1}]]
    assert (await classified(tmp_path, server.url, "predict", text="x"))["issues"] == ["check_failed"]


async def test_spans_that_nothing_supports_are_found(server: DetectorServer, tmp_path: Path) -> None:
    verdict = await answered(tmp_path, server.url)
    assert server.seen == [
        {"contexts": [RAG[1]["text"]], "question": "How many people?", "answer": RAG[2]["text"].lstrip()}
    ]
    (found,) = verdict["details"]
    assert (found["detector"], found["code"], found["score"]) == ("groundedness_model", "potential_hallucination", 0.9)
    assert RAG[2]["text"][found["start"] : found["end"]] == "69 million people."
    shown = verdict["filtered_segments"][2]["text"]
    assert shown == " It is a country. It has [REMOVED] That is all of it."
    sentences = verdict["groundedness"]["sentences"]
    assert [(one["kind"], one["support"]) for one in sentences] == [
        ("supported", 1.0), ("unsupported", 0.1), ("supported", 1.0),
    ]  # fmt: skip


async def test_without_a_verdict_on_spans_the_policy_decides(server: DetectorServer, tmp_path: Path) -> None:
    server.instead = {"predictions": [{"start": 5, "end": 500, "text": "?", "hallucination_score": 0.9}]}
    assert (await answered(tmp_path, server.url))["issues"] == ["check_failed", "content_filtered"]
    server.instead, server.stall_s = None, 2.0
    late = await answered(tmp_path, server.url, judge_timeout_s=0.1)
    assert (late["safe"], late["details"][0]["kind"], late["groundedness"]) == (False, "late", None)


async def test_what_llm_guard_refuses_is_an_issue(server: DetectorServer, tmp_path: Path) -> None:
    async def scanned(stage: str, text: str) -> Any:
        settings = {"llm_guard_url": server.url, "llm_guard_api_key": "token-1"}
        return await post(tmp_path, "/check", SCANNED, {"stage": stage, "text": text}, **settings)

    attack = await scanned("input", "an attack, and sad")
    assert (attack["safe"], attack["issues"]) == (False, ["prompt_injection", "refused_by_scanner"])
    assert [(one["kind"], one["action"], one["score"]) for one in attack["details"]] == [
        ("PromptInjection", "block", 1.0), ("Sentiment", "flag", 0.4),
    ]  # fmt: skip
    assert server.seen[0] == {"prompt": "an attack, and sad", "scanners_suppress": ["Toxicity"]}
    assert server.headers[0]["authorization"] == "Bearer token-1"
    assert (await scanned("input", "the weather"))["issues"] == []
    answer = await scanned("output", "a sad answer")
    assert (answer["safe"], answer["issues"]) == (False, ["refused_by_scanner", "content_filtered"])
    assert server.seen[-1] == {"prompt": "", "output": "a sad answer", "scanners_suppress": []}
    server.status = 408
    assert (await scanned("input", "the weather"))["issues"] == ["check_failed"]


async def test_a_dry_run_asks_the_servers(server: DetectorServer, tmp_path: Path) -> None:
    checks = [{"stage": "input", "text": text} for text in ("an attack", "the weather")]
    tried = {"input": {"injection": {"action": "allow"}, "scanners": {"llm_guard": {}}}}
    body = {"policy": tried, "checks": checks}
    counts = await post(tmp_path, "/policies/dry-run", "{}", body, llm_guard_url=server.url)
    assert (counts["tried"]["blocked"], counts["tried"]["issues"]) == (1, {"prompt_injection": 1})
