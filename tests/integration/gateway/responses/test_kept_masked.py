"""What is kept of a request in which personal data was masked, with the real guardrail and a real database."""

import asyncio
import json
from pathlib import Path

import httpx
import pytest
from gateway_parts import deployment, model, snapshot
from guarded_gateway import guarded_gateway
from openai_provider import Behaviour, Provider
from tests.integration.databases import set_up_schema

from sluice.clock import SystemClock
from sluice.contracts.routing import Policy
from sluice.db import open_database
from sluice.settings import PlatformSettings
from sluice.telemetry.metrics import MetricRegistry
from sluice_gateway.responses.conversation_store import ConversationStore
from sluice_gateway.responses.keeper import ResponseKeeper
from sluice_gateway.responses.store import ResponseStore
from sluice_gateway.usage.journal import Journal
from sluice_gateway.wiring import MIGRATIONS

pytestmark = pytest.mark.integration
EMAIL = "ada@example.org"
RULES = """
version: 1
policies:
  default: {}
  masks: {input: {pii: {action: mask}}}
"""


async def test_the_users_own_words_are_kept_and_masked_anew_in_each_turn(
    platform: PlatformSettings, tmp_path: Path
) -> None:
    await set_up_schema(platform, "gateway", MIGRATIONS)
    database, journal = open_database(platform, "gateway"), Journal(tmp_path / "journal", name="responses")
    journal.open()
    keeper = ResponseKeeper(
        journal, ResponseStore(database), ConversationStore(database), SystemClock(), MetricRegistry(), keep_s=86_400, most_bytes=10**6, most_chain_bytes=10**6
    )  # fmt: skip
    writing = asyncio.create_task(keeper.run())
    async with (
        Provider() as provider,
        httpx.AsyncClient(headers={"authorization": "Bearer sk-test"}, timeout=60) as http,
    ):
        routing = snapshot(
            model("small", deployment("d1", provider.base_url), policy="masks"),
            policies=(Policy(name="masks", guard_input="enforce", guard_policy="masks"),),
        )
        provider.default = Behaviour(text="I wrote to <EMAIL_1>.")
        async with guarded_gateway(tmp_path, RULES, routing, responses=keeper) as gateway:
            url = gateway.url + "/v1/responses"
            first = (await http.post(url, json={"model": "small", "input": f"Write to {EMAIL}."})).json()
            assert first["output"][0]["content"][0]["text"] == f"I wrote to {EMAIL}."
            more = {"model": "small", "input": "Whom?", "previous_response_id": first["id"]}
            second = (await http.post(url, json=more)).json()
        asked = [json.dumps(seen.json) for seen in provider.seen]
    assert "<EMAIL_1>" in asked[0]
    assert all(EMAIL not in one for one in asked), "no turn shows the address to the provider"
    assert asked[1].count("<EMAIL_1>") == 2, "what was asked and answered, with the same placeholder"
    kept = await keeper.chain("tenant-a", second["id"])
    assert kept is not None
    text = "".join(turn.input + turn.response for turn in kept.turns)
    assert EMAIL in text
    assert "EMAIL_1" not in text, "no placeholder, and nothing that says what one stands for"
    writing.cancel()
    await database.close()
    journal.close()
