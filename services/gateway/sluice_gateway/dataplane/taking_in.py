"""Taking in a request that came over ASGI: its head is decided on, its body is read, and what it names is looked up."""

from typing import Protocol

from sluice_gateway.dataplane.asgi import Receive
from sluice_gateway.dataplane.beforehand import asks_beforehand, prepared
from sluice_gateway.dataplane.context import Heads, Opened, RequestContext
from sluice_gateway.dataplane.errors import ApiError
from sluice_gateway.dataplane.form import Form, read_form
from sluice_gateway.dataplane.moderation import admit_moderation
from sluice_gateway.dataplane.short_way import Plane
from sluice_gateway.dataplane.stages.admit import read_body
from sluice_gateway.dataplane.table import MODERATIONS, Endpoint


class Taking(Plane, Protocol):
    """The plane as it takes requests in that may bring a form."""

    max_form_bytes: int

    def open(self, heads: Heads, limit: int | None = None) -> Opened:
        """Decide on the head of a request."""
        ...

    def admit(
        self, endpoint: Endpoint, heads: Heads, started: float, opened: Opened, raw: bytes, form: Form | None = None
    ) -> RequestContext:
        """Decide on the body of a request."""
        ...


async def taken_in(plane: Taking, endpoint: Endpoint, heads: Heads, started: float, receive: Receive) -> RequestContext:
    """Return the request as it was admitted.

    Raises:
        ApiError: it is refused.
        Gone: its client left before it was complete.
    """
    if endpoint.takes_form:
        return await _with_form(plane, endpoint, heads, started, receive)
    opened = plane.open(heads)
    raw = await read_body(receive, plane.max_body_bytes)
    if endpoint is MODERATIONS:
        return admit_moderation(endpoint, heads, started, opened, raw)
    if endpoint.style == "responses" and asks_beforehand(raw):
        return await prepared(plane, endpoint, heads, started, opened, raw)
    return plane.admit(endpoint, heads, started, opened, raw)


async def _with_form(
    plane: Taking, endpoint: Endpoint, heads: Heads, started: float, receive: Receive
) -> RequestContext:
    opened = plane.open(heads, plane.max_form_bytes)
    form = await read_form(receive, dict(heads.all).get(b"content-type"), plane.max_form_bytes)
    try:
        ctx = plane.admit(endpoint, heads, started, opened, b"", form)
    except ApiError:
        form.close()
        raise
    ctx.form = form
    return ctx
