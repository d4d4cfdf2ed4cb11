"""The shared client against the real application, in process, and what the API refuses."""

from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import httpx
import pytest

from sluice.clients.evals import EvalClient
from sluice.contracts.evals import CreateEval, CreateEvalRun, EvalItemQuery
from sluice.contracts.paging import PageQuery
from sluice.errors import BadRequest, Conflict, NotFound
from sluice.migrations import upgrade
from sluice.testing import asgi_client, platform_settings, service_client, service_headers, valkey_server
from sluice_eval.app import create_app
from sluice_eval.settings import Settings
from sluice_eval.wiring import open_deps

MIGRATIONS = Path(__file__).parents[3] / "services" / "eval" / "migrations"
SUITE = CreateEval.model_validate(
    {"name": "s", "items": [{"prompt": "a", "expected": "b", "scorer": "exact"}], "metadata": {"team": "x"}}
)


@pytest.fixture(scope="module")
def redis_url() -> Iterator[str]:
    with valkey_server() as url:
        yield url


@pytest.fixture
async def served(tmp_path: Path, redis_url: str) -> AsyncIterator[tuple[EvalClient, httpx.AsyncClient]]:
    platform = platform_settings(tmp_path, redis_url=redis_url)
    await upgrade(platform, "eval", MIGRATIONS)
    app = create_app(lambda: open_deps(platform, Settings(_env_file=None, max_suite_bytes=4096)))
    async with asgi_client(app) as raw, service_client("eval", app, platform) as called:
        yield EvalClient(called), raw


async def test_client_and_service_understand_each_other(served: tuple[EvalClient, httpx.AsyncClient]) -> None:
    client, _ = served
    suite = await client.create(SUITE, tenant="acme")
    assert (suite.version, suite.items, suite.scorers, suite.metadata) == (1, 1, {"exact": 1}, {"team": "x"})
    assert await client.suite(suite.id, tenant="acme") == suite
    assert (await client.suites(PageQuery(limit=5), tenant="acme")).data == (suite,)
    run = await client.start(suite.id, CreateEvalRun(model="m", api_key_id="key_1", concurrency=3), tenant="acme")
    assert (run.status, run.concurrency, run.counts.pending, run.api_key_id) == ("queued", 3, 1, "key_1")
    assert (await client.runs(suite.id, tenant="acme")).data == (run,)
    assert (await client.items(suite.id, run.id, EvalItemQuery(limit=3), tenant="acme")).data == ()
    report = await client.report(suite.id, run.id, tenant="acme")
    assert (report.complete, report.pass_rate) == (False, None)
    assert (await client.report_markdown(suite.id, run.id, tenant="acme")).startswith("# s v1: n/a passed")
    with pytest.raises(Conflict):
        await client.delete(suite.id, tenant="acme")
    assert (await client.cancel(suite.id, run.id, tenant="acme")).status == "cancelled"
    with pytest.raises(NotFound):
        await client.run(suite.id, run.id, tenant="other")
    with pytest.raises(BadRequest, match="which model"):
        await client.start(suite.id, CreateEvalRun(api_key_id="key_1"), tenant="acme")
    with pytest.raises(BadRequest, match="api_key_id"):
        await client.start(suite.id, CreateEvalRun(model="m"), tenant="acme")
    assert (await client.delete(suite.id, tenant="acme")).deleted


@pytest.mark.parametrize(
    ("content_type", "body", "status", "code"),
    [
        ("text/plain", b"name: s", 415, "eval_media_type"),
        ("application/json", b"{", 400, "invalid_json"),
        ("application/json", b'{"name": "s", "items": [], "more": 1}', 422, "invalid_request"),
        ("application/json", b"x" * 5000, 413, "eval_too_large"),
        ("application/yaml", b"name: [", 400, "eval_invalid"),
        ("application/yaml", b"name: s\nitems: [{prompt: a, expected: '(', scorer: regex}]", 400, "eval_invalid"),
        ("multipart/form-data; boundary=x", b"nonsense", 400, "eval_invalid"),
        ("multipart/form-data", b"nonsense", 400, "eval_invalid"),
        (
            "multipart/form-data; boundary=x",
            b'--x\r\nContent-Disposition: form-data; name="other"\r\n\r\n1\r\n--x--\r\n',
            400,
            "eval_invalid",
        ),
    ],
)
async def test_a_wrong_suite_is_refused_with_a_sentence(
    served: tuple[EvalClient, httpx.AsyncClient], content_type: str, body: bytes, status: int, code: str
) -> None:
    _, raw = served
    headers = service_headers("eval") | {"content-type": content_type}
    answer = await raw.post("/v1/evals", content=body, headers=headers)
    assert (answer.status_code, answer.json()["code"]) == (status, code)
    assert answer.headers["content-type"] == "application/problem+json"
    assert len(answer.json()["detail"]) > 10


async def test_a_member_runs_with_his_own_key_and_no_other(served: tuple[EvalClient, httpx.AsyncClient]) -> None:
    client, raw = served
    suite = await client.create(SUITE, tenant="acme")
    path = f"/v1/evals/{suite.id}/runs"
    member = service_headers("eval", "acme", subject="key_1", role="member", key_id="key_1")
    for named in ({}, {"api_key_id": "key_1"}):
        started = await raw.post(path, json={"model": "m", **named}, headers=member)
        assert (started.status_code, started.json()["api_key_id"]) == (201, "key_1")
    another = await raw.post(path, json={"model": "m", "api_key_id": "key_2"}, headers=member)
    assert (another.status_code, another.json()["code"]) == (403, "eval_api_key_forbidden")
    keyless = service_headers("eval", "acme", subject="key_1", role="member")
    unnamed = await raw.post(path, json={"model": "m", "api_key_id": "key_2"}, headers=keyless)
    assert (unnamed.status_code, unnamed.json()["code"]) == (400, "eval_api_key_missing")
    misspelt = await raw.post(path, json={"model": "m", "api_key_id": "a key"}, headers=service_headers("eval", "acme"))
    assert misspelt.status_code == 422
    assert [run.api_key_id for run in (await client.runs(suite.id, tenant="acme")).data] == ["key_1", "key_1"]


async def test_nothing_is_answered_without_a_credential(served: tuple[EvalClient, httpx.AsyncClient]) -> None:
    _, raw = served
    for method, path in (("GET", "/v1/evals"), ("POST", "/v1/evals"), ("GET", "/v1/evals/x/runs/y/report")):
        assert (await raw.request(method, path)).status_code == 401


async def test_readiness_names_each_dependency(served: tuple[EvalClient, httpx.AsyncClient]) -> None:
    _, raw = served
    assert (await raw.get("/readyz")).json()["checks"] == {"sql": "ok", "redis": "ok"}


async def test_a_bias_audit_is_made_scheduled_and_reported(served: tuple[EvalClient, httpx.AsyncClient]) -> None:
    _, raw = served
    member = service_headers("eval", "acme", subject="key_1", role="member", key_id="key_1")
    made = (await raw.post("/v1/evals/bias", json={"attributes": ["pronoun"]}, headers=member)).json()
    assert (made["name"], made["items"]) == ("bias-audit", 12)
    path = f"/v1/evals/{made['id']}/schedule"
    nobody = await raw.put(path, json={"every_s": 600}, headers=member)
    assert (nobody.status_code, nobody.json()["code"]) == (400, "eval_invalid")
    far = {"every_s": 600, "model": "m", "start_at": 4e9}
    assert (await raw.put(path, json={**far, "every_s": 1}, headers=member)).status_code == 422
    found = (await raw.put(path, json=far, headers=member)).json()
    assert (found["api_key_id"], found["next_at"], found["every_s"]) == ("key_1", 4e9, 600)
    assert (await raw.get(path, headers=member)).json() == found
    run = (await raw.post(f"/v1/evals/{made['id']}/runs", json={"model": "m"}, headers=member)).json()
    report = (await raw.get(f"/v1/evals/{made['id']}/runs/{run['id']}/bias", headers=member)).json()
    assert (report["complete"], report["missing"], report["differences"]) == (False, 12, [])
    assert (await raw.delete(path, headers=member)).json()["deleted"] is True
    gone = await raw.get(path, headers=member)
    assert (gone.status_code, gone.json()["code"]) == (404, "eval_schedule_not_found")
