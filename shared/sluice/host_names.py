"""Looks up host names with the system's resolver."""

import asyncio
import socket
from collections.abc import Sequence

_WITHIN_S = 2.0


class SystemNames:
    """The system's resolver, asked in a thread."""

    async def addresses(self, name: str) -> Sequence[str]:
        """Return the addresses of a name; none when it is unknown or the answer takes longer than two seconds."""
        try:
            async with asyncio.timeout(_WITHIN_S):
                found = await asyncio.get_running_loop().getaddrinfo(name, None, type=socket.SOCK_STREAM)
        except (OSError, TimeoutError, UnicodeError):
            return ()
        return tuple(str(place[4][0]) for place in found)
