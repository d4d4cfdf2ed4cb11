"""What the public paths under /v1 have in common: API keys, and errors in OpenAI's shape."""

import logging
from collections.abc import Callable, Coroutine
from typing import Annotated, Any

from fastapi import Depends, Request, Response
from fastapi.exceptions import RequestValidationError
from fastapi.routing import APIRoute
from fastapi.security import HTTPBearer
from pydantic import BaseModel
from starlette.exceptions import HTTPException

from sluice.errors import SluiceError
from sluice.sentences import faults, is_broken_json, unreadable
from sluice_gateway.dataplane.errors import ApiError
from sluice_gateway.dataplane.stages.authenticate import authenticate
from sluice_gateway.domain.errors import ServiceRefused
from sluice_gateway.domain.ports import KeyRecord
from sluice_gateway.domain.public_errors import PublicError, public_error, type_of
from sluice_gateway.domain.roles import Action
from sluice_gateway.wiring import DepsDep

_log = logging.getLogger(__name__)
_api_key = HTTPBearer(auto_error=False, scheme_name="ApiKey", description="An API key of the gateway (`sk-…`)")


async def require_key(request: Request, deps: DepsDep, _: Annotated[object, Depends(_api_key)]) -> KeyRecord:
    """FastAPI dependency: the API key that the request proves, or 401; 403 for a read-only one."""
    # A coroutine, so that FastAPI runs it in the loop: the key ring belongs to that thread.
    return key_of(deps, request.headers.get("authorization", "").encode("latin-1"))


async def require_reader(request: Request, deps: DepsDep, _: Annotated[object, Depends(_api_key)]) -> KeyRecord:
    """FastAPI dependency: the API key that the request proves, also a read-only one, or 401."""
    return key_of(deps, request.headers.get("authorization", "").encode("latin-1"), "read")


def key_of(deps: DepsDep, authorization: bytes, action: Action = "use") -> KeyRecord:
    """Return the API key that an Authorization header proves, or raise InvalidKey or NotPermitted."""
    return authenticate(deps.ring, authorization, deps.clock.now(), action)


KeyDep = Annotated[KeyRecord, Depends(require_key)]
ReaderDep = Annotated[KeyRecord, Depends(require_reader)]


class ErrorFields(BaseModel):
    """What is wrong and what to change."""

    message: str
    type: str
    param: str | None
    code: str | None


class ErrorReply(BaseModel):
    """An error in OpenAI's shape."""

    error: ErrorFields


class PublicRoute(APIRoute):
    """A route whose errors have OpenAI's shape instead of being problems."""

    def get_route_handler(self) -> Callable[[Request], Coroutine[Any, Any, Response]]:
        """Return the handler with our errors around FastAPI's."""
        handle = super().get_route_handler()

        async def answered(request: Request) -> Response:
            try:
                return await handle(request)
            except (ApiError, SluiceError, RequestValidationError) as exc:
                return rendered(exc)

        return answered


def rendered(exc: ApiError | SluiceError | RequestValidationError | HTTPException, path: str = "") -> Response:
    """Return an error as the public API answers it; `path` is that of the request, where it led nowhere."""
    if isinstance(exc, ApiError):
        headers = {name.decode("latin-1"): value.decode("latin-1") for name, value in exc.headers}
        return Response(exc.body(), exc.status, headers, "application/json")
    error = converted(exc, path)
    if error.status >= 500:
        _log.warning("%s: %s", error.code, error.message, exc_info=exc.__cause__)
    return Response(error.body(), error.status, dict(getattr(exc, "headers", None) or {}), "application/json")


def _mistake_in(path: str) -> str:
    if path.startswith("/v1/v1/"):
        return ": it has /v1 twice. End the base URL before it, since Anthropic's clients add it themselves."
    return ": leave out the slash at its end." if path.endswith("/") else "."


def converted(exc: SluiceError | RequestValidationError | HTTPException, path: str = "") -> PublicError:
    """Return what the public API says of an error."""
    if isinstance(exc, RequestValidationError):
        first = faults(exc.errors())[0]
        code = "invalid_json" if is_broken_json(exc.errors()) else "invalid_value"
        return PublicError(400, first.sentence, type_of(400), first.field or None, code)
    if isinstance(exc, HTTPException) and (why := unreadable(exc.__cause__)) is not None:
        return PublicError(exc.status_code, why.sentence, type_of(exc.status_code), None, why.code)
    if isinstance(exc, HTTPException):
        code = {404: "not_found", 405: "method_not_allowed"}.get(exc.status_code, "http_error")
        sentence = {
            404: f"There is nothing at this path{_mistake_in(path)} The API reference lists what the gateway answers.",
            405: "This path has another method. The API reference lists it.",
        }.get(exc.status_code, f"{exc.detail}.")
        return PublicError(exc.status_code, sentence, type_of(exc.status_code), None, code)
    if isinstance(exc, ServiceRefused):
        return public_error(exc.answered, exc.detail, exc.problem_sent, exc.service)
    return PublicError(exc.status, exc.detail, type_of(exc.status), None, exc.code)
