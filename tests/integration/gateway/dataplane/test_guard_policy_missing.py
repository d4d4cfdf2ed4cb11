"""A routing policy that names a guard policy which guard.yaml does not have: refused with the reason, and told in the log."""

import logging

import httpx
import pytest
from gateway_parts import Guard, Keys, Parts, deployment, model, serving, snapshot
from openai_provider import Provider

from sluice.contracts.guard import CheckRequest, InputVerdict, OutputVerdict
from sluice.contracts.routing import Policy, RoutingSnapshot
from sluice_gateway.domain.ports import KeyRecord
from sluice_guardrail.domain.policy import parse_policies

CHAT = "/v1/chat/completions"
ASKED = {"model": "small", "messages": [{"role": "user", "content": "x"}]}
GUARD_FILE = parse_policies({"version": 1, "policies": {"default": {}}}, "guard.yaml")
LOGGER = "sluice_gateway.dataplane.stages.guard_trouble"
POLICIES = (
    Policy(name="input", guard_input="enforce", guard_policy="gone"),
    Policy(name="output", guard_output="enforce", guard_policy="gone"),
    Policy(name="open", guard_input="enforce", on_guard_error="open", guard_policy="gone"),
    Policy(name="watch", guard_input="observe", guard_policy="gone"),
)


class Lacking(Guard):
    """A guardrail that looks a policy up as the service does."""

    async def check_input(self, request: CheckRequest, *, tenant: str, timeout_s: float) -> InputVerdict:
        """Answer, if the policy is there."""
        GUARD_FILE.get(request.policy)
        return await super().check_input(request, tenant=tenant, timeout_s=timeout_s)

    async def check_output(self, request: CheckRequest, *, tenant: str, timeout_s: float) -> OutputVerdict:
        """Answer, if the policy is there."""
        GUARD_FILE.get(request.policy)
        return await super().check_output(request, tenant=tenant, timeout_s=timeout_s)


def routing(provider: Provider, policy: str) -> RoutingSnapshot:
    return snapshot(model("small", deployment("d1", provider.base_url), policy=policy), policies=POLICIES)


@pytest.mark.parametrize("policy", ["input", "output"])
async def test_a_closed_policy_refuses_and_says_why(
    policy: str, provider: Provider, client: httpx.AsyncClient, caplog: pytest.LogCaptureFixture
) -> None:
    async with serving(Parts(guard=Lacking()), routing(provider, policy)) as gateway:
        answers = [await client.post(gateway.url + CHAT, json=ASKED) for _ in range(2)]
        assert 'stage_errors_total{stage="guard_' in gateway.parts.registry.render()[0].decode()
    for answer in answers:
        assert (answer.status_code, answer.json()["error"]["code"]) == (503, "guard_policy_missing")
        assert "'gone'" in answer.json()["error"]["message"]
        assert answer.headers["x-should-retry"] == "false"
    said = [record.getMessage() for record in caplog.records if record.name == LOGGER]
    assert len(said) == 1
    assert all(name in said[0] for name in (f"'{policy}'", "'gone'", "guard.yaml"))


@pytest.mark.parametrize("policy", ["open", "watch"])
async def test_what_goes_on_unchecked_is_told_in_the_log(
    policy: str, provider: Provider, client: httpx.AsyncClient, caplog: pytest.LogCaptureFixture
) -> None:
    async with serving(Parts(guard=Lacking()), routing(provider, policy)) as gateway:
        answer = await client.post(gateway.url + CHAT, json=ASKED)
    assert answer.status_code == 200
    assert [record.levelno for record in caplog.records if record.name == LOGGER] == [logging.WARNING]


async def test_a_moderation_says_so_too(provider: Provider, client: httpx.AsyncClient) -> None:
    keys = Keys({b"Bearer sk-test": KeyRecord("k", "t", "n", models=None, policy="input")})
    async with serving(Parts(guard=Lacking(), keys=keys), routing(provider, "input")) as gateway:
        answer = await client.post(gateway.url + "/v1/moderations", json={"input": "x"})
    assert (answer.status_code, answer.json()["error"]["code"]) == (503, "guard_policy_missing")
