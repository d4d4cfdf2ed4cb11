"""Embeddings of Bedrock's own models through InvokeModel: Amazon's Titan (one text a request) and Cohere's (up to 96).

Sources: https://docs.aws.amazon.com/bedrock/latest/userguide/model-parameters-titan-embed-text.html and model-parameters-embed.html
"""

import orjson

from sluice_gateway.tokens import count_of
from sluice_gateway.translate import embeddings
from sluice_gateway.translate.bedrock import request as requests
from sluice_gateway.translate.errors import BadAnswer, Untranslatable
from sluice_gateway.translate.hub import details
from sluice_gateway.translate.shapes import Asked, Json, UpstreamRequest

_TITAN, _COHERE = "amazon.titan-embed", "cohere.embed"
_PATH = "invoke"
_MOST = 96


def build(fields: Json, upstream_model: str) -> UpstreamRequest:
    """Return the request for the vectors of some texts; `input_type` (`search_document` unless given) and `truncate` are Cohere's own, `normalize` is Titan's.

    Raises:
        Untranslatable: a field has no counterpart, or the model is none that embeds texts.
    """
    if _TITAN in upstream_model:
        body = _for_titan(fields, first="-v1" in upstream_model)
    elif _COHERE in upstream_model:
        body = _for_cohere(fields)
    else:
        raise Untranslatable("model", "embeds nothing here: of Bedrock's, models of Amazon Titan and Cohere do.")
    return UpstreamRequest(requests.path(upstream_model, _PATH), (), orjson.dumps(body))


def _for_titan(fields: Json, *, first: bool) -> Json:
    own = () if first else ("normalize",)
    asked = embeddings.wanted(fields, "Amazon Titan models", *own)
    if len(asked.texts) != 1:
        raise Untranslatable("input", "must be one text: Amazon Titan models embed one in each request.")
    body: Json = {"inputText": asked.texts[0]}
    if asked.dimensions is not None:
        if first:
            raise Untranslatable("dimensions", "cannot be set for this model.")
        body["dimensions"] = asked.dimensions
    if fields.get("normalize") is not None:
        if type(fields["normalize"]) is not bool:
            raise Untranslatable("normalize", "must be true or false.")
        body["normalize"] = fields["normalize"]
    return body


def _for_cohere(fields: Json) -> Json:
    asked = embeddings.wanted(fields, "Cohere models of Bedrock", "input_type", "truncate")
    if len(asked.texts) > _MOST:
        raise Untranslatable("input", f"must have at most {_MOST} texts on Cohere models of Bedrock.")
    body: Json = {
        "texts": asked.texts,
        "input_type": embeddings.own_word(fields, "input_type") or "search_document",
        "embedding_types": ["float"],
    }
    truncate = embeddings.own_word(fields, "truncate")
    if truncate is not None:
        body["truncate"] = truncate
    if asked.dimensions is not None:
        body["output_dimension"] = asked.dimensions
    return body


def answer(found: Json, asked: Asked) -> Json:
    """Return the vectors in OpenAI's shape; Cohere's answers hold no count of tokens.

    Raises:
        BadAnswer: there are none.
    """
    if "embedding" in found:
        return embeddings.answer([found["embedding"]], count_of(found.get("inputTextTokenCount")), asked)
    vectors = found.get("embeddings")
    if type(vectors) is dict:
        vectors = details(found, "embeddings").get("float")
    if type(vectors) is not list:
        raise BadAnswer("no embeddings")
    return embeddings.answer(vectors, None, asked)
