"""Prices from a list with dates: what a provider asks for a model, since when, and at which time of the day."""

from ipaddress import ip_address
from urllib.parse import urlsplit

from sluice.contracts.base import Reply
from sluice.contracts.routing import Price
from sluice_router.domain.config import ModelConfig

_DAY_S = 86_400


class Wanted(Reply):
    """A place whose price is looked up; a plain OpenAI-compatible one is known by its address only."""

    provider: str
    base_url: str
    upstream_model: str


class DatedPrice(Reply):
    """A price that holds from `since` on (unix seconds), or daily between two times (seconds of the day, UTC), or always."""

    since: float | None = None
    daily: tuple[int, int] | None = None
    price: Price

    def holds(self, now: float) -> bool:
        """Tell whether it holds at a time."""
        if self.since is not None and now < self.since:
            return False
        if self.daily is None:
            return True
        begins, ends = self.daily
        second = now % _DAY_S
        return begins <= second < ends if begins <= ends else second >= begins or second < ends

    def next_turn(self, now: float) -> float | None:
        """Return when it begins or ends to hold next."""
        if self.since is not None:
            return self.since if self.since > now else None
        if self.daily is None:
            return None
        today = now - now % _DAY_S
        return min(
            at for day in (today, today + _DAY_S) for at in (day + self.daily[0], day + self.daily[1]) if at > now
        )


Listing = tuple[DatedPrice, ...]  # of those that hold the last counts; when none does, the first


def listed_at(listing: Listing, now: float) -> Price | None:
    """Return the price that holds at a time, None when the list knows none."""
    holding = [dated.price for dated in listing if dated.holds(now)]
    if holding:
        return holding[-1]
    return listing[0].price if listing else None


def wanted_of(model: ModelConfig) -> tuple[Wanted, ...]:
    """Return the places of a model whose price the file does not say and a list may know: those of providers, with a public name."""
    if model.price is not None:
        return ()
    return tuple(
        Wanted(
            provider=one.provider, base_url=one.base_url, upstream_model=one.adapter or one.upstream_model or model.name
        )
        for one in model.deployments
        if one.provider not in ("openai", "llamacpp", "vllm") or _is_public(urlsplit(one.base_url).hostname or "")
    )


def _is_public(host: str) -> bool:
    # An engine at home has an address, or a name of one word.
    try:
        ip_address(host)
    except ValueError:
        return "." in host
    return False
