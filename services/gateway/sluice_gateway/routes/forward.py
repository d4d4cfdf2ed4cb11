"""Paths of the public API that other services own: checked here, answered there."""

from collections.abc import Mapping

from fastapi import APIRouter
from starlette.exceptions import HTTPException
from starlette.routing import Route
from starlette.types import Message, Receive, Scope, Send

from sluice.errors import SluiceError
from sluice.settings import ServiceName
from sluice_gateway.adapters.forwarding import Incoming, Target
from sluice_gateway.dataplane.errors import ApiError
from sluice_gateway.routes.public import key_of, rendered
from sluice_gateway.wiring import Deps

OWNERS: Mapping[str, ServiceName] = {
    "/v1/vector_stores": "retrieval",
    "/v1/context": "retrieval",
    "/v1/embedding_models": "retrieval",
    "/v1/similarity": "retrieval",
    "/v1/memories": "retrieval",
    "/v1/feedback": "feedback",
    "/v1/guard": "guardrail",
    "/v1/fine_tuning": "finetune",
    "/v1/evals": "eval",
}


class ForwardEndpoint:
    """Passes everything below one path on to a service, with a token that names the API key and its tenant."""

    def __init__(self, service: ServiceName) -> None:
        self._service: ServiceName = service

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request."""
        started = False

        async def noted(message: Message) -> None:
            nonlocal started
            started = True
            await send(message)

        try:
            await self._forward(scope, receive, noted)
        except (ApiError, SluiceError, HTTPException) as exc:
            if started:
                raise  # the answer is under way: breaking the connection is all that can still be said
            await rendered(exc)(scope, receive, send)

    async def _forward(self, scope: Scope, receive: Receive, send: Send) -> None:
        deps: Deps = scope["app"].state.deps
        raw_path: bytes = scope.get("raw_path") or scope["path"].encode()
        if any(part in (".", "..") for part in scope["path"].split("/")):
            raise HTTPException(404)
        key = key_of(deps, dict(scope["headers"]).get(b"authorization", b""))
        deps.platform.require(self._service)
        target = Target(
            service=self._service,
            base_url=deps.platform.service_url(self._service),
            token=deps.tokens.mint(
                self._service, tenant=key.tenant, subject=key.key_id, role="member", key_id=key.key_id
            ),
        )
        request = Incoming(
            scope["method"], raw_path, scope["query_string"], scope["headers"], scope["sluice_request_id"]
        )
        await deps.forwarder.forward(target, request, receive, send)


_PARTS: Mapping[str, ServiceName] = {
    "/v1/files/{file_id}/validation": "finetune",
    "/v1/files/{file_id}/compliance": "finetune",
}

router = APIRouter()
for _path, _service in _PARTS.items():
    router.routes.append(Route(_path, ForwardEndpoint(_service), include_in_schema=False))
for _path, _service in OWNERS.items():
    for _pattern in (_path, f"{_path}/{{rest:path}}"):
        router.routes.append(Route(_pattern, ForwardEndpoint(_service), include_in_schema=False))
