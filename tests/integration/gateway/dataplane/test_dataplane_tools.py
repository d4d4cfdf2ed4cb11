"""Tool calls of answers under a guard policy: passed, withheld until confirmed, refused; whole and streamed."""

import json
from dataclasses import dataclass, field
from typing import Any

import httpx
import pytest
from gateway_parts import Guard, Parts, deployment, model, serving, snapshot
from openai_provider import Behaviour, Provider

from sluice.clock import SystemClock
from sluice.contracts.guard import CheckRequest, OutputVerdict
from sluice.contracts.routing import Policy
from sluice_guardrail.adapters.approval_seal import ApprovalSeal
from sluice_guardrail.domain.check import check
from sluice_guardrail.domain.policy import NamedPolicy, parse_policies

CHAT = "/v1/chat/completions"
ARGUMENTS = '{"to": "the board", "text": "hello"}'


def rules() -> NamedPolicy:
    tools = {"tools": {"wipe_disk": "block"}}
    return parse_policies({"version": 1, "policies": {"default": {"output": {"tools": tools}}}}, "g").get("default")


@dataclass
class RealGuard(Guard):
    """The guardrail's own check, without HTTP between."""

    seal: ApprovalSeal = field(default_factory=lambda: ApprovalSeal("secret", SystemClock(), 60))

    async def check_output(self, request: CheckRequest, *, tenant: str, timeout_s: float) -> OutputVerdict:
        self.asked.append(request)
        found = check(request, rules(), lambda: None)
        assert isinstance(found, OutputVerdict)
        return self.seal.sealed(found, request, tenant)


async def called(name: str, provider: Provider, client: httpx.AsyncClient, *, stream: bool) -> tuple[Any, ...]:
    """Return the finish reason, the text and the calls of an answer that calls a tool, its `sluice` object, and the guard that was asked."""
    guard = RealGuard()
    policy = Policy(name="tools", guard_output="enforce")
    routes = snapshot(model("small", deployment("d1", provider.base_url), policy="tools"), policies=(policy,))
    tool = {"type": "function", "function": {"name": name, "description": "Does it.", "parameters": {}}}
    body = {"model": "small", "messages": [{"role": "user", "content": "x"}], "tools": [tool], "stream": stream}
    provider.default = Behaviour(tool_arguments=ARGUMENTS)
    async with serving(Parts(guard=guard), routes) as gateway:
        answer = await client.post(gateway.url + CHAT, json=body)
    assert answer.status_code == 200, answer.text
    if not stream:
        found = answer.json()
        (choice,) = found["choices"]
        message = choice["message"]
        calls = message.get("tool_calls") or []
        return choice["finish_reason"], message.get("content") or "", calls, found.get("sluice") or {}, guard
    chunks = [json.loads(line[6:]) for line in answer.text.splitlines() if line.startswith("data: {")]
    choices = [choice for chunk in chunks for choice in chunk["choices"]]
    text = "".join(choice["delta"].get("content") or "" for choice in choices)
    calls = [call for choice in choices for call in choice["delta"].get("tool_calls", ())]
    told = next((chunk["sluice"] for chunk in chunks if chunk.get("sluice")), {})
    reason = next(choice["finish_reason"] for choice in choices if choice.get("finish_reason"))
    return reason, text.strip(), calls, told, guard


@pytest.mark.parametrize("stream", [False, True])
async def test_a_call_that_reads_passes(stream: bool, provider: Provider, client: httpx.AsyncClient) -> None:
    _, text, calls, _, guard = await called("read_file", provider, client, stream=stream)
    assert [(call["id"], call["function"]) for call in calls] == [("c", {"name": "read_file", "arguments": ARGUMENTS})]
    assert text == ""
    assert guard.asked[-1].tool_calls[0].description == "Does it."


@pytest.mark.parametrize("stream", [False, True])
async def test_a_call_that_writes_waits_and_can_be_confirmed(
    stream: bool, provider: Provider, client: httpx.AsyncClient
) -> None:
    reason, text, calls, told, guard = await called("send_email", provider, client, stream=stream)
    assert (reason, calls) == ("stop", [])
    assert text == "The call of the tool send_email waits for somebody to confirm it."
    (waiting,) = told["approvals"]
    assert (waiting["name"], waiting["risk"], told["guard_issues"]) == (
        "send_email",
        "high",
        ["tool_approval_required"],
    )
    assert guard.seal.open(waiting["approval"], "tenant-a").arguments == ARGUMENTS


@pytest.mark.parametrize("stream", [False, True])
async def test_a_call_that_is_not_allowed_ends_the_answer(
    stream: bool, provider: Provider, client: httpx.AsyncClient
) -> None:
    reason, text, calls, _, _ = await called("wipe_disk", provider, client, stream=stream)
    assert (reason, text, calls) == ("content_filter", "The call of the tool wipe_disk is not allowed.", [])
