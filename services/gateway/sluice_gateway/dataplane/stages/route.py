"""Route: ask the router which model answers a request for a virtual model."""

from sluice.contracts.routing import RouteDecision, RouteRequest
from sluice.errors import NO_DEPLOYMENT, DeadlineExceeded, DependencyUnavailable, NotFound, SluiceError, UpstreamFailed
from sluice_gateway.dataplane.context import RequestContext
from sluice_gateway.dataplane.deployments import is_free
from sluice_gateway.dataplane.deps import DataPlaneDeps
from sluice_gateway.dataplane.errors import (
    InvalidRequest,
    Overloaded,
    Unavailable,
    UnknownModel,
    from_service,
    out_of_region,
)
from sluice_gateway.dataplane.plan import Plan
from sluice_gateway.dataplane.quality import intent_of
from sluice_gateway.dataplane.stages.resolve import check_model, shown
from sluice_gateway.dataplane.table import ModelEntry, RouteEntry, Table
from sluice_gateway.dataplane.texts import pieces, question, size
from sluice_gateway.dataplane.wants import can_take, capabilities, modalities, subject
from sluice_gateway.domain.ports import KeyRecord
from sluice_gateway.domain.wishes import shorter

_MAX_TEXT = 20_000


def take(decision: RouteDecision, table: Table, route: RouteEntry) -> tuple[ModelEntry, ...]:
    """Return the models to try in order: the router's choice, its fallbacks, then the route's own.

    Names that this snapshot does not know (the router may be ahead) are passed over.
    """
    names = (decision.model, *decision.fallbacks)
    kind = route.candidates[0].config.kind
    found = [table.models[name] for name in names if name in table.models and table.models[name].config.kind == kind]
    return tuple(dict.fromkeys((*found, *route.fallbacks)))


def permitted(chain: tuple[ModelEntry, ...], key: KeyRecord, route: RouteEntry) -> tuple[ModelEntry, ...]:
    """Return the models of a route that the key may reach.

    An allow-list that names models of the route permits those only, whatever the router chose. One that names the route and none of its models
    permits what the route is made of, and nothing that these fall back to.
    """
    listed = key.models
    if listed is None:
        return chain
    made_of = route.made_of
    if any(entry.name in listed for entry in made_of):
        return tuple(dict.fromkeys(entry for entry in (*chain, *made_of) if entry.name in listed))
    return tuple(entry for entry in chain if entry in made_of)


def stand_in(route: RouteEntry, now: float, regions: frozenset[str] | None = None) -> tuple[ModelEntry, ...]:
    """Return the order to try without the router: candidates that can answer now first, then the route's fallbacks."""
    ready = [entry for entry in route.candidates if is_free(entry.open_to(regions), now)]
    return tuple(dict.fromkeys((*ready, *route.candidates, *route.fallbacks)))


def refuses(route: RouteEntry, now: float, regions: frozenset[str] | None = None) -> bool:
    """Tell, without the router, whether a route tries nothing now: it is to refuse, and all of it was down or rests after failures."""
    if route.config.when_all_down == "try":
        return False
    states = [state for entry in route.made_of for state in entry.open_to(regions)]
    return bool(states) and all(state.down or (state.failures and state.paused_until > now) for state in states)


def all_down(after: str = "5") -> Overloaded:
    """Return the refusal of a route that tries nothing while all of it is down."""
    return Overloaded(
        f"Every model of this route is down. Try again in {after} s.",
        code=NO_DEPLOYMENT,
        headers=((b"retry-after", after.encode("latin-1", "replace")),),
    )


class AskRouter:
    """The stage."""

    def __init__(self, deps: DataPlaneDeps) -> None:
        self._deps = deps

    async def __call__(self, ctx: RequestContext) -> None:
        """Set the models to try.

        Raises:
            UnknownModel, Unavailable, Overloaded: the router has no answer.
            NotPermitted: none of the route's models runs in a region that the key's organisation allows.
        """
        route = ctx.route
        assert route is not None
        if route.made_of and not any(entry.open_to(ctx.key.regions) for entry in route.made_of):
            raise out_of_region()
        found = pieces(ctx.fields, ctx.endpoint.kind)
        text = question(found)[:_MAX_TEXT]
        policy = None
        with self._deps.tracing.span("route", attributes={"sluice.route": route.name}) as span:
            try:
                decision = await self._deps.router.route(
                    RouteRequest(
                        model=route.name,
                        text=text,
                        prompt_tokens=size(found) // 4,
                        modalities=modalities(ctx.fields),
                        capabilities=capabilities(ctx.fields),
                        regions=None if ctx.key.regions is None else tuple(sorted(ctx.key.regions)),
                        subject=subject(ctx.fields, ctx.key.tenant),
                    ),
                    tenant=ctx.key.tenant,
                    timeout_s=self._deps.options.stage_timeout_s,
                )
                ctx.chain = take(decision, ctx.table, route)
                ctx.route_reason = decision.reason
                ctx.intent = intent_of(decision)
                policy = decision.policy
            except (DependencyUnavailable, UpstreamFailed, DeadlineExceeded) as exc:
                if exc.code == NO_DEPLOYMENT:
                    raise all_down(exc.headers.get("Retry-After", "5")) from exc
                self._deps.metrics.stage_errors.labels("route").inc()
                now = self._deps.clock.monotonic()
                if refuses(route, now, ctx.key.regions):
                    raise all_down() from exc
                ctx.chain = stand_in(route, now, ctx.key.regions)
                ctx.route_reason = "router_unavailable"
            except NotFound as exc:
                raise UnknownModel(
                    f"The model `{shown(route.name)}` does not exist. GET /v1/models lists the models you can use.",
                    param="model",
                ) from exc
            except SluiceError as exc:
                raise from_service(exc, "router") from exc
            span.set_attribute("sluice.route.reason", ctx.route_reason)
            if ctx.intent is not None:
                span.set_attribute("sluice.route.intent", ctx.intent)
        self._adopt(ctx, route, policy)

    def _adopt(self, ctx: RequestContext, route: RouteEntry, policy: str | None) -> None:
        allowed = permitted(ctx.chain, ctx.key, route)
        # The router has looked at what it named; what was added here has to suit as well, and so when the router is away.
        ctx.chain = tuple(entry for entry in allowed if can_take(entry.config, ctx.fields))
        if allowed and not ctx.chain:
            raise InvalidRequest(
                f"No model of `{shown(route.name)}` that this API key may use takes such a request "
                f"(it holds: {', '.join(modalities(ctx.fields)) or 'text'}; it asks for: {', '.join(capabilities(ctx.fields)) or 'nothing more'}).",
                code="no_suitable_model",
            )
        if not ctx.chain:
            raise Overloaded("No model of this route can answer now. Try again in a few seconds.")
        model = ctx.model = ctx.chain[0]
        check_model(model, ctx.endpoint, ctx.body, len(ctx.raw))
        ctx.plan = plan_with(ctx, route, model, policy)
        ctx.wishes = shorter(ctx.wishes, ctx.plan.attempts.wishes)


def plan_with(ctx: RequestContext, route: RouteEntry, model: ModelEntry, policy: str | None) -> Plan:
    """Return the plan that also keeps the policy of the model that the router chose."""
    table, extension = ctx.table, ctx.body.extension
    if ctx.key.policy is not None:
        return ctx.plan
    added = table.policy(extension.policy) if extension is not None else None
    if policy is not None and not table.knows_policy(policy):
        raise Unavailable("The router named a policy that is not known here yet. Try again in a few seconds.")
    chosen = model.policy or table.policy(policy)
    retrieval = extension is not None and extension.retrieval is not None
    return table.plan(route.policy, added, chosen, virtual=True, retrieval=retrieval, own=ctx.key.sampling)
