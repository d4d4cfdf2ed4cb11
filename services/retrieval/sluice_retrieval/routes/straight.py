"""Routes that are asked most, past FastAPI's way through parameters and answers, which takes as long as a ranking of words."""

from collections.abc import Awaitable, Callable, Coroutine, Mapping
from typing import Any

from fastapi import Request, Response
from fastapi.routing import APIRoute
from pydantic import BaseModel, ValidationError

from sluice.auth import Doorkeeper

_JSON = "application/json"
_BEARER = "bearer "


class StraightRoute(APIRoute):
    """A route whose function takes `body`, `caller`, `deps` and what its path names, and returns a model.

    A request that is as the API describes it goes to the function at once; every other one goes FastAPI's way, which says what is wrong with it.
    """

    def get_route_handler(self) -> Callable[[Request], Coroutine[Any, Any, Response]]:
        """Return what answers a request."""
        usual, ask = super().get_route_handler(), self.endpoint
        model = self.body_field.field_info.annotation if self.body_field else None
        if not isinstance(model, type) or not issubclass(model, BaseModel):
            return usual

        async def straight(request: Request) -> Response:
            headers = request.headers
            if headers.get("content-type") != _JSON:
                return await usual(request)
            doorkeeper: Doorkeeper = request.app.state.doorkeeper
            caller = doorkeeper.admit(_credential(headers), headers.get("x-sluice-tenant"))
            try:
                body = model.model_validate_json(await request.body())
            except ValidationError:
                return await usual(request)
            return await _answered(ask, {**request.path_params, "body": body, "caller": caller}, request)

        return straight


async def _answered(ask: Callable[..., Awaitable[BaseModel]], given: Mapping[str, Any], request: Request) -> Response:
    reply = await ask(**given, deps=request.app.state.deps)
    return Response(reply.__pydantic_serializer__.to_json(reply, by_alias=True), media_type=_JSON)


def _credential(headers: Mapping[str, str]) -> str | None:
    found = headers.get("authorization", "")
    return found[len(_BEARER) :] or None if found[: len(_BEARER)].lower() == _BEARER else None
