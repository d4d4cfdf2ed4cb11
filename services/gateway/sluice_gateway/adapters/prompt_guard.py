"""Looks for personal data and secrets in the texts of a prompt, with the guardrail's detectors."""

from collections.abc import Sequence

from sluice.clients.guardrail import GuardrailClient
from sluice.contracts.guard import CheckRequest, Segment
from sluice.contracts.prompts import LintCode, LintFinding
from sluice.errors import SluiceError

_TIMEOUT_S = 20.0
_CODES: dict[str, LintCode] = {"pii_detected": "personal_data", "secret_detected": "secret"}


class PromptGuard:
    """Asks the guardrail. Degraded mode: while it cannot answer, one finding says that nobody looked."""

    def __init__(self, guardrail: GuardrailClient) -> None:
        self._guardrail = guardrail

    async def look(self, texts: Sequence[tuple[str, str]], tenant: str) -> tuple[LintFinding, ...]:
        """Return the personal data (warnings) and secrets (errors) in texts, which come with the names of their sections."""
        segments = tuple(
            Segment(id=str(place), role="system" if section == "system" else "user", text=text)
            for place, (section, text) in enumerate(texts)
        )
        try:
            verdict = await self._guardrail.check_input(
                CheckRequest(stage="input", segments=segments), tenant=tenant, timeout_s=_TIMEOUT_S
            )
        except SluiceError as exc:
            return (
                LintFinding(
                    code="not_checked",
                    level="info",
                    message=f"Nobody looked for personal data and secrets: {exc.detail}",
                ),
            )
        found = {}
        for issue in verdict.details:
            code = _CODES.get(issue.code)
            if code is not None and issue.segment_id is not None:
                section = texts[int(issue.segment_id)][0]
                found[section, code, issue.category or issue.kind] = LintFinding(
                    code=code,
                    level="error" if code == "secret" else "warning",
                    section=section,
                    message=f"There is {'a secret' if code == 'secret' else 'personal data'} ({issue.category or issue.kind}): "
                    "it is sent to the model with every request, and everybody who reads the prompt sees it.",
                )
        return tuple(found.values())
