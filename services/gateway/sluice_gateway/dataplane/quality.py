"""What was found of the answers to each kind of question."""

from sluice.contracts.routing import RouteDecision
from sluice_gateway.dataplane.confidence import LOW, UNKNOWN
from sluice_gateway.dataplane.context import RequestContext
from sluice_gateway.dataplane.stages.guard_output import DISPUTED_ANSWER, HALLUCINATION
from sluice_gateway.metrics import GatewayMetrics

OTHER_INTENT = "unknown"
_FINDINGS = frozenset({LOW, UNKNOWN, HALLUCINATION, DISPUTED_ANSWER})
_FINE = ("fine",)


def intent_of(decision: RouteDecision) -> str | None:
    """Return the kind of question that the router took a request for, `unknown` for none that it knows, None when it did not look."""
    return decision.intent or (None if decision.confidence is None else OTHER_INTENT)


def count_quality(metrics: GatewayMetrics, ctx: RequestContext) -> None:
    """Count what was found of an answer, if the router looked what kind of question it answers."""
    if ctx.intent is None or ctx.route is None:
        return
    if ctx.status == "ok":
        findings = tuple(issue for issue in ctx.guard_issues if issue in _FINDINGS) or _FINE
    else:
        findings = (ctx.status,)
    for finding in findings:
        metrics.quality.labels(ctx.route.name, ctx.intent, finding).value += 1
