"""Polling responses in the background as OpenAI's guide does, and what they are asked with."""

import asyncio
import time
from typing import Any

import httpx
import openai
from openai.types.responses import Response
from tests.integration.gateway.batches.batch_platform import Running, routing

from sluice.contracts.routing import Deployment, Model, Policy, RoutingSnapshot
from sluice.testing import admin_headers


async def until_status(client: openai.AsyncOpenAI, response_id: str, *wanted: str, seconds: float = 60) -> Response:
    """Ask for a response until it is as wanted."""
    until = time.monotonic() + seconds
    while True:
        found = await client.responses.retrieve(response_id)
        if found.status in wanted:
            return found
        assert time.monotonic() < until, found
        await asyncio.sleep(0.05)


async def ended(client: openai.AsyncOpenAI, response_id: str, seconds: float = 60) -> Response:
    """Ask for a response until it has ended."""
    return await until_status(client, response_id, "completed", "incomplete", "failed", "cancelled", seconds=seconds)


def questions(run: Running) -> list[str]:
    """Return the last question of each request that the provider has had."""
    said = [seen.json["messages"][-1]["content"] for seen in run.provider.seen]
    return [one if isinstance(one, str) else one[0]["text"] for one in said]


async def usage(run: Running, count: int, seconds: float = 60) -> list[dict[str, Any]]:
    """Return all usage records once there are so many, or what there is when the time is over."""
    until = time.monotonic() + seconds
    async with httpx.AsyncClient(headers=admin_headers(), timeout=60) as http:
        while True:
            answer = await http.get(f"{run.url}/admin/usage", params={"limit": 100})
            assert answer.status_code == 200, answer.text
            found: list[dict[str, Any]] = answer.json()["data"]
            if len(found) >= count or time.monotonic() > until:
                return found
            await asyncio.sleep(0.1)


def more_models(base_url: str) -> RoutingSnapshot:
    """Return what batches are routed by, with a model of which nothing is kept, one that is masked, and one that has the API itself."""
    found = routing(base_url)

    def model(name: str, policy: str | None = None, **fields: Any) -> Model:
        place = Deployment(id=f"{name}-1", base_url=base_url, upstream_model=name, **fields)
        return Model(name=name, policy=policy, deployments=(place,))

    models = (
        *found.models,
        model("discreet", "discreet"),
        model("masked", "masked"),
        model("native", responses="native"),
    )
    policies = (
        Policy(name="discreet", keep_responses=False),
        Policy(name="masked", guard_input="enforce", guard_policy="masks"),
    )
    return found.model_copy(update={"models": models, "policies": policies})
