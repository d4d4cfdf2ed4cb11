"""What happens to a request besides being answered, compiled from policies into the stages that run."""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, NamedTuple

from sluice.contracts.judging import ConfidencePolicy, JudgedMode
from sluice.contracts.retrieval import RetrievalPolicy
from sluice.contracts.routing import (
    AttemptPolicy,
    CachePolicy,
    GuardMode,
    Policy,
    SemanticCache,
    SemanticTuning,
    StructuredMode,
)
from sluice.contracts.sampling import SamplingPolicy
from sluice.contracts.transcripts import TranscriptPolicy
from sluice.errors import DeadlineExceeded
from sluice_gateway.dataplane.confidence import ask_for_confidence
from sluice_gateway.dataplane.errors import ApiError, Gone
from sluice_gateway.domain.sampling import tighter
from sluice_gateway.domain.wishes import Wishes

if TYPE_CHECKING:
    from sluice_gateway.dataplane.context import RequestContext

Stage = Callable[["RequestContext"], Awaitable[None]]
_GROUNDING: tuple[JudgedMode, ...] = ("off", "flag", "refuse")
_STRICTNESS: dict[GuardMode, int] = {"off": 0, "observe": 1, "enforce": 2}
MAX_ATTEMPTS = 8
_SCOPES = ("tenant", "team", "key")
_DEMANDS: tuple[StructuredMode, ...] = ("off", "fail", "repair")


class Stages(NamedTuple):
    """The stages that wait for something else than the model."""

    guard_enforce: Stage
    guard_observe: Stage
    route: Stage
    retrieve: Stage


class Attempting(NamedTuple):
    """What a policy says of attempts: times for each, how many there may be, and when another deployment is asked as well.

    `hedge_share` is the share of a deployment's latest requests (0 to 1) that were answered by the time that is waited.
    """

    wishes: Wishes | None = None
    most: int = MAX_ATTEMPTS
    retries: int | None = None
    hedge_share: float | None = None

    @property
    def hedges(self) -> bool:
        """Whether a second deployment may be asked."""
        return self.hedge_share is not None or (self.wishes is not None and self.wishes.hedge_s is not None)


AS_SET = Attempting()


@dataclass(frozen=True, slots=True)
class Plan:
    """A compiled policy: `groups` of stages that run one after the other, the stages of a group at the same time.

    Retrieval asks an embedding model, which may be a provider. So with an enforced input guard it waits for the verdict and
    asks with the text that the guard lets pass, unless the policy says `beside_guard`; else it runs beside the guard and the router.
    """

    policy: str | None
    guard_input: GuardMode
    guard_output: GuardMode
    guard_policy: str
    fail_open: bool
    retrieval: RetrievalPolicy | None
    groups: tuple[tuple[Stage, ...], ...]
    direct: bool
    cache: CachePolicy | None = None
    # what of the plan changes an answer, for the keys of cached ones
    marks: str = ""
    deadline_s: float | None = None
    structured: StructuredMode = "fail"
    sampling: SamplingPolicy | None = None
    attempts: "Attempting" = AS_SET
    groundedness: JudgedMode = "off"
    second_opinion: JudgedMode = "off"
    confidence: ConfidencePolicy | None = None
    transcripts: TranscriptPolicy | None = None
    keeps_responses: bool = True

    @property
    def judges_whole(self) -> bool:
        """Whether a whole answer is judged by more than its text."""
        return self.groundedness != "off" or self.second_opinion != "off"

    def waiting(self) -> "Plan":
        """Return the same plan for a request that has to wait before the model is asked."""
        return replace(self, direct=False) if self.direct else self

    def drawn(self, own: SamplingPolicy | None) -> "Plan":
        """Return the same plan with what a key, its team or its organisation says of sampling."""
        if own is None:
            return self
        marks = self.marks + own.model_dump_json()
        return replace(self, direct=False, sampling=tighter(own, self.sampling), marks=marks)

    def following(self, ran: Sequence[Stage]) -> tuple[Stage, ...]:
        """Return the stages that run next, given those that ran; an empty tuple means that all have run."""
        for group in self.groups:
            left = tuple(stage for stage in group if stage not in ran)
            if left:
                return left
        return ()


async def together(stages: tuple[Stage, ...], ctx: "RequestContext") -> None:
    """Run stages at the same time; the first one that fails ends the others: a blocked verdict does not wait for retrieval."""
    if len(stages) == 1:
        await stages[0](ctx)
        return
    try:
        async with asyncio.TaskGroup() as group:
            for stage in stages:
                group.create_task(stage(ctx))  # type: ignore[arg-type] # a stage is a coroutine function
    except BaseExceptionGroup as failed:
        # Not `except*`: what is raised there comes out in a group before Python 3.11.4.
        expected, others = failed.split((ApiError, Gone, DeadlineExceeded))
        if expected is None or others is not None:
            raise
        raise _first(expected) from None


def _first(group: BaseExceptionGroup[BaseException]) -> BaseException:
    leaf: BaseException = group
    while isinstance(leaf, BaseExceptionGroup):
        leaf = leaf.exceptions[0]
    return leaf


def compile_plan(policy: Policy | None, stages: Stages, *, virtual: bool, retrieval_asked: bool) -> Plan:
    """Return the plan of a policy; `virtual` adds the question to the router, `retrieval_asked` the retrieval of a request."""
    effective = policy or Policy(name="")
    wanted = effective.retrieval
    retrieval = wanted if wanted is not None and (wanted.vector_store_ids or wanted.memory is not None) else None
    first: list[Stage] = []
    second: list[Stage] = []
    if effective.guard_input != "off":
        first.append(stages.guard_enforce if effective.guard_input == "enforce" else stages.guard_observe)
    if virtual:
        first.append(stages.route)
    if retrieval is not None or retrieval_asked:
        waits = effective.guard_input == "enforce" and (wanted is None or wanted.when == "after_guard")
        (second if waits else first).append(stages.retrieve)
    third = [ask_for_confidence] if effective.confidence is not None else []
    groups = tuple(tuple(group) for group in (first, second, third) if group)
    attempts = _attempting(effective.attempts)
    # Who is asked whether the context supports an answer is the guardrail, so that its answer has to be waited for.
    needed: dict[JudgedMode, GuardMode] = {"off": "off", "flag": "observe", "refuse": "enforce"}
    judged = max(effective.groundedness, effective.second_opinion, key=_GROUNDING.index)
    guard_output = max(effective.guard_output, needed[judged], key=_STRICTNESS.__getitem__)
    return Plan(
        policy=policy.name if policy is not None else None,
        guard_input=effective.guard_input,
        guard_output=guard_output,
        guard_policy=effective.guard_policy,
        fail_open=effective.on_guard_error == "open",
        retrieval=retrieval,
        groups=groups,
        direct=not groups
        and guard_output == "off"
        and effective.sampling is None
        and effective.transcripts is None
        and not attempts.hedges,
        cache=effective.cache,
        marks=effective.model_dump_json(
            exclude={"name", "cache", "deadline_s", "attempts", "transcripts", "keep_responses"}
        ),
        deadline_s=effective.deadline_s,
        structured=effective.structured_output,
        sampling=effective.sampling,
        attempts=attempts,
        groundedness=effective.groundedness,
        second_opinion=effective.second_opinion,
        confidence=effective.confidence,
        transcripts=effective.transcripts,
        keeps_responses=effective.keep_responses,
    )


def stricter(one: Policy | None, other: Policy | None) -> Policy | None:
    """Return the policy that demands all that both demand; where they name different guard policies, the stricter side's counts."""
    if one is None or other is None or one.name == other.name:
        return one or other
    leader = one if _weight(one) >= _weight(other) else other
    return Policy(
        name=leader.name,
        guard_input=max(one.guard_input, other.guard_input, key=_STRICTNESS.__getitem__),
        guard_output=max(one.guard_output, other.guard_output, key=_STRICTNESS.__getitem__),
        guard_policy=leader.guard_policy,
        groundedness=max(one.groundedness, other.groundedness, key=_GROUNDING.index),
        second_opinion=max(one.second_opinion, other.second_opinion, key=_GROUNDING.index),
        confidence=_surer(one.confidence, other.confidence),
        on_guard_error="closed" if "closed" in (one.on_guard_error, other.on_guard_error) else "open",
        retrieval=one.retrieval or other.retrieval,
        deadline_s=_least(one.deadline_s, other.deadline_s),
        attempts=_shorter(one.attempts, other.attempts),
        cache=_narrower(one.cache, other.cache),
        structured_output=max(one.structured_output, other.structured_output, key=_DEMANDS.index),
        sampling=tighter(one.sampling, other.sampling),
        transcripts=_discreet(one.transcripts, other.transcripts),
        keep_responses=one.keep_responses and other.keep_responses,
    )


def _narrower(one: CachePolicy | None, other: CachePolicy | None) -> CachePolicy | None:
    if one is None or other is None:
        return one or other
    return CachePolicy(
        use="on_request" if "on_request" in (one.use, other.use) else "always",
        ttl_s=min(one.ttl_s, other.ttl_s),
        scope=max(one.scope, other.scope, key=_SCOPES.index),
        any_temperature=one.any_temperature and other.any_temperature,
        tool_calls=one.tool_calls and other.tool_calls,
        semantic=_stricter_semantic(one.semantic, other.semantic),
        functions_ttl_s=min(one.functions_ttl_s, other.functions_ttl_s),
    )


def _stricter_semantic(one: SemanticCache | None, other: SemanticCache | None) -> SemanticCache | None:
    if one is None or other is None:
        return None
    return SemanticCache(
        use="on_request" if "on_request" in (one.use, other.use) else "always",
        threshold=max(one.threshold, other.threshold),
        ttl_s=min(one.ttl_s, other.ttl_s),
        tune=_stricter_tuning(one.tune, other.tune),
    )


def _stricter_tuning(one: SemanticTuning | None, other: SemanticTuning | None) -> SemanticTuning | None:
    # Who fixes a threshold does not want it moved.
    if one is None or other is None:
        return None
    return SemanticTuning(
        least=max(one.least, other.least),
        most=max(one.most, other.most),
        max_error=min(one.max_error, other.max_error),
        share=max(one.share, other.share),
        agreement=max(one.agreement, other.agreement),
    )


def _discreet(one: TranscriptPolicy | None, other: TranscriptPolicy | None) -> TranscriptPolicy | None:
    # Who has to keep transcripts gets them, and nobody gets more of them than both say.
    if one is None or other is None:
        return one or other
    return TranscriptPolicy(
        share=max(one.share, other.share),
        redact=one.redact or other.redact,
        keep_days=min(one.keep_days, other.keep_days),
    )


def _surer(one: ConfidencePolicy | None, other: ConfidencePolicy | None) -> ConfidencePolicy | None:
    if one is None or other is None:
        return one or other
    return ConfidencePolicy(
        action="refuse" if "refuse" in (one.action, other.action) else "flag",
        min_probability=max(one.min_probability, other.min_probability),
        samples=max(one.samples, other.samples),
        min_agreement=max(one.min_agreement, other.min_agreement),
    )


def _shorter(one: AttemptPolicy | None, other: AttemptPolicy | None) -> AttemptPolicy | None:
    if one is None or other is None:
        return one or other
    both = ((name, getattr(one, name), getattr(other, name)) for name in AttemptPolicy.model_fields)
    return AttemptPolicy.model_validate({name: _least(mine, others) for name, mine, others in both})


def _least(*given: float | None) -> float | None:
    return min((one for one in given if one is not None), default=None)


def _attempting(said: AttemptPolicy | None) -> Attempting:
    if said is None:
        return AS_SET
    hedge_s = None if said.hedge_after_ms is None else said.hedge_after_ms / 1000
    wishes = Wishes(said.timeout_s, said.first_byte_timeout_s, said.idle_timeout_s, hedge_s)
    share = None if said.hedge_percentile is None else said.hedge_percentile / 100
    return Attempting(wishes if any(wishes) else None, said.max_attempts, said.retries, share)


def _weight(policy: Policy) -> int:
    return _STRICTNESS[policy.guard_input] + _STRICTNESS[policy.guard_output]
