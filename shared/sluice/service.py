"""The frame of every service: health, metrics, request ids, deadlines, traces and errors in one shape."""

import logging
import re
import time
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from typing import Any, Protocol

from fastapi import APIRouter, FastAPI, Request, Response
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from fastapi_offline import FastAPIOffline
from opentelemetry.trace import SpanKind
from starlette.exceptions import HTTPException
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from sluice import __version__
from sluice.auth import Doorkeeper, ServiceTokens
from sluice.clients.deadline import DEADLINE_HEADER, deadline_after
from sluice.contracts.health import Health, Readiness
from sluice.errors import Problem, SluiceError
from sluice.health import Probe, failing
from sluice.ids import new_id
from sluice.openapi import with_real_errors
from sluice.sentences import faults, is_broken_json, unreadable
from sluice.settings import PlatformSettings
from sluice.telemetry import names
from sluice.telemetry.metrics import MetricRegistry
from sluice.telemetry.tracing import Tracing, extract

_log = logging.getLogger(__name__)
_OPEN_PATHS = frozenset({"/healthz", "/readyz", "/metrics"})
_SAFE_ID = re.compile(r"[A-Za-z0-9._-]{8,64}")
_METHODS = frozenset({"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"})
_TOLD = 3  # faults in the sentence; all are in the list
PROBLEM_JSON = "application/problem+json"

_INTERNAL_ERROR = Problem(
    type="urn:sluice:error:internal_error",
    title="Internal error",
    status=500,
    code="internal_error",
    detail="Something went wrong on our side; the log holds the details under this request id.",
)


class ServiceDeps(Protocol):
    """What the frame needs of a service's dependencies; each service's frozen `Deps` has these and its own."""

    @property
    def platform(self) -> PlatformSettings:
        """The shared settings."""
        ...

    @property
    def registry(self) -> MetricRegistry:
        """Where the service declares its metrics."""
        ...

    @property
    def tokens(self) -> ServiceTokens:
        """Mints and checks service tokens."""
        ...

    @property
    def tracing(self) -> Tracing:
        """Makes spans."""
        ...

    @property
    def probes(self) -> Mapping[str, Probe]:
        """One per dependency; a probe that raises means not ready."""
        ...


OpenDeps = Callable[[], AbstractAsyncContextManager[ServiceDeps]]


def create_service(
    name: str,
    open_deps: OpenDeps,
    routers: Sequence[APIRouter],
    *,
    title: str,
    description: str,
) -> FastAPI:
    """Return a service's application; `open_deps` is entered at start and left at shutdown.

    All that the service opens (databases, clients, loops) is opened there. Handlers reach it through `deps_of`.
    """

    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        async with open_deps() as deps:
            app.state.deps = deps
            app.state.doorkeeper = Doorkeeper(name, deps.tokens, deps.platform.admin_key.get_secret_value())
            app.state.frame.begin(deps)
            yield

    # The page at /docs comes with all it needs: a browser that reaches nothing but this service shows it.
    app = FastAPIOffline(
        title=title,
        description=description,
        version=__version__,
        lifespan=lifespan,
        docs_url="/docs",
        redoc_url=None,
        static_url="/docs/assets",
        swagger_ui_parameters={"validatorUrl": None},
        license_info={"name": "Apache-2.0", "identifier": "Apache-2.0"},
    )
    frame = _Frame(name)
    app.state.frame = frame
    app.add_middleware(_FrameMiddleware, frame=frame)
    _add_errors(app)
    app.include_router(_health_routes(name))
    for router in routers:
        app.include_router(router)
    drafted = app.openapi
    app.openapi = lambda: with_real_errors(drafted())  # type: ignore[method-assign] # FastAPI's documented way
    return app


async def deps_of(request: Request) -> Any:
    """FastAPI dependency: the service's `Deps`; wiring narrows the type with `Annotated[Deps, Depends(deps_of)]`."""
    return request.app.state.deps


def request_id_of(request: Request) -> str:
    """Return the id of this request, as it stands in the `x-request-id` header of the answer."""
    found: str = request.scope["sluice_request_id"]
    return found


class _Frame:
    """What the middleware uses; the metrics exist from the moment the dependencies are open."""

    def __init__(self, service: str) -> None:
        self.service = service
        self.tracing: Tracing | None = None
        self.leaving = False

    def leave(self) -> None:
        """Note that the server is being stopped: the service is not ready any more."""
        self.leaving = True

    def begin(self, deps: ServiceDeps) -> None:
        self.tracing = deps.tracing
        self.requests = deps.registry.counter(
            "sluice_http_requests_total", "HTTP requests answered", ("service", "method", "route", "status")
        )
        self.seconds = deps.registry.histogram(
            "sluice_http_request_duration_seconds",
            "Time from request to the end of the answer",
            ("service", "method", "route"),
        )

    def observe(self, method: str, route: str, status: int, seconds: float) -> None:
        known = method if method in _METHODS else "other"
        self.requests.labels(self.service, known, route, str(status)).inc()
        self.seconds.labels(self.service, known, route).observe(seconds)


class _FrameMiddleware:
    """Plain ASGI: request id, deadline, span and metrics around one request."""

    def __init__(self, app: ASGIApp, frame: _Frame) -> None:
        self._app = app
        self._frame = frame

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http" or scope["path"] in _OPEN_PATHS or self._frame.tracing is None:
            scope.setdefault("sluice_request_id", "")
            await self._app(scope, receive, send)
            return
        headers = {key.decode("latin-1"): value.decode("latin-1") for key, value in scope["headers"]}
        request_id = _request_id(headers.get("x-request-id"))
        scope["sluice_request_id"] = request_id
        status = 500
        started = time.perf_counter()

        async def tagged(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
                message["headers"] = [*message.get("headers", ()), (b"x-request-id", request_id.encode())]
            await send(message)

        method = scope["method"]
        attributes = {names.HTTP_METHOD: method, names.URL_PATH: scope["path"], names.REQUEST_ID: request_id}
        try:
            with (
                deadline_after(headers.get(DEADLINE_HEADER)),
                self._frame.tracing.span(
                    f"{method} {self._frame.service}",
                    kind=SpanKind.SERVER,
                    attributes=attributes,
                    parent=extract(headers),
                ) as span,
            ):
                await self._guarded(scope, receive, tagged)
                span.set_attribute(names.HTTP_STATUS, status)
                span.set_attribute(names.HTTP_ROUTE, _route(scope))
                span.update_name(f"{method} {_route(scope)}")
        finally:
            self._frame.observe(method, _route(scope), status, time.perf_counter() - started)

    async def _guarded(self, scope: Scope, receive: Receive, send: Send) -> None:
        # What no handler foresaw becomes a 500 that carries the request id and no detail; a begun answer is cut.
        began = False

        async def watched(message: Message) -> None:
            nonlocal began
            began = True
            await send(message)

        try:
            await self._app(scope, receive, watched)
        except Exception:  # the top of a request: logged with its id, answered as an internal error
            _log.exception(
                "unhandled error in %s %s",
                scope["method"],
                scope["path"],
                extra={"request_id": scope["sluice_request_id"]},
            )
            if began:
                raise
            await _problem_response(scope, _INTERNAL_ERROR)(scope, receive, watched)


def _request_id(given: str | None) -> str:
    return given if given and _SAFE_ID.fullmatch(given) else new_id("req")


def _route(scope: Scope) -> str:
    route = scope.get("route")
    return getattr(route, "path", None) or "other"


def _health_routes(service: str) -> APIRouter:
    router = APIRouter(tags=["health"])

    @router.get("/healthz", summary="Is the process alive?")
    async def healthz() -> Health:
        return Health(service=service, version=__version__)

    @router.get("/readyz", summary="Can it do its job?", responses={503: {"model": Readiness}})
    async def readyz(request: Request, response: Response) -> Readiness:
        probes = request.app.state.deps.probes
        wrong = await failing(probes)
        checks = {name: wrong.get(name, "ok") for name in probes}
        if request.app.state.frame.leaving:
            wrong = checks | {"server": "It is being stopped."}
            checks = wrong
        response.status_code = 503 if wrong else 200
        return Readiness(status="not_ready" if wrong else "ready", service=service, checks=checks)

    @router.get("/metrics", summary="Prometheus metrics", response_class=Response)
    async def metrics(request: Request) -> Response:
        body, content_type = request.app.state.deps.registry.render()
        return Response(body, headers={"content-type": content_type})

    return router


def _problem_response(scope: Scope, body: Problem, headers: Mapping[str, str] | None = None) -> JSONResponse:
    shown = body.model_copy(update={"request_id": scope.get("sluice_request_id")})
    return JSONResponse(
        shown.model_dump(mode="json", exclude_none=True),
        status_code=body.status,
        headers=dict(headers or {}),
        media_type=PROBLEM_JSON,
    )


def _add_errors(app: FastAPI) -> None:
    def problem(request: Request, body: Problem, headers: Mapping[str, str] | None = None) -> JSONResponse:
        return _problem_response(request.scope, body, headers)

    @app.exception_handler(SluiceError)
    async def known(request: Request, exc: SluiceError) -> JSONResponse:
        if exc.status >= 500:
            _log.warning("%s: %s", exc.code, exc.detail, exc_info=exc.__cause__)
        return problem(request, exc.problem(), exc.headers)

    @app.exception_handler(RequestValidationError)
    async def invalid(request: Request, exc: RequestValidationError) -> JSONResponse:
        found = faults(exc.errors())
        unreadable = is_broken_json(exc.errors())
        code = "invalid_json" if unreadable else "invalid_request"
        return problem(
            request,
            Problem(
                type=f"urn:sluice:error:{code}",
                title="Invalid request",
                status=400 if unreadable else 422,
                code=code,
                detail=" ".join(fault.sentence for fault in found[:_TOLD]),
                errors=tuple({"loc": fault.place, "msg": fault.sentence} for fault in found),
            ),
        )

    @app.exception_handler(HTTPException)
    async def http(request: Request, exc: HTTPException) -> JSONResponse:
        code = {404: "not_found", 405: "method_not_allowed"}.get(exc.status_code, "http_error")
        detail = f"{request.method} {request.url.path}: {exc.detail}."
        if (why := unreadable(exc.__cause__)) is not None:
            code, detail = why
        return problem(
            request,
            Problem(
                type=f"urn:sluice:error:{code}", title=str(exc.detail), status=exc.status_code, code=code, detail=detail
            ),
            exc.headers,
        )
