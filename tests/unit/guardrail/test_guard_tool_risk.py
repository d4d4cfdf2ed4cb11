"""Tool calls by the risk of their tools: what kind a tool is, and what may become of a call."""

import pytest

from sluice.contracts.guard import CheckRequest, OutputVerdict, Segment, ToolCall, VaultEntry
from sluice.settings import ConfigError
from sluice.testing.clock import FakeClock
from sluice_guardrail.adapters.approval_seal import ApprovalSeal
from sluice_guardrail.domain.check import check
from sluice_guardrail.domain.errors import UnreadableApproval
from sluice_guardrail.domain.policy import NamedPolicy, parse_policies
from sluice_guardrail.domain.tool_risk import ToolRules, classify


def policy(mode: str = "enforce", **tools: object) -> NamedPolicy:
    output = {"tools": tools, "pii": {"action": "redact"}}
    content = {"version": 1, "policies": {"default": {"mode": mode, "output": output}}}
    return parse_policies(content, "guard.yaml").get("default")


def asked(rules: NamedPolicy, *names: str, arguments: str = "{}", vault: tuple[VaultEntry, ...] = ()) -> CheckRequest:
    segments = tuple(Segment(id=f"s{at}", role="assistant", text=arguments) for at in range(len(names)))
    calls = tuple(ToolCall(id=f"c{at}", name=name, segment_id=f"s{at}") for at, name in enumerate(names))
    return CheckRequest(stage="output", segments=segments, tool_calls=calls, vault=vault, policy=rules.name)


def verdict_on(rules: NamedPolicy, request: CheckRequest) -> OutputVerdict:
    found = check(request, rules, lambda: None)
    assert isinstance(found, OutputVerdict)
    return found


@pytest.mark.parametrize(
    ("name", "description", "kind", "by"),
    [
        ("read_file", "", "read", "name"),
        ("getWeather", "Returns the weather.", "read", "name"),
        ("list-orders", "", "read", "name"),
        ("python_interpreter", "", "compute", "name"),
        ("calculator", "Adds numbers", "compute", "name"),
        ("fetch_url", "", "external", "name"),
        ("search_web", "", "external", "name"),
        ("send_email", "", "write", "name"),
        ("HTTPDelete", "", "write", "name"),
        ("transferFunds", "", "write", "name"),
        ("get_user", "Deletes the session and returns the user", "write", "description"),
        ("foo", "Looks up rows: list all of a table.", "read", "description"),
        ("get_order", "", "read", "name"),
        ("add_user", "", "write", "name"),
        ("foo", "", "write", "nothing"),
        ("crm_note", "", "read", "declared"),
    ],
)
def test_a_tool_is_what_the_policy_its_name_or_its_description_says(
    name: str, description: str, kind: str, by: str
) -> None:
    assert tuple(classify(name, description, ToolRules(kinds={"crm_*": "read"}))) == (kind, by)


def test_what_a_call_becomes_follows_from_its_risk() -> None:
    names = ("read_file", "calculator", "fetch_url", "send_email")
    found = verdict_on(policy(), asked(policy(), *names))
    assert [(one.risk, one.action) for one in found.tool_calls] == [
        ("low", "allow"),
        ("medium", "flag"),
        ("medium", "flag"),
        ("high", "approve"),
    ]
    assert found.safe
    assert found.issues == ("risky_tool", "tool_approval_required")
    strict = policy(actions={"high": "block", "low": "approve"}, tools={"send_*": "allow"}, risks={"compute": "high"})
    found = verdict_on(strict, asked(strict, *names))
    assert [one.action for one in found.tool_calls] == ["approve", "block", "flag", "allow"]
    observed = policy(mode="observe")
    assert [one.action for one in verdict_on(observed, asked(observed, *names)).tool_calls] == ["allow", *["flag"] * 3]


def test_without_rules_for_tools_nothing_is_said_of_calls() -> None:
    plain = parse_policies({"version": 1, "policies": {"default": {}}}, "guard.yaml").get("default")
    found = verdict_on(plain, asked(plain, "delete_everything"))
    assert (found.issues, found.tool_calls) == ((), ())


def test_a_waiting_call_opens_for_its_tenant_and_in_time_as_the_check_let_it_pass() -> None:
    clock = FakeClock()
    seal = ApprovalSeal("secret", clock, ttl_s=60)
    request = asked(
        policy(),
        "send_email",
        arguments='{"to": "<EMAIL_1>", "cc": "eve@example.com"}',
        vault=(VaultEntry(placeholder="<EMAIL_1>", value="bob@example.com"),),
    )
    (waiting,) = seal.sealed(verdict_on(policy(), request), request, "acme").tool_calls
    assert waiting.approval is not None
    assert "example.com" not in waiting.approval
    opened = seal.open(waiting.approval, "acme")
    assert (opened.name, opened.arguments, opened.risk) == (
        "send_email",
        '{"to": "bob@example.com", "cc": "[EMAIL]"}',
        "high",
    )
    for token, tenant in ((waiting.approval, "other"), (waiting.approval[:-2] + "AA", "acme")):
        with pytest.raises(UnreadableApproval):
            seal.open(token, tenant)
    clock.advance(61)
    with pytest.raises(UnreadableApproval):
        seal.open(waiting.approval, "acme")


def test_a_wrong_kind_is_refused() -> None:
    with pytest.raises(ConfigError, match="kinds"):
        policy(kinds={"a": "harmless"})
