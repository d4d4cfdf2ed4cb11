"""What a caller is told when a limit refuses its request: which limit of which level it was, and when to come again."""

import math

from sluice_gateway.dataplane.errors import NO_RETRY, ApiError, LimitReached, PriceUnknown, QuotaUsedUp, Unavailable
from sluice_gateway.domain.leases import NANO, Lease
from sluice_gateway.domain.limits import Level

_WHOSE: dict[Level, str] = {
    "organization": "The organisation of this API key",
    "team": "The team of this API key",
    "key": "This API key",
}


def whose(lease: Lease) -> str:
    """Return whose limit it is, as the beginning of a sentence."""
    return _WHOSE[lease.name.level]


def refused(lease: Lease, amount: int, now: float) -> ApiError:
    """Return the refusal of a request that needs more than a lease can get."""
    if lease.name.kind in ("day", "month"):
        return _over_budget(lease, amount, now)
    return _over_rate(lease, amount, now)


def too_many(lease: Lease, wait_s: float) -> LimitReached:
    """Return the refusal of a request for which no place became free."""
    return LimitReached(
        f"{whose(lease)} may have {lease.limit} requests in progress at a time, and none has ended within {wait_s:g} s. Send it again "
        "when one has.",
        code="concurrency_limit_exceeded",
        headers=((b"retry-after", b"1"),),
    )


def queue_full(lease: Lease, waiting: int) -> LimitReached:
    """Return the refusal of a request when enough others wait already."""
    return LimitReached(
        f"{whose(lease)} may have {lease.limit} requests in progress at a time, and {waiting} more wait already. Send it again later.",
        code="concurrency_limit_exceeded",
        headers=((b"retry-after", b"1"),),
    )


def unknown(lease: Lease) -> Unavailable:
    """Return the refusal of a request whose limits cannot be looked up, when nothing is held of them here."""
    return Unavailable(
        f"{whose(lease)} has limits, and how much of them is used cannot be looked up now. Try again in a few seconds.",
        code="limits_unavailable",
        headers=((b"retry-after", b"2"),),
    )


def price_unknown(lease: Lease, model: str) -> PriceUnknown:
    """Return the refusal of a request that a budget would have to pay, to a model of which nobody knows the price."""
    return PriceUnknown(
        f"{whose(lease)} has a budget, and nobody knows what the model `{model}` costs. An administrator can give it a `price` in "
        f"models.yaml, set one with `sluice prices set {model} --input … --output …`, or let such models be used with "
        "SLUICE_GATEWAY_UNPRICED_MODELS=allow.",
        headers=(NO_RETRY,),
    )


def _over_rate(lease: Lease, amount: int, now: float) -> LimitReached:
    wait = max(1, math.ceil(lease.ends - now))
    headers = ((b"retry-after", b"%d" % wait),)
    if lease.name.kind == "requests":
        return LimitReached(
            f"{whose(lease)} may send {lease.limit} requests a minute, and has. Try again in {wait} s.", headers=headers
        )
    if amount > lease.limit:
        return LimitReached(
            f"This request may use {amount} tokens; {whose(lease).lower()} may use {lease.limit} a minute. Shorten it or lower "
            "`max_tokens`.",
            headers=(*headers, NO_RETRY),
        )
    return LimitReached(
        f"{whose(lease)} may use {lease.limit} tokens a minute, and too few are left: this request may use {amount}, {lease.remaining} "
        f"are left. Try again in {wait} s, or lower `max_tokens`.",
        headers=headers,
    )


def _over_budget(lease: Lease, amount: int, now: float) -> QuotaUsedUp:
    # What is left need not be known where the whole would be too little.
    left = "" if amount > lease.limit else f", and ${dollars(lease.remaining)} is left"
    return QuotaUsedUp(
        f"{whose(lease)} may spend ${dollars(lease.limit)} a {lease.name.kind} (UTC). This request may cost ${dollars(amount)}{left}. "
        "Lower `max_tokens`, or ask your administrator for a larger budget.",
        headers=((b"retry-after", b"%d" % max(1, math.ceil(lease.ends - now))), NO_RETRY),
    )


def dollars(nano: int) -> str:
    """Return an amount of nano-dollars in dollars, without needless zeros."""
    whole, rest = divmod(nano, NANO)
    digits = f"{rest:09d}".rstrip("0")
    return f"{whole}.{digits.ljust(2, '0')}"
