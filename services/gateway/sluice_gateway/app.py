"""The gateway's application."""

from typing import Any

from fastapi import FastAPI, Request, Response
from fastapi.openapi.utils import get_openapi
from starlette.exceptions import HTTPException
from starlette.types import ASGIApp, Receive, Scope, Send

from sluice.openapi import is_drafted, operations, with_real_errors
from sluice.service import OpenDeps, create_service
from sluice_gateway.dataplane.app import DataPlane
from sluice_gateway.dataplane.table import ENDPOINTS
from sluice_gateway.doors import AzureClients, Browsers
from sluice_gateway.routes import (
    audit,
    batches,
    budgets,
    cache,
    compaction,
    conversations,
    files,
    forward,
    keys,
    message_batches,
    organizations,
    prices,
    prompt_calls,
    prompt_splits,
    prompts,
    quotas,
    registry,
    request_path,
    responses,
    teams,
    transcripts,
    usage,
)
from sluice_gateway.routes.public import rendered
from sluice_gateway.settings import Settings
from sluice_gateway.wiring import CONTROL_PLANE

_DESCRIPTION = """The one public door of Sluice: an OpenAI-compatible API over all models, and the admin API for organisations, teams, keys
and usage, with its audit log.

Paths below `/admin/models`, `/admin/deployments`, `/admin/routes`, `/admin/policies`, `/admin/aliases` and `/admin/registry` are passed on to the
router for the platform's administrator; the router's own document describes them.

Paths below `/v1/vector_stores`, `/v1/context`, `/v1/embedding_models`, `/v1/similarity`, `/v1/memories`, `/v1/feedback`, `/v1/guard`, `/v1/fine_tuning` and `/v1/evals` are passed on to
the services that own them, on behalf of the API key's tenant; those services' own documents describe them."""


def create_app(open_deps: OpenDeps) -> FastAPI:
    """Return the control plane; `in_front` puts the request path before it."""
    app = create_service(
        "gateway",
        open_deps,
        [
            organizations.router,
            teams.router,
            keys.router,
            audit.router,
            usage.admin,
            transcripts.router,
            responses.admin,
            prices.router,
            budgets.router,
            quotas.router,
            cache.router,
            registry.router,
            usage.own,
            keys.own,
            prompt_calls.router,
            compaction.router,
            prompt_splits.router,
            prompts.router,
            responses.router,
            conversations.router,
            files.router,
            batches.router,
            message_batches.router,
            forward.router,
        ],
        title="Sluice gateway",
        description=_DESCRIPTION,
    )
    _answer_public_paths_as_openai_does(app)
    _describe_request_path(app)
    return app


_NOT_FOUND = 404
_OWN_PATHS = frozenset({"/v1/models", *(endpoint.path for endpoint in ENDPOINTS)})


class InFront:
    """Puts the request path before the control plane, which answers what the request path does not."""

    def __init__(self, app: FastAPI) -> None:
        self._app = app
        self._data_plane: DataPlane | None = None

    @property
    def short_way(self) -> DataPlane | None:
        """The request path for the protocol, None before everything is open."""
        if self._data_plane is None:
            deps = getattr(self._app.state, "deps", None)
            self._data_plane = None if deps is None else deps.data_plane
        return self._data_plane

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request, or run the control plane's lifespan."""
        if scope["type"] == "lifespan":
            self._data_plane = None
            await self._app(scope, receive, send)
            return
        scope[CONTROL_PLANE] = self._app
        data_plane = self.short_way
        await (self._app if data_plane is None else data_plane)(scope, receive, send)


def in_front(app: FastAPI, settings: Settings) -> ASGIApp:
    """Return what the server serves."""
    front = AzureClients(InFront(app), settings.max_body_bytes)
    return Browsers(front, settings.cors_origins) if settings.cors_origins else front


def _answer_public_paths_as_openai_does(app: FastAPI) -> None:
    as_problem: Any = app.exception_handlers[HTTPException]

    @app.exception_handler(HTTPException)
    async def http(request: Request, exc: HTTPException) -> Response:
        if request.url.path.startswith("/v1/"):
            return rendered(exc, request.url.path)
        if exc.status_code == _NOT_FOUND and f"/v1{request.url.path}" in _OWN_PATHS:
            exc = HTTPException(
                exc.status_code, "there is nothing; the API begins at /v1, so end the base URL with that"
            )
        answer: Response = await as_problem(request, exc)
        return answer


def _describe_request_path(app: FastAPI) -> None:
    def document() -> dict[str, Any]:
        if app.openapi_schema is None:
            drafted = get_openapi(
                title=app.title,
                version=app.version,
                description=app.description,
                license_info=app.license_info,
                routes=[
                    *request_path.router.routes,
                    *prompt_calls.described.routes,
                    *compaction.described.routes,
                    *app.routes,
                ],
            )
            app.openapi_schema = with_real_errors(_public_errors_first(drafted))
        return app.openapi_schema

    app.openapi = document  # type: ignore[method-assign] # FastAPI's documented way to extend the document


def _public_errors_first(document: dict[str, Any]) -> dict[str, Any]:
    # What is wrong with a request to a public path is 400 in OpenAI's shape, never FastAPI's 422.
    public = {path: operations for path, operations in document["paths"].items() if path.startswith("/v1/")}
    for operation in operations({"paths": public}):
        if is_drafted(operation["responses"].get("422", {})):
            del operation["responses"]["422"]
    return document
