"""Images and speech on the request path: what their bodies must hold, what their answers count, and streams that pass as they come."""

from collections.abc import Callable
from typing import Any, NamedTuple

import orjson

from sluice.contracts.routing import Price
from sluice_gateway.dataplane.errors import wrong_value
from sluice_gateway.dataplane.sse import (
    EventCutter,
    StreamPiece,
    Usage,
    chunk_of,
    split,
    usage_of,
    with_cost,
)
from sluice_gateway.dataplane.sse import (
    Price as CostOf,
)

FORMS = frozenset({"edit", "transcription"})
MEDIA = FORMS | {"image", "speech"}
_LEAST_BYTES_PER_S = 750  # no codec of these APIs has a smaller rate in use (6 kbit/s)
_USUAL_BYTES_PER_S = 4_000
_MOST_TEXT = 100_000
_MOST_EVENT = 64 * 1024 * 1024  # an event may hold a whole picture
_PER = 1e6


class Units(NamedTuple):
    """What a request is charged for besides tokens."""

    images: int = 0
    characters: int = 0
    seconds: float = 0.0


class UnitPrices(NamedTuple):
    """US dollars for an image, a character and a second."""

    image: float
    character: float
    second: float

    def cost(self, units: Units) -> float:
        """Return what so many units cost."""
        return units.images * self.image + units.characters * self.character + units.seconds * self.second


def unit_prices(price: Price | None) -> UnitPrices | None:
    """Return the prices of images, characters and sound, None for a model that has none of them."""
    if price is None or not (price.image or price.characters or price.minute):
        return None
    return UnitPrices(price.image or 0.0, (price.characters or 0.0) / _PER, (price.minute or 0.0) / 60)


def check_image(fields: dict[str, Any]) -> bool:
    """Check the prompt of an image; there are no content parts."""
    _check_text("prompt", fields.get("prompt"))
    return False


def check_speech(fields: dict[str, Any]) -> bool:
    """Check the text that is to be spoken; there are no content parts."""
    _check_text("input", fields.get("input"))
    return False


def check_form(fields: dict[str, Any]) -> bool:
    """Check the prompt of a form, which may be left out."""
    if fields.get("prompt"):
        _check_text("prompt", fields["prompt"])
    return False


def _check_text(name: str, value: object) -> None:
    if type(value) is not str or not value:
        raise wrong_value(name, "must be a text, and not empty.")
    if len(value) > _MOST_TEXT:
        raise wrong_value(name, f"must be at most {_MOST_TEXT} characters long.")


def most_units(kind: str, fields: dict[str, Any], size: int = 0) -> Units:
    """Return the most that a request can be charged for; `size` is that of its files."""
    if kind == "image":
        return Units(images=fields.get("n") or 1)
    if kind == "edit":
        return Units(images=int(fields.get("n", "1")))
    if kind == "transcription":
        return Units(seconds=size / _LEAST_BYTES_PER_S)
    return Units(characters=len(fields["input"])) if kind == "speech" else Units()


def units_of(kind: str, fields: dict[str, Any], found: dict[str, Any], size: int) -> Units:
    """Return what a request with this answer is charged for besides tokens, or when there is none yet, with an empty one.

    `size` is that of its files. Sound whose length nobody says counts as 4,000 bytes a second.
    """
    if kind in ("image", "edit"):
        return Units(images=len(found.get("data") or ()))
    if kind == "speech":
        return Units(characters=len(fields["input"]))
    usage = found.get("usage")
    said = usage.get("seconds") if isinstance(usage, dict) else None
    seconds = said if isinstance(said, int | float) else found.get("duration")
    known = isinstance(seconds, int | float) and seconds >= 0
    return Units(seconds=float(seconds) if known else size / _USUAL_BYTES_PER_S)  # type: ignore[arg-type] # a number by now


class AsItComes:
    """Follows a stream of sound or of events about media, which passes as it came.

    Each complete image is told with `on_image`; `price` tells what is put beside the counts.
    """

    def __init__(self, price: CostOf | None, on_image: Callable[[], None], *, events: bool) -> None:
        self._price = price
        self._on_image = on_image
        self._cutter = EventCutter(_MOST_EVENT) if events else None
        self.chunks = 0
        self.usage: Usage | None = None
        self.failed = False

    def feed(self, data: bytes) -> StreamPiece:
        """Take one read of the upstream."""
        if self._cutter is None:
            return StreamPiece(data, done=False)
        return self._followed(self._cutter.feed(data))

    def finish(self) -> StreamPiece:
        """Return what is left when the upstream has closed its stream."""
        rest = b"" if self._cutter is None else self._cutter.rest()
        return self._followed(rest + b"\n\n") if rest.strip() else StreamPiece(b"", done=False)

    def _followed(self, events: bytes) -> StreamPiece:
        if b'"usage"' not in events and b'"error"' not in events and b'.completed"' not in events:
            return StreamPiece(events, done=False)
        return StreamPiece(b"".join(self._shown(event) for event in split(events)), done=False)

    def _shown(self, event: bytes) -> bytes:
        found = chunk_of(event)
        if found is None:
            return event
        if found.get("type") == "error" or ("error" in found and "type" not in found):
            self.failed = True
            return b""
        if str(found.get("type", "")).endswith(".completed"):
            self._on_image()
        usage = usage_of(found)
        if usage is None:
            return event
        self.usage = usage
        if self._price is None:
            return event
        named = event[: event.index(b"data:")]
        return named + b"data: " + orjson.dumps(with_cost(found, self._price(usage))) + b"\n\n"
