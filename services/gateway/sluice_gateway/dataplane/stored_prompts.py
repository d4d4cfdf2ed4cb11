"""Requests to /v1/responses that name a stored prompt: it is filled first, which asks the database, and then they are requests like any other."""

from typing import cast

from uvicorn.protocols.http.httptools_impl import RequestResponseCycle

from sluice_gateway.dataplane.answers import id_headers
from sluice_gateway.dataplane.asgi import Receive, Send
from sluice_gateway.dataplane.context import Heads, Opened, RequestContext
from sluice_gateway.dataplane.errors import ApiError
from sluice_gateway.dataplane.sending import refuse
from sluice_gateway.dataplane.short_way import Plane
from sluice_gateway.dataplane.table import Endpoint

NAMED = b'"prompt"'  # every body that names one has this; most bodies have it not


async def with_prompt(
    plane: Plane, endpoint: Endpoint, heads: Heads, started: float, opened: Opened, raw: bytes
) -> RequestContext:
    """Fill the prompt that a body names, and decide on what it becomes.

    Raises:
        ApiError: the request is refused.
    """
    found = None if plane.prompts is None else await plane.prompts.filled(opened.key, raw)
    if found is None:  # it only looked as if
        return plane.admit(endpoint, heads, started, opened, raw)
    ctx = plane.admit(endpoint, heads, started, opened, found.body)
    ctx.prompt, ctx.prompt_version = found.prompt, found.version
    return ctx


async def answer(
    plane: Plane,
    endpoint: Endpoint,
    heads: Heads,
    started: float,
    opened: Opened,
    raw: bytes,
    cycle: RequestResponseCycle,
) -> None:
    """Answer a request that came over the short way and may name a prompt."""
    receive, send = cast("Receive", cycle.receive), cast("Send", cycle.send)
    try:
        ctx = await with_prompt(plane, endpoint, heads, started, opened, raw)
    except ApiError as exc:
        plane.count_refusal(endpoint, exc, started)
        await refuse(send, endpoint, exc, id_headers(endpoint, heads.request_id))
        return
    ctx.talk(receive, send, cycle)
    await plane.run(ctx)
