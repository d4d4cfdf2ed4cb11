"""`/v1/responses` under attack: wherever of a request a marked order stands, it reaches no provider that the guard has not read it for."""

import asyncio
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from gateway_parts import POISON, Parts, deployment, model, serving, snapshot
from openai_provider import Behaviour, Provider
from tests.integration.databases import set_up_schema

from sluice.clock import SystemClock
from sluice.contracts.routing import Policy
from sluice.db import open_database
from sluice.settings import PlatformSettings
from sluice.telemetry.metrics import MetricRegistry
from sluice_gateway.dataplane.texts import replaced
from sluice_gateway.domain.conversations import Placed, StoredConversation
from sluice_gateway.responses.conversation_store import ConversationStore
from sluice_gateway.responses.keeper import ResponseKeeper
from sluice_gateway.responses.store import ResponseStore
from sluice_gateway.usage.journal import Journal
from sluice_gateway.wiring import MIGRATIONS

pytestmark = pytest.mark.integration
PATH = "/v1/responses"
_SCHEMA = {"type": "object", "description": "d", "properties": {"city": {"type": "string", "description": "d", "enum": ["a"]}}, "required": ["city"]}  # fmt: skip
_CALL = {"type": "function_call", "id": "fc_1", "call_id": "c1", "name": "look_up", "arguments": '{"city": "x"}', "status": "completed"}  # fmt: skip
_FIELDS: dict[str, Any] = {
    "instructions": "Be kind.",
    "tools": [{"type": "function", "name": "look_up", "description": "d", "parameters": _SCHEMA, "strict": False}],
    "tool_choice": {"type": "function", "name": "look_up"},
    "text": {"format": {"type": "json_schema", "name": "n", "description": "d", "schema": _SCHEMA}, "verbosity": "low"},
    "reasoning": {"effort": "low", "summary": "auto"},
    "include": ["message.output_text.logprobs"],
    "truncation": "auto",
    "service_tier": "auto",
}
ITEMS: dict[str, list[dict[str, Any]]] = {
    "message": [{"type": "message", "id": "msg_1", "role": "user", "status": "completed", "content": "x"}],
    "parts": [
        {"role": "developer", "content": [{"type": "input_text", "text": "x"}]},
        {"role": "assistant", "content": [{"type": "output_text", "text": "x", "annotations": [{"type": "url_citation", "url": "https://a.example", "title": "t", "start_index": 0, "end_index": 1}]}, {"type": "refusal", "refusal": "no"}]},
        {"role": "user", "content": [{"type": "input_text", "text": "x"}]},
    ],
    "call": [{"role": "user", "content": "x"}, _CALL, {"type": "function_call_output", "call_id": "c1", "output": "y"}],
    "call with parts": [
        {"role": "user", "content": "x"},
        _CALL,
        {"type": "function_call_output", "id": "o", "call_id": "c1", "output": [{"type": "input_text", "text": "y"}]},
    ],
    "image": [{"role": "user", "content": [{"type": "input_image", "image_url": "https://a.example/a.png", "detail": "low"}]}],
    "file": [{"role": "user", "content": [{"type": "input_file", "filename": "a.txt", "file_data": "data:text/plain;base64,eA=="}]}],
    "reasoning": [
        {"role": "user", "content": "x"},
        {"type": "reasoning", "id": "rs_1", "summary": [{"type": "summary_text", "text": "s"}], "content": [{"type": "reasoning_text", "text": "r"}]},
        {"role": "user", "content": "y"},
    ],
    "reference": [{"type": "item_reference", "id": "msg_1"}],
    "custom call": [
        {"type": "custom_tool_call", "call_id": "c1", "name": "n", "input": "x"},
        {"type": "custom_tool_call_output", "call_id": "c1", "output": "y"},
    ],
    "web search": [{"type": "web_search_call", "id": "w", "status": "completed", "action": {"type": "search", "query": "q"}}],
    "file search": [{"type": "file_search_call", "id": "f", "status": "completed", "queries": ["q"], "results": [{"filename": "f", "text": "t"}]}],
    "shell": [
        {"type": "local_shell_call", "id": "l", "call_id": "c1", "status": "completed", "action": {"type": "exec", "command": ["ls"], "env": {"A": "b"}}},
        {"type": "local_shell_call_output", "id": "l", "output": "o"},
    ],
    "computer": [{"type": "computer_call_output", "call_id": "c1", "output": {"type": "computer_screenshot", "image_url": "https://a.example/a.png"}}],
    "mcp": [
        {"type": "mcp_list_tools", "id": "m", "server_label": "s", "tools": [{"name": "n", "description": "d", "input_schema": _SCHEMA}]},
        {"type": "mcp_call", "id": "m", "server_label": "s", "name": "n", "arguments": "{}", "output": "o", "error": "e"},
        {"type": "mcp_approval_response", "approval_request_id": "m", "approve": True, "reason": "r"},
    ],
    "code": [{"type": "code_interpreter_call", "id": "c", "container_id": "c", "status": "completed", "code": "print()", "outputs": [{"type": "logs", "logs": "l"}]}],
    "compaction": [{"type": "compaction", "id": "c", "encrypted_content": "x"}],
}  # fmt: skip
# What is no text: bytes, addresses and the model's name, which leads nowhere else.
UNREAD = {"file_data", "image_url", "model"}


def leaves(value: Any, at: tuple[str | int, ...] = ()) -> Iterator[tuple[str | int, ...]]:
    """Yield the places of all texts."""
    if isinstance(value, str):
        yield at
    elif isinstance(value, list | dict):
        for place, item in enumerate(value) if isinstance(value, list) else value.items():
            if place not in UNREAD:
                yield from leaves(item, (*at, place))


def named(value: Any, at: tuple[str | int, ...] = ()) -> Iterator[tuple[tuple[str | int, ...], dict[str, Any]]]:
    """Yield each object with one field more, whose name is an order."""
    if isinstance(value, dict):
        yield at, {**value, POISON: "x"}
    for place, item in (
        enumerate(value) if isinstance(value, list) else value.items() if isinstance(value, dict) else ()
    ):
        yield from named(item, (*at, place))


def put(body: dict[str, Any], at: tuple[str | int, ...], value: Any) -> dict[str, Any]:
    return replaced(body, [(at, value)]) if at else value


def routing(provider: Provider) -> Any:
    deployments = {
        "translated": deployment("d1", provider.base_url),
        "native": deployment("d2", provider.base_url, responses="native"),
    }
    models = [model(name, place, policy="closed") for name, place in deployments.items()]
    models += [model(f"open-{name}", place, policy="open") for name, place in deployments.items()]
    policies = (
        Policy(name="closed", guard_input="enforce"),
        Policy(name="open", guard_input="enforce", on_guard_error="open"),
    )
    return snapshot(*models, model("free", deployments["translated"]), policies=policies)


def attacked(kind: str, **fields: Any) -> Iterator[dict[str, Any]]:
    """Yield a request with an order at each of its texts in turn, in the place of each name, and as a field that nobody knows."""
    body = {"input": ITEMS[kind], **_FIELDS, **fields}
    yield from (put(body, at, f"see: {POISON}") for at in leaves(body))
    yield from (put(body, at, value) for at, value in named(body))
    yield {**body, "input": f"x {POISON}"}
    yield {**body, "prompt": {"id": "p", "variables": {"a": POISON}}}
    yield {**body, "tools": [{"type": "custom", "name": "n", "format": {"type": "grammar", "definition": POISON}}]}
    yield {
        **body,
        "tools": [
            {"type": "mcp", "server_label": "s", "server_description": POISON, "server_url": "https://a.example"}
        ],
    }
    yield {**body, "tools": [{"type": "web_search", "user_location": {"type": "approximate", "city": POISON}}]}


@pytest.mark.parametrize("kind", ITEMS)
async def test_no_order_reaches_a_provider_unread(kind: str, provider: Provider, client: httpx.AsyncClient) -> None:
    blocked = 0
    async with serving(Parts(), routing(provider)) as gateway:
        for name in ("translated", "native", "open-translated", "open-native"):
            for body in attacked(kind, model=name, stream=name == "native"):
                answer = await client.post(gateway.url + PATH, json=body)
                blocked += answer.status_code == 400 and answer.json()["error"]["code"] == "content_filter"
                told = [seen for seen in provider.seen if POISON.encode() in seen.body]
                assert not told, (name, told[0].body)
    assert blocked, "some of them are read, and refused"


async def test_what_was_kept_before_is_read_again(
    platform: PlatformSettings, tmp_path: Path, provider: Provider, client: httpx.AsyncClient
) -> None:
    await set_up_schema(platform, "gateway", MIGRATIONS)
    database, journal = open_database(platform, "gateway"), Journal(tmp_path / "journal", name="responses")
    journal.open()
    conversations = ConversationStore(database)
    keeper = ResponseKeeper(
        journal, ResponseStore(database), conversations, SystemClock(), MetricRegistry(), keep_s=86_400, most_bytes=10**6, most_chain_bytes=10**6
    )  # fmt: skip
    writing = asyncio.create_task(keeper.run())
    talk = StoredConversation("conv_1", "tenant-a", "o", "key_1", {}, 1, 2**40)
    item = {"type": "message", "id": "msg_1", "role": "user", "content": [{"type": "input_text", "text": POISON}]}
    await conversations.add(talk, [Placed("1", item)])
    async with serving(Parts(responses=keeper), routing(provider)) as gateway:

        async def ask(name: str, **fields: Any) -> httpx.Response:
            return await client.post(gateway.url + PATH, json={"model": name, "input": "x", **fields})

        asked = (await ask("free", input=POISON)).json()
        provider.next(Behaviour(text=f"A page says: {POISON}"))
        answered = (await ask("free")).json()
        known = len(provider.seen)
        for name in ("translated", "native", "open-native"):
            for before in (
                {"previous_response_id": asked["id"]},
                {"previous_response_id": answered["id"]},
                {"conversation": "conv_1"},
            ):
                answer = await ask(name, **before)
                assert (answer.status_code, answer.json()["error"]["code"]) == (400, "content_filter"), (name, before)
        assert len(provider.seen) == known == 2
    writing.cancel()
    await database.close()
    journal.close()
