"""Personal data and secrets in a prompt, as the guardrail tells of them."""

from typing import Any

from sluice.contracts.guard import CheckRequest, InputVerdict, IssueDetail
from sluice.errors import DependencyUnavailable
from sluice_gateway.adapters.prompt_guard import PromptGuard

TEXTS = [("system", "Write to ann@example.com."), ("examples", "in"), ("examples", "sk-…")]


class Guardrail:
    """Answers with findings, or is away."""

    def __init__(self, *found: tuple[str, str, str]) -> None:
        self.found = found
        self.asked: list[CheckRequest] = []

    async def check_input(self, request: CheckRequest, **_: Any) -> InputVerdict:
        if not self.found:
            raise DependencyUnavailable("The guardrail service cannot be reached.")
        self.asked.append(request)
        details = tuple(
            IssueDetail(
                code=code,
                detector="d",
                kind="k",
                category=category,
                action="flag",
                score=1.0,
                segment_id=place,
                start=0,
                end=1,
            )
            for code, category, place in self.found
        )
        return InputVerdict(safe=False, issues=(), details=details, policy="default", policy_hash="x")


async def test_findings_stand_in_their_section_each_kind_once() -> None:
    guardrail: Any = Guardrail(
        ("pii_detected", "email", "0"),
        ("pii_detected", "email", "0"),
        ("secret_detected", "openai", "2"),
        ("prompt_injection", "", "1"),
    )
    found = await PromptGuard(guardrail).look(TEXTS, "acme")
    assert [(one.code, one.level, one.section) for one in found] == [
        ("personal_data", "warning", "system"),
        ("secret", "error", "examples"),
    ]
    assert [segment.role for segment in guardrail.asked[0].segments] == ["system", "user", "user"]


async def test_without_the_guardrail_the_answer_says_that_nobody_looked() -> None:
    nobody: Any = Guardrail()
    (found,) = await PromptGuard(nobody).look(TEXTS, "acme")
    assert (found.code, found.level) == ("not_checked", "info")
    assert "cannot be reached" in found.message
