"""The registry's admin paths: who may use them is decided here, everything else by the router, which owns models and routes."""

from fastapi import APIRouter, Request
from fastapi.responses import JSONResponse
from starlette.exceptions import HTTPException
from starlette.routing import Route
from starlette.types import Receive, Scope, Send

from sluice.auth import bearer
from sluice.errors import Problem, UpstreamFailed
from sluice.service import PROBLEM_JSON, request_id_of
from sluice_gateway.adapters.forwarding import Incoming, Target
from sluice_gateway.domain.errors import ServiceRefused
from sluice_gateway.routes.admin import require_administrator, require_asker, require_operator
from sluice_gateway.wiring import Deps

PATHS = ("/admin/models", "/admin/deployments", "/admin/routes", "/admin/policies", "/admin/aliases", "/admin/registry")


class RegistryEndpoint:
    """Passes what the platform's administrator asks below one path on to the router."""

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request; refusals of the router are answered as they came."""
        request = Request(scope, receive)
        deps: Deps = scope["app"].state.deps
        asker = await require_asker(request, deps, await bearer(request))
        actor = await require_administrator(await require_operator(asker))
        if any(part in (".", "..") for part in scope["path"].split("/")):
            raise HTTPException(404)
        target = Target(
            service="router",
            base_url=deps.platform.service_url("router"),
            token=deps.tokens.mint("router", tenant="default", subject=actor.id),
        )
        raw_path: bytes = scope.get("raw_path") or scope["path"].encode()
        incoming = Incoming(
            scope["method"], raw_path, scope["query_string"], scope["headers"], scope["sluice_request_id"]
        )
        try:
            await deps.forwarder.forward(target, incoming, receive, send)
        except ServiceRefused as exc:
            if exc.problem_sent is None:
                raise UpstreamFailed(exc.detail, headers=exc.headers) from exc
            await _as_it_came(request, exc.problem_sent, exc.headers)(scope, receive, send)


def _as_it_came(request: Request, problem: Problem, headers: dict[str, str]) -> JSONResponse:
    body = problem.model_copy(update={"request_id": request_id_of(request)}).model_dump(mode="json", exclude_none=True)
    return JSONResponse(body, problem.status, headers, PROBLEM_JSON)


router = APIRouter()
for _path in PATHS:
    for _pattern in (_path, f"{_path}/{{rest:path}}"):
        router.routes.append(Route(_pattern, RegistryEndpoint(), include_in_schema=False))
