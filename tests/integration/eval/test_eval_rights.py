"""Runs through a real gateway: they have the rights of the API key that started them, and are booked on it."""

from collections.abc import Iterator
from contextlib import ExitStack
from typing import Any, NamedTuple

import httpx
import pytest
import redis
from openai_provider import Behaviour, Provider
from tests.integration.eval.eval_platform import EvalPlatform, provider_server, suite_of
from tests.integration.gateway.control_plane import snapshot

from sluice.contracts.routing import SNAPSHOT_KEY, Deployment, Model
from sluice.testing import (
    ServiceProcess,
    admin_headers,
    environment_of,
    free_port,
    platform_settings,
    service_headers,
    valkey_server,
    wait_until,
)

pytestmark = [pytest.mark.integration, pytest.mark.timeout(180)]
QUESTION = {"model": "a", "messages": [{"role": "user", "content": "hi"}]}


class Key(NamedTuple):
    """An API key: what shows it, and its id."""

    headers: dict[str, str]
    id: str


class Platform(NamedTuple):
    """A gateway with the models `a` and `b`, its usage worker, eval and its worker, and the provider of both models."""

    url: str
    evals: EvalPlatform
    provider: Provider

    def ask(self, method: str, path: str, status: int, headers: dict[str, str], **options: Any) -> Any:
        answer = httpx.request(method, f"{self.url}{path}", headers=headers, timeout=60, **options)
        assert answer.status_code == status, answer.text
        return answer.json()

    def key(self, **fields: Any) -> Key:
        made = self.ask("POST", "/admin/keys", 201, admin_headers(), json={"name": "k", "tenant": "acme", **fields})
        return Key({"authorization": f"Bearer {made['key']}"}, made["id"])

    def start(self, key: Key, count: int, model: str, **body: Any) -> str:
        suite = self.ask("POST", "/v1/evals", 201, key.headers, json={**suite_of(count), "name": f"{key.id}-{model}"})
        path = f"/v1/evals/{suite['id']}/runs"
        return f"{path}/{self.ask('POST', path, 201, key.headers, json={'model': model, **body})['id']}"

    def ended(self, run: str, key: Key) -> dict[str, Any]:
        def look() -> dict[str, Any] | None:
            found: dict[str, Any] = self.ask("GET", run, 200, key.headers)
            return found if found["status"] in ("completed", "failed") else None

        found = wait_until(look, seconds=60, every=0.2, what=f"the end of {run}")
        assert found is not None
        return found

    def usage(self, count: int, **filters: str) -> list[dict[str, Any]]:
        """Return all usage records of a filter once there are `count`."""

        def look() -> list[dict[str, Any]]:
            query = {"limit": "100", **filters}
            rows: list[dict[str, Any]] = self.ask("GET", "/admin/usage", 200, admin_headers(), params=query)["data"]
            return rows if len(rows) >= count else []

        return wait_until(look, what=f"{count} usage records")


@pytest.fixture(scope="module")
def platform(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Platform]:
    folder = tmp_path_factory.mktemp("rights")
    url = f"http://127.0.0.1:{free_port()}"
    with ExitStack() as stack:
        valkey = stack.enter_context(valkey_server())
        provider = stack.enter_context(provider_server(Behaviour()))
        with redis.Redis.from_url(valkey) as client:
            client.set(SNAPSHOT_KEY, snapshot(1, models=tuple(_model(n, provider) for n in "ab")).model_dump_json())
        evals = stack.enter_context(EvalPlatform(folder, valkey, url))
        evals.worker()
        settings = platform_settings(folder, redis_url=valkey, router_url="http://127.0.0.1:9", eval_url=evals.url)
        worker_port = free_port()
        environment = environment_of(settings) | {
            "SLUICE_GATEWAY_PORT": url.rpartition(":")[2],
            "SLUICE_GATEWAY_WORKER_PORT": str(worker_port),
        }
        for command, ready in (("serve", url), ("worker", f"http://127.0.0.1:{worker_port}")):
            log = folder / f"gateway-{command}.log"
            process = stack.enter_context(ServiceProcess("sluice_gateway", [command], environment, log, cwd=folder))
            process.wait_ready(f"{ready}/readyz")
        yield Platform(url, evals, provider)


def _model(name: str, provider: Provider) -> Model:
    deployment = Deployment(id=f"{name}-1", base_url=provider.base_url, upstream_model=name)
    return Model(name=name, deployments=(deployment,))


def test_usage_of_a_run_is_booked_on_the_key_and_tenant_that_started_it(platform: Platform) -> None:
    key = platform.key()
    run = platform.start(key, 5, "b")
    ended = platform.ended(run, key)
    assert (ended["status"], ended["counts"]["passed"], ended["api_key_id"]) == ("completed", 5, key.id)
    rows = platform.usage(5, key_id=key.id)
    assert {(row["tenant"], row["key_id"], row["model"], row["status"]) for row in rows} == {
        ("acme", key.id, "b", "ok")
    }
    items = platform.ask("GET", f"{run}/items", 200, key.headers)["data"]
    assert sorted(row["request_id"] for row in rows) == sorted(item["request_id"] for item in items)
    seen = platform.ask("GET", "/v1/usage", 200, key.headers, params={"limit": "100"})["data"]
    assert {row["request_id"] for row in rows} <= {row["request_id"] for row in seen}


def test_a_key_that_is_limited_to_one_model_reaches_no_other_through_a_run(platform: Platform) -> None:
    key = platform.key(models=["a"])
    asked = len(platform.provider.seen)
    ended = platform.ended(platform.start(key, 3, "b"), key)
    assert (ended["status"], ended["counts"]["pending"]) == ("failed", 3)
    assert f"status 403 for API key {key.id}" in ended["error"]
    assert "may not use the model `b`" in ended["error"]
    assert len(platform.provider.seen) == asked
    allowed = platform.ended(platform.start(key, 3, "a"), key)
    assert (allowed["status"], allowed["counts"]["passed"]) == ("completed", 3)


def test_a_key_that_is_revoked_in_mid_run_ends_the_run(platform: Platform) -> None:
    key, colleague = platform.key(), platform.key()
    platform.provider.default = Behaviour(stall_s=0.1)
    try:
        run = platform.start(key, 200, "a", concurrency=2)
        passed = lambda: platform.ask("GET", run, 200, colleague.headers)["counts"]["passed"]  # noqa: E731
        wait_until(lambda: passed() >= 4, what="four results")
        platform.ask("DELETE", f"/admin/keys/{key.id}", 200, admin_headers())
        ended = platform.ended(run, colleague)
    finally:
        platform.provider.default = Behaviour()
    assert ended["status"] == "failed"
    assert f"status 401 for API key {key.id}: The API key is disabled." in ended["error"]
    assert 4 <= ended["counts"]["passed"] < 100
    kept = platform.ask("GET", f"{run}/report", 200, colleague.headers)
    assert (kept["complete"], kept["pass_rate"]) == (False, 1.0)


def test_the_administrator_names_the_key_that_a_run_asks_with(platform: Platform) -> None:
    evals = platform.evals
    mine, foreign = platform.key(tenant="default"), platform.key()
    suite = evals.upload(suite_of(2))
    refused = evals.ask("POST", f"/v1/evals/{suite}/runs", 400, json={"model": "a"}).json()
    assert (refused["code"], "api_key_id" in refused["detail"]) == ("eval_api_key_missing", True)
    done = evals.ended(evals.start_run(suite, model="a", api_key_id=mine.id))
    assert (done["status"], done["api_key_id"]) == ("completed", mine.id)
    assert {row["tenant"] for row in platform.usage(2, key_id=mine.id)} == {"default"}
    of_another_tenant = evals.ended(evals.start_run(suite, model="a", api_key_id=foreign.id))
    assert of_another_tenant["status"] == "failed"
    assert f"status 401 for API key {foreign.id}" in of_another_tenant["error"]


def test_only_the_evaluation_workers_own_token_opens_the_gateway(platform: Platform) -> None:
    key = platform.key(models=["a"])
    worker: dict[str, Any] = {"subject": "eval-worker", "key_id": key.id}
    path = "/v1/chat/completions"
    platform.ask("POST", path, 200, service_headers("gateway", "acme", **worker), json=QUESTION)
    listed = platform.ask("GET", "/v1/models", 200, service_headers("gateway", "acme", **worker))
    assert [model["id"] for model in listed["data"]] == ["a"]
    for headers in (
        service_headers("eval", "acme", **worker),
        service_headers("gateway", "other", **worker),
        service_headers("gateway", "acme", **worker, role="member"),
        service_headers("gateway", "acme", subject="finetune-worker", key_id=key.id),
        service_headers("gateway", "acme", subject="eval-worker"),
    ):
        error = platform.ask("POST", path, 401, headers, json=QUESTION)["error"]
        assert error["code"] == "invalid_api_key"
