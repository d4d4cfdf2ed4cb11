"""OpenAI's embedding requests on Gemini and Bedrock, checked against the types of Google's and OpenAI's own SDKs."""

import json
import struct
from base64 import b64decode
from typing import Any

import pytest
from google.genai import types
from openai.types import CreateEmbeddingResponse
from tests.unit.gateway.translate.samples import ASKED

from sluice_gateway.translate.anthropic.provider import Anthropic
from sluice_gateway.translate.bedrock.provider import Bedrock
from sluice_gateway.translate.errors import BadAnswer, Untranslatable
from sluice_gateway.translate.gemini.provider import Gemini
from sluice_gateway.translate.shapes import Asked, Embedding

Json = dict[str, Any]
GEMINI, BEDROCK = Gemini(), Bedrock()
TITAN, COHERE = "amazon.titan-embed-text-v2:0", "cohere.embed-multilingual-v3"
TWO: Json = {"model": "m", "input": ["a", "ünï"]}
GEMINI_ANSWER: Json = {
    "embeddings": [{"values": [0.5, -1]}, {"values": [0.25, 2.0]}],
    "usageMetadata": {"promptTokenCount": 7},
}
COHERE_ANSWER: Json = {
    "id": "e",
    "texts": ["a", "ünï"],
    "embeddings": {"float": [[0.5, -1], [0.25, 2.0]]},
    "response_type": "embeddings_by_type",
}
TITAN_ANSWER: Json = {"embedding": [0.5, -1], "embeddingsByType": {"float": [0.5, -1]}, "inputTextTokenCount": 3}


def _asked(fields: Json) -> Asked:
    return Asked(ASKED.id, "public", ASKED.created, fields=fields)


def _body(provider: Embedding, fields: Json, model: str) -> Json:
    found: Json = json.loads(provider.embed_request(fields, model).body)
    return found


def test_gemini_gets_a_batch() -> None:
    fields = {**TWO, "dimensions": 256, "task_type": "RETRIEVAL_QUERY", "user": "u", "encoding_format": "base64"}
    request = GEMINI.embed_request(fields, "gemini-embedding-001")
    assert request.path == "/models/gemini-embedding-001:batchEmbedContents"
    asked = json.loads(request.body)["requests"]
    assert [types.Content.model_validate(one["content"]).parts[0].text for one in asked] == ["a", "ünï"]  # type: ignore[index]  # each has one part
    for one in asked:
        assert one["model"] == "models/gemini-embedding-001"
        config = types.EmbedContentConfig.model_validate(
            {key: one[key] for key in one if key not in ("model", "content")}
        )
        assert (config.output_dimensionality, config.task_type) == (256, "RETRIEVAL_QUERY")
    types.EmbedContentResponse.model_validate(GEMINI_ANSWER)


def test_titan_gets_one_text_and_cohere_many() -> None:
    request = BEDROCK.embed_request({"model": "m", "input": "a", "dimensions": 256, "normalize": False}, TITAN)
    assert request.path == "/model/amazon.titan-embed-text-v2%3A0/invoke"
    assert json.loads(request.body) == {"inputText": "a", "dimensions": 256, "normalize": False}
    assert _body(BEDROCK, {"model": "m", "input": ["a"]}, TITAN) == {"inputText": "a"}
    assert _body(BEDROCK, TWO, COHERE) == {
        "texts": ["a", "ünï"],
        "input_type": "search_document",
        "embedding_types": ["float"],
    }
    more = {**TWO, "input_type": "search_query", "truncate": "END", "dimensions": 512}
    assert _body(BEDROCK, more, "eu.cohere.embed-v4:0") == {
        "texts": ["a", "ünï"], "input_type": "search_query", "embedding_types": ["float"], "truncate": "END", "output_dimension": 512,
    }  # fmt: skip


@pytest.mark.parametrize(("provider", "answer", "tokens"), [(GEMINI, GEMINI_ANSWER, 7), (BEDROCK, COHERE_ANSWER, None)])
def test_vectors_come_in_openais_shape(provider: Embedding, answer: Json, tokens: int | None) -> None:
    found = provider.embed_answer(answer, _asked(TWO))
    assert [(one["index"], one["embedding"]) for one in found["data"]] == [(0, [0.5, -1]), (1, [0.25, 2.0])]
    assert (found["object"], found["model"]) == ("list", "public")
    assert found.get("usage") == (None if tokens is None else {"prompt_tokens": tokens, "total_tokens": tokens})
    if tokens is not None:
        CreateEmbeddingResponse.model_validate(found, strict=True)
    short = provider.embed_answer(answer, _asked({**TWO, "encoding_format": "base64"}))
    assert struct.unpack("<2f", b64decode(short["data"][1]["embedding"])) == (0.25, 2.0)


def test_titans_count_is_told_and_older_answers_of_cohere_are_read() -> None:
    found = BEDROCK.embed_answer(TITAN_ANSWER, _asked({"model": "m", "input": "a"}))
    assert found["usage"] == {"prompt_tokens": 3, "total_tokens": 3}
    older = {"embeddings": [[1.0, 2.0], [3.0, 4.0]], "response_type": "embeddings_floats"}
    assert [one["embedding"] for one in BEDROCK.embed_answer(older, _asked(TWO))["data"]] == older["embeddings"]


@pytest.mark.parametrize(
    ("provider", "model", "fields", "param"),
    [
        (GEMINI, "g", {"input": [1, 2]}, "input"),
        (GEMINI, "g", {"input": [[1, 2]]}, "input"),
        (GEMINI, "g", {"input": ["x"] * 101}, "input"),
        (GEMINI, "g", {"input": "x", "dimensions": 0}, "dimensions"),
        (GEMINI, "g", {"input": "x", "encoding_format": "int8"}, "encoding_format"),
        (GEMINI, "g", {"input": "x", "input_type": "query"}, "input_type"),
        (GEMINI, "g", {"input": "x", "task_type": 3}, "task_type"),
        (BEDROCK, TITAN, {"input": ["a", "b"]}, "input"),
        (BEDROCK, TITAN, {"input": "x", "normalize": "yes"}, "normalize"),
        (BEDROCK, "amazon.titan-embed-text-v1", {"input": "x", "dimensions": 5}, "dimensions"),
        (BEDROCK, COHERE, {"input": ["x"] * 97}, "input"),
        (BEDROCK, "amazon.nova-pro-v1:0", {"input": "x"}, "model"),
    ],
)
def test_what_has_no_counterpart_is_told(provider: Embedding, model: str, fields: Json, param: str) -> None:
    with pytest.raises(Untranslatable) as told:
        provider.embed_request({"model": "m", **fields}, model)
    assert told.value.param == param


@pytest.mark.parametrize(
    ("provider", "answer"),
    [
        (GEMINI, {}),
        (GEMINI, {"embeddings": [1]}),
        (GEMINI, {"embeddings": [{"values": [1.0]}]}),
        (GEMINI, {"embeddings": [{"values": []}, {"values": [1.0]}]}),
        (GEMINI, {"embeddings": [{"values": ["x"]}, {"values": [True]}]}),
        (BEDROCK, {"embeddings": {"int8": [[1], [2]]}}),
        (BEDROCK, {"embedding": [0.1]}),
        (BEDROCK, {"message": "x"}),
    ],
)
def test_answers_that_make_no_sense_are_failures(provider: Embedding, answer: Json) -> None:
    with pytest.raises(BadAnswer):
        provider.embed_answer(answer, _asked(TWO))


def test_a_number_too_large_for_base64_is_a_failure() -> None:
    with pytest.raises(BadAnswer):
        GEMINI.embed_answer(
            {"embeddings": [{"values": [1e300]}]}, _asked({"model": "m", "input": "x", "encoding_format": "base64"})
        )


def test_claude_makes_no_vectors() -> None:
    assert not isinstance(Anthropic(), Embedding)
