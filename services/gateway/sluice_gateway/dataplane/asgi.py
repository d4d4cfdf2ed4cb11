"""The parts of the ASGI interface that the request path uses, as types."""

import re
from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any

Scope = MutableMapping[str, Any]
Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
Application = Callable[[Scope, Receive, Send], Awaitable[None]]
_CONTROL = re.compile(rb"[\x00-\x1f\x7f]")
Headers = list[tuple[bytes, bytes]]


def header_value(text: str) -> bytes:
    """Return a text as it may stand in a header: no control characters, and `?` for what latin-1 cannot say."""
    return _CONTROL.sub(b" ", text.encode("latin-1", "replace"))
