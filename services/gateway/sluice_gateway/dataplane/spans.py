"""What the span of a request says."""

import random

from opentelemetry.trace import Span

from sluice.telemetry import names
from sluice_gateway.dataplane.context import RequestContext
from sluice_gateway.dataplane.deps import Options


def is_sampled(ctx: RequestContext, options: Options) -> bool:
    """Tell whether a request is one of those that are traced: as its caller decided, else by chance."""
    parent = ctx.heads.traceparent
    if parent is not None:
        return bool(int(parent[-1], 16) & 1)
    ratio = options.trace_ratio_direct if ctx.plan.direct else options.trace_ratio
    return ratio >= 1.0 or random.random() < ratio  # noqa: S311 - sampling


def attributes_of(ctx: RequestContext) -> dict[str, str | tuple[str, ...]]:
    """Return what is known of an admitted request."""
    found: dict[str, str | tuple[str, ...]] = {
        names.HTTP_METHOD: "POST",
        names.HTTP_ROUTE: ctx.endpoint.path,
        names.REQUEST_ID: ctx.heads.request_id,
        names.TENANT: ctx.key.tenant,
        names.GEN_AI_REQUEST_MODEL: ctx.model.name if ctx.model is not None else ctx.body.model,
    }
    if ctx.user_type is not None:
        found[names.USER_TYPE] = ctx.user_type
    if ctx.tags:
        found[names.TAGS] = ctx.tags
    return found


def describe(span: Span, ctx: RequestContext) -> None:
    """Say what became of an answered request."""
    span.set_attribute(names.HTTP_STATUS, ctx.http_status)
    if ctx.deployment is not None:
        span.set_attribute(names.DEPLOYMENT, ctx.deployment.id)
    if ctx.guard_issues:
        span.set_attribute(names.GUARD_ISSUES, ctx.guard_issues)
    if ctx.citations:
        span.set_attribute(names.CITATIONS, len(ctx.citations))
    if ctx.usage is not None:
        span.set_attribute(names.GEN_AI_INPUT_TOKENS, ctx.usage.prompt_tokens)
        span.set_attribute(names.GEN_AI_OUTPUT_TOKENS, ctx.usage.completion_tokens)
    if ctx.error_code is not None:
        span.set_attribute(names.ERROR_TYPE, ctx.error_code)
