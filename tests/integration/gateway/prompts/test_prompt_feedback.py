"""What people said of answers, by the version of the prompt: a real feedback service tells the gateway."""

from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest
from tests.integration.databases import set_up_schema
from tests.integration.gateway.control_plane import running_gateway
from tests.integration.gateway.prompts.calls import GREET, NOON, ask, key, usage

from sluice import queues
from sluice.settings import PlatformSettings
from sluice.testing import ServiceProcess, environment_of, free_port, redis_at, service_headers, wait_until
from sluice_feedback.wiring import MIGRATIONS
from sluice_gateway.domain.usage_rows import UsageRows

pytestmark = pytest.mark.integration


@pytest.fixture
async def feedback(platform: PlatformSettings, tmp_path: Path) -> Iterator[str]:
    port = free_port()
    await set_up_schema(platform, "feedback", MIGRATIONS)
    environment = environment_of(platform) | {"SLUICE_FEEDBACK_PORT": str(port)}
    with ServiceProcess("sluice_feedback", ["serve"], environment, tmp_path / "log", cwd=tmp_path) as process:
        process.wait_ready(f"http://127.0.0.1:{port}/readyz")
        yield f"http://127.0.0.1:{port}"


async def test_versions_are_compared_by_what_people_said(platform: PlatformSettings, feedback: str) -> None:
    changed = platform.model_copy(update={"feedback_url": feedback})
    rows = [usage("req_a", 1), usage("req_b", 2), usage("req_c", 2, error_code="structured_output_repaired")]
    async with running_gateway(changed) as gateway:
        own = await key(gateway)
        await ask(gateway, own, "POST", "", 201, GREET)
        await gateway.deps.usage.insert(UsageRows.of(rows))
        async with redis_at(platform.redis_url) as redis:
            await queues.append(redis, queues.USAGE, rows)
        headers = service_headers("feedback", "acme")
        for request, thumbs in (("req_a", "down"), ("req_b", "up")):
            body = {"interaction_id": request, "feedback_type": "thumbs", "thumbs": thumbs}
            httpx.post(f"{feedback}/v1/feedback", json=body, headers=headers, timeout=60).raise_for_status()

        def known() -> bool:
            found = httpx.get(f"{feedback}/v1/feedback/prompts?prompt=greet", headers=headers, timeout=60).json()
            return len(found["data"]) == 2

        wait_until(known)
        found = await ask(gateway, own, "GET", "/greet/usage?from=1", 200)
        assert found["feedback_missing"] is None
        shown = [(one["version"], one["wrong_form"], one["feedback"]["score"]) for one in found["data"]]
        assert shown == [(2, 1, 1.0), (1, 0, 0.0)]
        await ask(gateway, own, "POST", "/greet/versions", 201, {"sections": {"task": "Hi"}})
        shares = [{"version": 1, "weight": 1}, {"version": 2, "weight": 1}]
        await ask(gateway, own, "PUT", "/greet/split", 200, {"shares": shares, "tune": {"objective": "feedback"}})
        state = (await gateway.deps.prompt_splits.get("acme", "greet")).model_copy(update={"began_at": NOON})
        verdict = await gateway.deps.prompt_judge.verdict("acme", state, NOON + 60)
        assert verdict is not None
        assert [(one.outcomes, one.mean) for one in verdict.evidence] == [(1, 0.0), (1, 1.0)]
