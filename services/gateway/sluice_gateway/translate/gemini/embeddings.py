"""Embeddings of the Gemini API: https://ai.google.dev/api/embeddings."""

import orjson

from sluice_gateway.tokens import count_of
from sluice_gateway.translate import embeddings
from sluice_gateway.translate.errors import BadAnswer, Untranslatable
from sluice_gateway.translate.gemini import request as requests
from sluice_gateway.translate.hub import details
from sluice_gateway.translate.shapes import Asked, Json, UpstreamRequest

_OWN = {"task_type": "taskType", "title": "title"}
_MOST = 100  # requests of a batch


def build(fields: Json, upstream_model: str) -> UpstreamRequest:
    """Return the request for the vectors of some texts; `task_type` and `title` are Gemini's own.

    Raises:
        Untranslatable: a field has no counterpart.
    """
    asked = embeddings.wanted(fields, requests.NAME, *_OWN)
    if len(asked.texts) > _MOST:
        raise Untranslatable("input", f"must have at most {_MOST} texts on {requests.NAME}.")
    shared: Json = {"model": requests.name(upstream_model)}
    if asked.dimensions is not None:
        shared["outputDimensionality"] = asked.dimensions
    for ours, theirs in _OWN.items():
        word = embeddings.own_word(fields, ours)
        if word is not None:
            shared[theirs] = word
    body = {"requests": [{**shared, "content": {"parts": [{"text": text}]}} for text in asked.texts]}
    return UpstreamRequest(requests.path(upstream_model, "batchEmbedContents"), (), orjson.dumps(body))


def answer(found: Json, asked: Asked) -> Json:
    """Return the vectors in OpenAI's shape.

    Raises:
        BadAnswer: there are none.
    """
    vectors = found.get("embeddings")
    if type(vectors) is not list or any(type(one) is not dict for one in vectors):
        raise BadAnswer("no embeddings")
    tokens = count_of(details(found, "usageMetadata").get("promptTokenCount"))
    return embeddings.answer([one.get("values") for one in vectors], tokens, asked)
