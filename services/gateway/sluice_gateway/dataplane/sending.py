"""Answers that are one JSON body, over the long way."""

from sluice_gateway.dataplane.asgi import Headers, Send
from sluice_gateway.dataplane.errors import ApiError
from sluice_gateway.dataplane.table import Endpoint


async def refuse(send: Send, endpoint: Endpoint, error: ApiError, headers: Headers) -> None:
    """Send an error in the shape of the endpoint's API."""
    await send_json(send, error.status, [*headers, *error.headers], endpoint.error_body(error))


async def send_json(send: Send, status: int, headers: Headers, body: bytes) -> None:
    """Send a whole answer; a client that has gone is no error."""
    described = [*headers, (b"content-type", b"application/json"), (b"content-length", b"%d" % len(body))]
    try:
        await send({"type": "http.response.start", "status": status, "headers": described})
        await send({"type": "http.response.body", "body": body})
    except OSError:
        return
