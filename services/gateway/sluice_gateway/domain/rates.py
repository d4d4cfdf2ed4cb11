"""Prices, made ready for multiplication with token counts."""

from typing import NamedTuple

from sluice.contracts.routing import Price
from sluice_gateway.domain.tokens import TokenDetails

_PER = 1e6


class Rates(NamedTuple):
    """Dollars for one token of prompt and answer and for one request; `differences` is what each special kind costs more or less.

    The order of `differences` is that of `TokenDetails`.
    """

    input: float
    output: float
    request: float
    differences: tuple[float, ...]

    @property
    def dearest_input(self) -> float:
        """The most that a token of a prompt can cost."""
        return self.input + max(0.0, *self.differences[:4])

    @property
    def dearest_output(self) -> float:
        """The most that a token of an answer can cost."""
        return self.output + max(0.0, *self.differences[4:])


def rates_of(price: Price) -> Rates:
    """Return the rates of a price; a kind without a price of its own costs what its side of the request costs."""
    prompt = (price.cached_input, price.cache_write, price.audio_input, price.image_input)
    answer = (price.reasoning, price.audio_output)
    return Rates(
        price.input / _PER,
        price.output / _PER,
        price.request,
        (
            *(0.0 if own is None else (own - price.input) / _PER for own in prompt),
            *(0.0 if own is None else (own - price.output) / _PER for own in answer),
        ),
    )


def surcharge(details: TokenDetails, differences: tuple[float, ...]) -> float:
    """Return the dollars that special kinds of tokens add to a bill, or take off it."""
    return sum(count * difference for count, difference in zip(details, differences, strict=True))
