"""How sure a model was of its answer: from the log-probabilities of its tokens, and from how far several answers agree (handbook F044).

The probability of an answer is the geometric mean of its tokens' probabilities, exp(mean log p); its perplexity is the inverse (Jelinek et
al., 1977). Agreement is the mean of the first answer's token F1 with each other one (Rajpurkar et al., SQuAD, 2016), as in
self-consistency (Wang et al., 2023). Neither says that an answer is right: a model can be sure of what is wrong.
"""

import math
import re
from collections import Counter
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

from sluice.contracts.judging import ConfidencePolicy

if TYPE_CHECKING:
    from sluice_gateway.dataplane.context import RequestContext

LOW = "low_confidence"
UNKNOWN = "unknown_confidence"
UNSURE = "I'm not sure enough of the answer to give one."
"""What stands in place of an answer that the model was not sure of, where the policy refuses such."""

_TOKEN = re.compile(r"\w+")


class Confidence(NamedTuple):
    """How sure a model was: probability of its tokens (geometric mean and lowest), perplexity, and agreement of its answers; None: not known."""

    probability: float | None = None
    lowest: float | None = None
    perplexity: float | None = None
    agreement: float | None = None


class Tokens:
    """The log-probabilities of an answer's tokens, as they come."""

    def __init__(self) -> None:
        self._sum = 0.0
        self._count = 0
        self._lowest = 0.0

    def take(self, logprobs: object) -> None:
        """Take the `logprobs` of a choice or of a part of one, in the shape of chats or of completions."""
        for value in _values(logprobs):
            self._sum += value
            self._count += 1
            self._lowest = min(self._lowest, value)

    def confidence(self) -> Confidence:
        """Return what they come to."""
        if not self._count:
            return Confidence()
        mean = self._sum / self._count
        return Confidence(
            round(math.exp(mean), 4), round(math.exp(self._lowest), 4), round(math.exp(min(50.0, -mean)), 4)
        )


async def ask_for_confidence(ctx: "RequestContext") -> None:
    """Have the model tell log-probabilities, and give several answers where the policy wants them compared."""
    policy = ctx.plan.confidence
    if policy is None or ctx.endpoint.kind not in ("chat", "completion") or ctx.verbatim:
        return
    fields = ctx.fields
    added: dict[str, Any] = {}
    if not fields.get("logprobs"):
        added["logprobs"] = True if ctx.endpoint.kind == "chat" else 1
    if policy.samples and not ctx.body.stream and fields.get("n") in (None, 1) and fields.get("temperature") != 0:
        added["n"] = 1 + policy.samples
    if added:
        ctx.asked_for = frozenset(added)
        ctx.fields = {**fields, **added}
        ctx.changed = True


def measured(ctx: "RequestContext", answer: dict[str, Any]) -> dict[str, Any]:
    """Note how sure the model was of a whole answer, and return it as the client asked for it."""
    policy = ctx.plan.confidence
    choices = answer.get("choices") or ()
    if policy is None or not choices:
        return answer
    tokens = Tokens()
    tokens.take(choices[0].get("logprobs"))
    agreement = None
    if "n" in ctx.asked_for:
        others = [_text(choice) for choice in choices[1:]]
        agreement = agreed(_text(choices[0]), others) if others else None
        choices = choices[:1]
    note(ctx, tokens.confidence()._replace(agreement=agreement))
    if "logprobs" in ctx.asked_for:
        choices = [{**choice, "logprobs": None} for choice in choices]
    if policy.action == "refuse" and {LOW, UNKNOWN} & {*ctx.guard_issues}:
        ctx.judged("blocked")
        ctx.status, ctx.error_code = "blocked", "content_filter"
        choices = [_refused(choice) for choice in choices]
    return {**answer, "choices": list(choices)}


def note(ctx: "RequestContext", found: Confidence) -> None:
    """Note how sure the model was, and whether the policy calls that too little."""
    policy = ctx.plan.confidence
    assert policy is not None
    ctx.confidence = found
    ctx.flag(_issues(found, policy))


def agreed(first: str, others: Sequence[str]) -> float:
    """Return how far other answers say what the first one says, 0 to 1; different numbers are different answers."""
    return round(sum(_alike(first, other) for other in others) / len(others), 4)


def _alike(one: str, other: str) -> float:
    mine, theirs = (Counter(_TOKEN.findall(text.lower())) for text in (one, other))
    if not mine or not theirs:
        return float(mine == theirs)
    if {word for word in mine if word.isdigit()} != {word for word in theirs if word.isdigit()}:
        return 0.0
    common = (mine & theirs).total()
    return 2 * common / (mine.total() + theirs.total())


def _issues(found: Confidence, policy: ConfidencePolicy) -> tuple[str, ...]:
    if found.probability is None and found.agreement is None:
        return (UNKNOWN,)
    low = (found.probability is not None and found.probability < policy.min_probability) or (
        found.agreement is not None and found.agreement < policy.min_agreement
    )
    return (LOW,) if low else ()


def _values(logprobs: object) -> Iterable[float]:
    if not isinstance(logprobs, dict):
        return ()
    content = logprobs.get("content")
    if isinstance(content, list):
        found = [one.get("logprob") for one in content if isinstance(one, dict)]
    else:
        found = list(logprobs.get("token_logprobs") or ())
    return (float(value) for value in found if isinstance(value, int | float) and math.isfinite(value))


def _text(choice: dict[str, Any]) -> str:
    message = choice.get("message")
    text = message.get("content") if isinstance(message, dict) else choice.get("text")
    return text if isinstance(text, str) else ""


def _refused(choice: dict[str, Any]) -> dict[str, Any]:
    message = choice.get("message")
    if not isinstance(message, dict):
        return {**choice, "text": UNSURE, "finish_reason": "content_filter", "logprobs": None}
    left = {name: value for name, value in message.items() if name not in ("tool_calls", "reasoning_content")}
    return {**choice, "message": {**left, "content": UNSURE}, "finish_reason": "content_filter", "logprobs": None}


class StreamConfidence:
    """Reads the log-probabilities of a stream's first choice, and takes them out where the client did not ask for them."""

    def __init__(self, *, hidden: bool) -> None:
        self._hidden = hidden
        self._tokens = Tokens()

    def take(self, chunk: dict[str, Any]) -> dict[str, Any]:
        """Take one chunk and return it as the client asked for it."""
        choices = chunk.get("choices") or ()
        for choice in choices:
            if choice.get("index", 0) == 0:
                self._tokens.take(choice.get("logprobs"))
        if not self._hidden or not any(choice.get("logprobs") for choice in choices):
            return chunk
        return {**chunk, "choices": [{**choice, "logprobs": None} for choice in choices]}

    def confidence(self) -> Confidence:
        """Return how sure the model was."""
        return self._tokens.confidence()
