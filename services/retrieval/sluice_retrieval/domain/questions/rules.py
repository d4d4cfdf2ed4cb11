"""A rewriter that goes on by rules when the chat model is away."""

from collections.abc import Callable, Sequence

from sluice.contracts.questions import Turn
from sluice.errors import DeadlineExceeded, DependencyUnavailable, UpstreamFailed
from sluice_retrieval.domain.questions.standalone import stand_alone
from sluice_retrieval.domain.questions.understanding import RULES, Rewriter, Rewritten


class WithRules:
    """Asks a chat model to rewrite, and rewrites by rules when it cannot; `failed` is told each time."""

    def __init__(self, model: Rewriter, failed: Callable[[], None]) -> None:
        self._model = model
        self._failed = failed

    async def rewrite(self, question: str, earlier: Sequence[Turn], model: str | None) -> Rewritten:
        """Return the question as it stands alone."""
        try:
            return await self._model.rewrite(question, earlier, model)
        except (DependencyUnavailable, DeadlineExceeded, UpstreamFailed):
            self._failed()
            return Rewritten(stand_alone(question, earlier) or question, RULES)
