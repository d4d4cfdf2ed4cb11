"""One attempt on a deployment: the call that goes out, and what its outcome means. Both ways of the request path share it."""

import asyncio
import math
from datetime import UTC
from email.utils import parsedate_to_datetime
from typing import Any, Literal, NamedTuple, NoReturn
from urllib.parse import urlsplit

import orjson

from sluice.errors import DependencyUnavailable
from sluice_gateway import nesting
from sluice_gateway.dataplane import foreign
from sluice_gateway.dataplane.body import upstream_bytes
from sluice_gateway.dataplane.context import RequestContext
from sluice_gateway.dataplane.cooldowns import Cooldowns
from sluice_gateway.dataplane.deployments import DeploymentState
from sluice_gateway.dataplane.deps import DataPlaneDeps
from sluice_gateway.dataplane.errors import (
    NO_RETRY,
    ApiError,
    Gone,
    InvalidRequest,
    OutOfTime,
    RateLimited,
    Unavailable,
    UpstreamBroken,
    stopping,
)
from sluice_gateway.dataplane.halves import mended
from sluice_gateway.dataplane.refusals import refusal, refused_as_failure
from sluice_gateway.dataplane.sse import Scanner, StreamPiece, is_failure
from sluice_gateway.dataplane.stages.resolve import open_to
from sluice_gateway.dataplane.structure import in_terms_of
from sluice_gateway.dataplane.table import ModelEntry
from sluice_gateway.dataplane.upstream import Call, FormCall, Reason, UpstreamReply
from sluice_gateway.domain.wishes import Wishes, wishes_of
from sluice_gateway.tokens import count_of
from sluice_gateway.translate.shapes import Provider, Refusal

_DEFAULT_RETRY_S = 1.0
_FIRST_ERROR, _FAILED, _LAST_ERROR = 400, 500, 599
_ERROR = b"error"  # nothing that failed does without it
_WRITTEN = frozenset({"chat", "completion"})  # what has `choices`
_NO_SUCH_PATH = frozenset({404, 405, 501})

_REFUSED_AS = {"context_length_exceeded": "context", "content_filter": "content"}
_REFUSALS = frozenset(_REFUSED_AS.values())
# what the same deployment would answer again
_HOPELESS = _REFUSALS | {"credential", "status_3xx", "status_4xx", "too_large"}
_NO_FAULT = _REFUSALS | {"rate_limit", "too_large"}  # after which a deployment does not rest
_WHY = {"timeout": "timeout", "connect_timeout": "timeout", "context": "context", "content": "content"}

StatusClass = Literal["answer", "refusal", "limit", "failure"]


class Answer(NamedTuple):
    """What a deployment answered: a whole body and its JSON, or a stream whose first piece was read.

    `messages` are those of a stream that was read to its end already.
    """

    reply: UpstreamReply
    json: dict[str, Any] | None
    scanner: Scanner | None
    first: StreamPiece | None
    messages: list[dict[str, Any]] | None = None


class AttemptFailed(Exception):
    """This deployment did not answer; `error` is what the client gets when no other does."""

    def __init__(self, error: ApiError, reason: str) -> None:
        super().__init__(reason)
        self.error = error
        self.reason = reason


def classify(status: int) -> StatusClass:
    """Tell what a status means: an answer, a refusal of the caller's parameters, a rate limit, or a failure of the deployment.

    401, 403 and 404 are failures: the credential and the model name are ours, not the caller's.
    """
    if 200 <= status < 300:
        return "answer"
    if status in (400, 413, 422):
        return "refusal"
    return "limit" if status == 429 else "failure"


def retry_after_s(header: bytes | None, longest: float, now: float) -> float:
    """Return the seconds of a Retry-After header (RFC 9110: seconds or an HTTP date), at most `longest`.

    Nonsense counts as one second; `now` is Unix time.
    """
    said = b"" if header is None else header.strip()
    if said.isdigit():
        return min(float(said), longest)
    try:
        at = parsedate_to_datetime(said.decode("latin-1"))
    except (ValueError, OverflowError):
        return min(_DEFAULT_RETRY_S, longest)
    at = at if at.tzinfo is not None else at.replace(tzinfo=UTC)
    return min(max(0.0, at.timestamp() - now), longest)


def failed(reason: str) -> AttemptFailed:
    """Return the failure of a deployment that gave no proper answer."""
    return AttemptFailed(
        UpstreamBroken("The model could not answer: its server failed. Try again; if it goes on, use another model."),
        reason,
    )


def elsewhere(ctx: RequestContext, entry: ModelEntry, why: str) -> tuple[ModelEntry, ...] | None:
    """Return the models to try after a failure of this kind, None when there is no chain of its own for it.

    The route's chain comes before the model's; models that the key may not use are left out.
    """
    chain = None if ctx.route is None else ctx.route.on.get(why)
    if chain is None:
        chain = entry.on.get(why)
    return None if chain is None else open_to(ctx.key, chain)


def _refused_or_elsewhere(ctx: RequestContext, entry: ModelEntry, said: ApiError) -> Exception:
    # A refusal is the caller's to hear, unless another model is set for just this case.
    why = _REFUSED_AS.get(said.error_code or "")
    if why is not None and elsewhere(ctx, entry, why):
        return AttemptFailed(said, why)
    return said


def is_late(ctx: RequestContext) -> bool:
    """Tell whether the caller's deadline has passed."""
    return ctx.deadline is not None and asyncio.get_running_loop().time() >= ctx.deadline - 0.002


def is_callers_own(ctx: RequestContext, state: DeploymentState) -> bool:
    """Tell whether a time-out says nothing of a deployment: the caller allowed it less time than the operator does."""
    if ctx.heads.attempt is None:
        return False
    streamed, said = ctx.body.stream, ctx.plan.attempts.wishes
    allowed = (state.first_byte_s if streamed else state.timeout_s), state.idle_s
    if said is not None:
        allowed = _shorter(said, *allowed, streamed=streamed)
    return _shorter(wishes_of(ctx.heads.attempt), *allowed, streamed=streamed) != allowed


class Attempts:
    """Makes calls and judges their outcome."""

    def __init__(self, deps: DataPlaneDeps, cooldowns: Cooldowns) -> None:
        self._deps = deps
        self._cooldowns = cooldowns

    def trying(self, state: DeploymentState) -> None:
        """Note that a deployment that has failed is tried: until the outcome is known nobody else needs to."""
        self._cooldowns.trying(state)

    def call(self, ctx: RequestContext, entry: ModelEntry, state: DeploymentState, traceparent: str | None) -> Call:
        """Return the call to a deployment.

        Raises:
            AttemptFailed: the deployment's credential is not set.
            InvalidRequest: something in the request has no counterpart in the deployment's API.
        """
        headers: tuple[tuple[str, str], ...] = ()
        form = ctx.form
        body: bytes | memoryview
        if form is not None and state.provider is None:
            path, headers, body = ctx.endpoint.upstream_path, (("content-type", form.content_type),), form.files()
        elif state.provider is None and ctx.endpoint.client is None:
            path = ctx.endpoint.upstream_path
            fields, changed = ctx.fields, ctx.changed
            if ctx.structure is not None:
                fields = in_terms_of(state.config.provider, ctx.structure, fields, ctx.endpoint.kind)
                changed = changed or fields is not ctx.fields
            body = upstream_bytes(ctx.raw, ctx.body, fields, state.upstream_model, changed=changed)
        else:
            path, headers, body = foreign.request(ctx, entry, state)
        before, after = state.paths
        path = before + path + after
        kind = state.auth.kind
        if kind == "aws":
            headers = (*headers, *self._signature(state, path, bytes(body)))
        elif kind != "none":
            headers = (*headers, self._credential(ctx, state))
        if traceparent is not None:
            headers = (*headers, ("traceparent", traceparent))
        limit_s, idle_s = state.first_byte_s if ctx.body.stream else state.timeout_s, state.idle_s
        if ctx.wishes is not None:
            limit_s, idle_s = _shorter(ctx.wishes, limit_s, idle_s, streamed=ctx.body.stream)
        call = (Call if form is None else FormCall)(
            path,
            body,
            headers,
            ctx.heads.request_id,
            state.connect_timeout_s,
            limit_s,
            ctx.deadline,
            idle_s,
        )
        if form is not None and isinstance(call, FormCall):
            texts = {"prompt": ctx.fields["prompt"]} if "prompt" in ctx.fields else {}
            call.lead = form.texts_with({**texts, "model": state.upstream_model})
        return call

    def judge(
        self, ctx: RequestContext, entry: ModelEntry, state: DeploymentState, reply: UpstreamReply
    ) -> dict[str, Any] | None:
        """Return the JSON of a whole answer, None for a stream that may answer the request.

        Raises:
            ApiError: the deployment refused the caller's parameters.
            AttemptFailed: the deployment did not answer.
        """
        kind = classify(reply.status)
        stream = reply.stream
        if kind == "answer":
            if stream is not None and ctx.body.stream:
                return None
            if stream is None and not ctx.body.stream:
                if ctx.form is not None and not reply.content_type.startswith(b"application/json"):
                    return {}  # subtitles or text, which pass as they come
                found = _json(ctx, state, reply.body)
                may_fail = state.provider is None and (_ERROR in reply.body or not found.get("choices"))
                if may_fail and (status := _failure_in(ctx, found)) is not None:
                    return self.judge(ctx, entry, state, reply._replace(status=status))
                return _found(ctx, state.provider, found)
        if stream is not None:
            stream.close()
        if state.provider is not None and kind != "answer":
            self._refused(ctx, state, state.provider.refusal(reply.status, reply.body), reply, entry)
        said = _said(ctx, entry, state, reply, kind)
        if said is not None:
            state.succeeded()  # a refusal is a sign of life
            raise _refused_or_elsewhere(ctx, entry, said)
        if kind == "limit":
            raise self._limited(reply, state)
        raise failed("protocol" if kind == "answer" else f"status_{reply.status // 100}xx")

    def broken(self, ctx: RequestContext, reason: Reason) -> Exception:
        """Return what a broken exchange means: an AttemptFailed, an ApiError, or Gone."""
        if ctx.gone:
            return Gone()
        if reason == "cancelled":
            return stopping()
        if reason == "connect_timeout":
            return AttemptFailed(
                OutOfTime(
                    "The model's server took no connection in time. Try again, or use another model.", code=reason
                ),
                reason,
            )
        if reason == "too_large":
            return AttemptFailed(
                UpstreamBroken(
                    "The model's answer is larger than is taken here. Ask for less in one request.",
                    code="answer_too_large",
                    headers=(NO_RETRY,),
                ),
                reason,
            )
        if reason != "timeout":
            return failed(reason)
        if is_late(ctx):
            return OutOfTime(
                "The answer was not ready by the caller's deadline. Allow more time with x-sluice-deadline-ms."
            )
        return AttemptFailed(
            OutOfTime(
                "The model did not answer in time. Try again, or ask for a shorter answer.",
                code="first_byte_timeout" if ctx.body.stream else "answer_timeout",
            ),
            "timeout",
        )

    def note(self, ctx: RequestContext, entry: ModelEntry, state: DeploymentState, failure: AttemptFailed) -> None:
        """Count a failed attempt and set what is tried next; the deployment rests, unless it only refused, asked for a pause, or had less time than its operator allows."""
        reason, name = failure.reason, state.id
        entry.metrics.upstream_error(reason)
        ctx.failure = failure.error
        ctx.first = ctx.first or name
        ctx.tried = (ctx.tried or frozenset()) | {name}
        if reason in _HOPELESS:
            ctx.hopeless |= {name}
        onward = elsewhere(ctx, entry, _WHY.get(reason, "error"))
        if onward is not None:
            ctx.chain = onward if reason in _REFUSALS else (entry, *onward)
        if reason == "timeout" and is_callers_own(ctx, state):
            return
        if reason not in _NO_FAULT:
            options = self._deps.options
            state.failed(self._deps.clock.monotonic(), options.cooldown_s, options.max_cooldown_s)
            self._cooldowns.failed(state)

    def _signature(self, state: DeploymentState, path: str, body: bytes) -> tuple[tuple[str, str], ...]:
        base = urlsplit(state.config.base_url)
        try:
            return self._deps.credentials.signed(state.auth, f"{base.scheme}://{base.netloc}{path}", body)
        except DependencyUnavailable as exc:
            raise _not_set_up() from exc

    def _credential(self, ctx: RequestContext, state: DeploymentState) -> tuple[str, str]:
        try:
            secret = self._deps.credentials.bearer(state.auth, ctx.key.tenant)
            return state.credential(secret or "")
        except DependencyUnavailable as exc:
            raise _not_set_up() from exc

    def _refused(
        self, ctx: RequestContext, state: DeploymentState, said: Refusal, reply: UpstreamReply, entry: ModelEntry
    ) -> NoReturn:
        if said.kind in ("request", "context", "content"):
            state.succeeded()
            raise _refused_or_elsewhere(ctx, entry, foreign.refusal(said, entry.name))
        if said.kind == "limit":
            header = None if said.retry_after_s is None else str(math.ceil(said.retry_after_s)).encode()
            raise self._limited(reply if header is None else reply._replace(retry_after=header), state)
        raise failed(f"status_{reply.status // 100}xx")

    def _limited(self, reply: UpstreamReply, state: DeploymentState) -> AttemptFailed:
        wait = retry_after_s(reply.retry_after, self._deps.options.max_cooldown_s, self._deps.clock.now())
        state.rate_limited(self._deps.clock.monotonic(), wait)
        self._cooldowns.limited(state)
        after = str(max(1, round(wait))).encode()
        return AttemptFailed(
            RateLimited(
                f"The rate limit of this model is reached. Try again in {after.decode()} s.",
                headers=((b"retry-after", after),),
            ),
            "rate_limit",
        )


def _not_set_up() -> AttemptFailed:
    return AttemptFailed(Unavailable("The provider of this model is not set up. Ask your administrator."), "credential")


def _shorter(wishes: Wishes, limit_s: float, idle_s: float, *, streamed: bool) -> tuple[float, float]:
    # A caller may wait for less than the operator allows, not for more.
    wished = wishes.first_byte_s if streamed else wishes.timeout_s
    return min(limit_s, wished or limit_s), min(idle_s, wishes.idle_s or idle_s)


def _said(
    ctx: RequestContext, entry: ModelEntry, state: DeploymentState, reply: UpstreamReply, kind: StatusClass
) -> ApiError | None:
    # What a deployment said to the caller, None when it failed.
    if ctx.endpoint.counts and reply.status in _NO_SUCH_PATH:
        return InvalidRequest(
            f"The model `{entry.name}` cannot count tokens before it answers: its server has no endpoint for that.",
            param="model",
            code="unsupported_value",
        )
    tell = refusal if kind == "refusal" else refused_as_failure
    return tell(reply.status, reply.body, model=entry.name, upstream_model=state.config.upstream_model)


def _found(ctx: RequestContext, provider: Provider | None, found: dict[str, Any]) -> dict[str, Any]:
    if provider is not None:
        return _translated(ctx, provider, found)
    if ctx.endpoint.counts and count_of(found.get("input_tokens")) is None:
        raise failed("protocol")
    return foreign.as_it_came(found) if ctx.verbatim else found


def _failure_in(ctx: RequestContext, found: dict[str, Any]) -> int | None:
    # The status that an answer should have had which is none: OpenRouter and its like tell failures with 200.
    if ctx.verbatim or ctx.endpoint.counts or (found.get("choices") and not is_failure(found)):
        return None
    error = found.get("error")
    code = error.get("code") if isinstance(error, dict) else None
    if error:
        return code if isinstance(code, int) and _FIRST_ERROR <= code <= _LAST_ERROR else _FAILED
    return _FAILED if ctx.endpoint.kind in _WRITTEN else None


def _translated(ctx: RequestContext, provider: Provider, found: dict[str, Any]) -> dict[str, Any]:
    try:
        return foreign.answer(ctx, provider, found)
    except ValueError:
        raise failed("protocol") from None


def _json(ctx: RequestContext, state: DeploymentState, body: bytes) -> dict[str, Any]:
    # What passes as it came is not written anew, so nobody asks how deep it is nested.
    asked = ctx.body
    as_it_came = state.provider is None and asked.native is None and asked.extension is None and ctx.structure is None
    loads = orjson.loads if as_it_came and ctx.plan.policy is None else nesting.loads
    try:
        found = loads(body)
    except orjson.JSONDecodeError:
        found = mended(body)
    if type(found) is not dict:
        raise failed("protocol")
    return found
