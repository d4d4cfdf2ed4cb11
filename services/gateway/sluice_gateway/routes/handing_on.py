"""Handing a request of the control plane on to the request path: another path, another body, the same client."""

from collections.abc import Iterable

from starlette.types import Message, Receive, Scope

_DROPPED = (b"content-length", b"transfer-encoding", b"x-request-id")


def with_path(scope: Scope, path: str, length: int) -> Scope:
    """Return the scope of the request that goes on, with a body of this length; it keeps its id."""
    headers = [
        *((name, value) for name, value in scope["headers"] if name not in _DROPPED),
        (b"content-length", b"%d" % length),
        (b"x-request-id", scope["sluice_request_id"].encode()),
    ]
    return {**scope, "path": path, "raw_path": path.encode(), "headers": headers}


def with_body(body: bytes, receive: Receive) -> Receive:
    """Return what gives the body, and after it what the client does."""
    given = False

    async def following() -> Message:
        nonlocal given
        if given:
            return await receive()
        given = True
        return {"type": "http.request", "body": body, "more_body": False}

    return following


def without_id(headers: Iterable[tuple[bytes, bytes]]) -> list[tuple[bytes, bytes]]:
    """Return the headers of an answer for the frame around it, which says the request's id itself."""
    return [one for one in headers if one[0] != b"x-request-id"]
