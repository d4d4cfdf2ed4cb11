"""OpenAI's rate-limit headers: how much of a minute's requests and tokens is left to a key.

What does not change within a minute is written once, when the key's limits are compiled; an answer only puts in the numbers.
"""

import math
from collections.abc import Callable, Sequence

from sluice.clock import Clock
from sluice_gateway.dataplane.asgi import Headers
from sluice_gateway.domain.leases import Draws, Lease


class _Kind:
    """Requests or tokens a minute: a lease for each level that limits them, with the lines that tell of it."""

    __slots__ = ("_leases",)

    def __init__(self, name: bytes, leases: Sequence[Lease]) -> None:
        self._leases = [(lease, _lines(name, lease.limit)) for lease in leases]

    def lines(self, seconds: int) -> bytes:
        """Return the lines of the level that has the least left, b"" while nothing is known of any."""
        found, least = b"", 0
        for lease, lines in self._leases:
            if not (lease.known or lease.granted):
                continue
            left = lease.remaining
            if not found or left < least:
                found, least = lines, left
        return found and found % (least, seconds)


class RateHeaders:
    """The headers of one key in one minute; `current` gives those of the minute of the key's last request.

    When that minute is over there are none: nothing is known yet of the next one.
    """

    __slots__ = ("_clock", "_current", "_kinds", "_only", "_until", "_whole")

    def __init__(self, draws: Draws, clock: Clock, current: Callable[[], "RateHeaders | None"]) -> None:
        named = ((b"requests", draws.requests), (b"tokens", draws.tokens))
        self._kinds = tuple(_Kind(name, leases) for name, leases in named if leases)
        # Most keys are limited at one level: then it is known which leases are told of, and all lines are one template.
        single = all(len(leases) < 2 for _, leases in named)
        self._only = tuple(lease for _, leases in named for lease in leases) if single else ()
        self._whole = b"".join(_lines(name, lease.limit) for name, leases in named for lease in leases)
        self._until = draws.until
        self._clock = clock
        self._current = current

    def lines(self) -> bytes:
        """Return the header lines as they are now; what is not known yet is left out."""
        rest = self._until - self._clock.now()
        if rest <= 0:
            later = self._current()
            return b"" if later is None or later is self else later.lines()
        seconds = math.ceil(rest)
        if self._only:
            numbers: list[int] = []
            for lease in self._only:
                if not (lease.known or lease.granted):
                    break
                left = lease.free + lease.back + lease.left
                numbers += (left if left > 0 else 0, seconds)
            else:
                return self._whole % (*numbers,)
        return b"".join([kind.lines(seconds) for kind in self._kinds])

    def headers(self) -> Headers:
        """Return the same as pairs."""
        pairs = (line.partition(b": ") for line in self.lines().splitlines())
        return [(name, value) for name, _, value in pairs]


def _lines(name: bytes, limit: int) -> bytes:
    return b"x-ratelimit-limit-%b: %d\r\nx-ratelimit-remaining-%b: %%d\r\nx-ratelimit-reset-%b: %%ds\r\n" % (
        name,
        limit,
        name,
        name,
    )
