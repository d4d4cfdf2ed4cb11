"""Asks the feedback service what people said of the answers to a stored prompt."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from sluice.clients.feedback import FeedbackClient
from sluice.contracts.feedback import PromptFeedbackQuery, PromptVersionFeedback
from sluice.errors import SluiceError


@dataclass(frozen=True, slots=True)
class Told:
    """What is known of feedback by version; `missing` says why nothing is, None when it was counted."""

    versions: Mapping[int, PromptVersionFeedback] = field(default_factory=dict)
    missing: str | None = None


class FeedbackOfPrompts:
    """Feedback on answers to prompts. Degraded mode: while the service is off or away nothing is known, and why is said."""

    def __init__(self, client: FeedbackClient) -> None:
        self._client = client

    async def of(self, tenant: str, prompt: str, since: float, until: float) -> Told:
        """Return the feedback on answers of a period (unix seconds, `until` excluded)."""
        query = PromptFeedbackQuery.model_validate({"prompt": prompt, "from": since, "to": until})
        try:
            found = await self._client.of_prompt(query, tenant=tenant)
        except SluiceError as exc:
            return Told(missing=exc.detail)
        return Told({one.version: one for one in found.data})
