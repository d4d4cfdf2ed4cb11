"""What embeddings of every provider share: the texts and options of a request, and OpenAI's shape of the vectors."""

import struct
from base64 import b64encode
from collections.abc import Sequence
from typing import Literal, NamedTuple

from sluice_gateway.translate.errors import BadAnswer, Untranslatable
from sluice_gateway.translate.reading import one_of, only, text, whole
from sluice_gateway.translate.shapes import Asked, Json

Form = Literal["float", "base64"]
_FORMS: tuple[Form, ...] = ("float", "base64")
_HANDLED = frozenset({"model", "input", "dimensions", "encoding_format"})
_NEUTRAL: dict[str, tuple[object, ...] | None] = {"user": None, "metadata": None, "safety_identifier": None}


class Wanted(NamedTuple):
    """What a request asks for; `dimensions` is None when the model's own length is wanted."""

    texts: list[str]
    dimensions: int | None


def wanted(fields: Json, provider: str, *own: str) -> Wanted:
    """Return what a request asks for; `own` are fields that the provider knows besides.

    Raises:
        Untranslatable: token numbers instead of texts, or a field that the provider has no counterpart for.
    """
    only(fields, _HANDLED | set(own), _NEUTRAL, provider)
    given = fields["input"]
    texts = [given] if type(given) is str else given
    if type(texts) is not list or any(type(one) is not str for one in texts):
        raise Untranslatable("input", f"must be texts for {provider}; they do not take token numbers.")
    dimensions = fields.get("dimensions")
    form(fields)
    return Wanted(texts, None if dimensions is None else whole(dimensions, "dimensions"))


def own_word(fields: Json, name: str) -> str | None:
    """Return a provider's own field, None when it is not given."""
    return None if fields.get(name) is None else text(fields[name], name)


def form(fields: Json) -> Form:
    """Return how vectors are to be written."""
    given = fields.get("encoding_format")
    return "float" if given is None else one_of(given, "encoding_format", _FORMS)


def answer(vectors: Sequence[object], tokens: int | None, asked: Asked) -> Json:
    """Return vectors, in the order of the inputs, in OpenAI's shape; base64 holds 32-bit floats, little-endian.

    Raises:
        BadAnswer: they are no vectors, or not one for each input.
    """
    given = asked.fields.get("input")
    if len(vectors) != (1 if type(given) is str else len(given or ())):
        raise BadAnswer("not one vector for each input")
    write = _written if form(asked.fields) == "base64" else list
    data = [{"object": "embedding", "index": at, "embedding": write(_vector(one))} for at, one in enumerate(vectors)]
    found: Json = {"object": "list", "data": data, "model": asked.model}
    if tokens is not None:
        found["usage"] = {"prompt_tokens": tokens, "total_tokens": tokens}
    return found


def _vector(value: object) -> list[float]:
    if type(value) is not list or not value or any(type(one) not in (float, int) for one in value):
        raise BadAnswer("no vector")
    return value


def _written(vector: list[float]) -> str:
    try:
        return b64encode(struct.pack(f"<{len(vector)}f", *vector)).decode()
    except OverflowError as exc:
        raise BadAnswer("a number that no 32-bit float holds") from exc
