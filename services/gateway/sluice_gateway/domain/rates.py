"""Prices, made ready for multiplication with token counts."""

from typing import NamedTuple

from sluice.contracts.routing import Price
from sluice.contracts.routing import Rates as Dollars
from sluice_gateway.tokens import TokenDetails

_PER = 1e6
NEVER = 1 << 62  # longer than any prompt


class Rates(NamedTuple):
    """Dollars for one token of prompt and answer; `differences` is what each special kind costs more or less.

    The order of `differences` is that of `TokenDetails`; the last is what an hour in a cache costs more than its usual time.
    """

    input: float
    output: float
    differences: tuple[float, ...]

    @property
    def dearest_input(self) -> float:
        """The most that a token of a prompt can cost."""
        return self.input + max(0.0, *self.differences[:4], self.differences[1] + self.differences[6])

    @property
    def dearest_output(self) -> float:
        """The most that a token of an answer can cost."""
        return self.output + max(0.0, *self.differences[4:6])


class Card(NamedTuple):
    """A price, made ready: the rates of a prompt of at most `long_above` tokens, and those of longer ones by where they begin."""

    rates: Rates
    request: float = 0.0
    long_above: int = NEVER
    longer: tuple[tuple[int, Rates], ...] = ()

    def of(self, prompt_tokens: int) -> Rates:
        """Return the rates for a prompt of that length."""
        found = self.rates
        for above, rates in self.longer:
            if prompt_tokens > above:
                found = rates
        return found

    def dearest(self, prompt_tokens: int) -> tuple[float, float]:
        """Return the most that a token of the prompt and of the answer can cost when the prompt has at most so many tokens."""
        possible = (self.rates, *(rates for above, rates in self.longer if prompt_tokens > above))
        return max(one.dearest_input for one in possible), max(one.dearest_output for one in possible)


def card_of(price: Price) -> Card:
    """Return a price, made ready."""
    longer = tuple((tier.above, rates_of(tier)) for tier in sorted(price.tiers, key=lambda tier: tier.above))
    return Card(rates_of(price), price.request, longer[0][0] if longer else NEVER, longer)


def rates_of(price: Dollars) -> Rates:
    """Return rates for one token; a kind without a price of its own costs what its side of the request costs."""
    prompt = (price.cached_input, price.cache_write, price.audio_input, price.image_input)
    answer = (price.reasoning, price.audio_output)
    written = price.input if price.cache_write is None else price.cache_write
    return Rates(
        price.input / _PER,
        price.output / _PER,
        (
            *(0.0 if own is None else (own - price.input) / _PER for own in prompt),
            *(0.0 if own is None else (own - price.output) / _PER for own in answer),
            0.0 if price.cache_write_1h is None else (price.cache_write_1h - written) / _PER,
        ),
    )


def surcharge(details: TokenDetails, differences: tuple[float, ...]) -> float:
    """Return the dollars that special kinds of tokens add to a bill, or take off it."""
    return sum(count * difference for count, difference in zip(details, differences, strict=True))
