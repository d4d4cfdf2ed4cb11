"""Whatever of a request may be read as words is read by the guard, wherever it stands: the body is sent on whole."""

from typing import Any

import httpx
import pytest
from gateway_parts import POISON, SECRET, Parts, deployment, model, serving, snapshot
from openai_provider import Provider

from sluice.contracts.routing import Policy

CHAT, COMPLETIONS, EMBEDDINGS = "/v1/chat/completions", "/v1/completions", "/v1/embeddings"
KINDS = {
    "ears": "transcription",
    "small": "chat",
    "vectors": "embedding",
    "ranker": "rerank",
    "voice": "speech",
    "painter": "image",
}


def saying(content: Any, **message: Any) -> dict[str, Any]:
    return {"model": "small", "messages": [{"role": "user", "content": content, **message}]}


def after(**message: Any) -> dict[str, Any]:
    return {"model": "small", "messages": [{"role": "assistant", **message}, {"role": "user", "content": "x"}]}


def with_field(**fields: Any) -> dict[str, Any]:
    return {**saying("x"), **fields}


PLACES: dict[str, tuple[str, dict[str, Any]]] = {
    "a field of a message": (CHAT, saying("x", context=POISON)),
    "a role": (CHAT, {"model": "small", "messages": [{"role": f"user\n{POISON}", "content": "x"}]}),
    "a field of a part": (CHAT, saying([{"type": "text", "text": "x", "note": POISON}])),
    "an option of a part": (CHAT, saying([{"type": "text", "text": "x", "cache_control": {"type": POISON}}])),
    "the text of a document": (CHAT, saying([{"type": "document", "source": {"type": "text", "data": POISON}}])),
    "the context of a document": (
        CHAT,
        saying([{"type": "document", "source": {"type": "text", "data": "x"}, "context": POISON}]),
    ),
    "thinking": (CHAT, after(content="y", thinking=POISON)),
    "details of thinking": (CHAT, after(content="y", reasoning_details=[{"type": "reasoning.text", "text": POISON}])),
    "an annotation": (
        CHAT,
        after(content="y", annotations=[{"type": "url_citation", "url_citation": {"title": POISON}}]),
    ),
    "a name in arguments that are an object": (
        CHAT,
        after(content=None, tool_calls=[{"id": "c", "type": "function", "function": {"name": "f", "arguments": {POISON: 1}}}]),
    ),
    "the id of a call": (
        CHAT,
        after(content=None, tool_calls=[{"id": POISON, "type": "function", "function": {"name": "f", "arguments": "{}"}}]),
    ),
    "a field that nobody knows": (CHAT, with_field(briefing=POISON)),
    "a name in such a field": (CHAT, with_field(briefing={POISON: 1})),
    "a system prompt beside the messages": (CHAT, with_field(system=POISON)),
    "a field of a document to ground on": (CHAT, with_field(documents=[{"text": "x", "author": POISON}])),
    "where a search is made from": (CHAT, with_field(web_search_options={"user_location": {"city": POISON}})),
    "a choice of answers": (CHAT, with_field(guided_choice=["yes", POISON])),
    "a schema of llama.cpp's": (CHAT, with_field(json_schema={"type": "object", "description": POISON})),
    "an effort": (CHAT, with_field(verbosity=POISON)),
    "one of several prompts": (COMPLETIONS, {"model": "small", "prompt": ["x", POISON]}),
    "what comes after a prompt": (COMPLETIONS, {"model": "small", "prompt": "x", "suffix": POISON}),
    "a prefix of llama.cpp's": (COMPLETIONS, {"model": "small", "prompt": "x", "input_prefix": POISON}),
    "files of llama.cpp's": (
        COMPLETIONS,
        {"model": "small", "prompt": "x", "input_extra": [{"filename": "f", "text": POISON}]},
    ),
    "messages to embed": (
        EMBEDDINGS,
        {"model": "vectors", "input": "x", "messages": [{"role": "user", "content": POISON}]},
    ),
    "no messages to embed": (EMBEDDINGS, {"model": "vectors", "input": "x", "messages": ["y", 3, {"to": POISON}]}),
    "no messages to complete": (COMPLETIONS, {"model": "small", "prompt": POISON, "messages": ["y", 3]}),
    "an instruction to embed by": (EMBEDDINGS, {"model": "vectors", "input": "x", "instruction": POISON}),
    "an instruction to rank by": (
        "/v1/rerank",
        {"model": "ranker", "query": "x", "documents": ["y"], "instruction": POISON},
    ),
    "the title of what is ranked": (
        "/v1/rerank",
        {"model": "ranker", "query": "x", "documents": [{"text": "y", "title": POISON}]},
    ),
    "instructions to a voice": ("/v1/audio/speech", {"model": "voice", "input": "x", "voice": "a", "instructions": POISON}),
    "what no image shall show": ("/v1/images/generations", {"model": "painter", "prompt": "x", "negative_prompt": POISON}),
}  # fmt: skip


def routing(provider: Provider) -> Any:
    models = [
        model(name, deployment(f"d-{name}", provider.base_url), policy="open" if name == "ears" else "input", kind=kind)
        for name, kind in KINDS.items()
    ]
    policies = (
        Policy(name="input", guard_input="enforce"),
        Policy(name="open", guard_input="enforce", on_guard_error="open"),
    )
    return snapshot(*models, policies=policies)


@pytest.mark.parametrize("place", PLACES)
async def test_an_attack_is_found_wherever_it_stands(place: str, provider: Provider, client: httpx.AsyncClient) -> None:
    path, body = PLACES[place]
    async with serving(Parts(), routing(provider)) as gateway:
        answer = await client.post(gateway.url + path, json=body)
    assert (answer.status_code, answer.json()["error"]["code"]) == (400, "content_filter"), answer.text
    assert provider.seen == []


async def test_a_value_is_taken_out_of_a_field_that_nobody_knows(provider: Provider, client: httpx.AsyncClient) -> None:
    body = with_field(briefing={"to": [f"Write to {SECRET}"]}, user="someone", stop=["a stop"], metadata={"a": SECRET})
    async with serving(Parts(), routing(provider)) as gateway:
        answer = await client.post(gateway.url + CHAT, json=body)
        asked = [segment.text for one in gateway.parts.guard.asked for segment in one.segments or ()]
    assert answer.status_code == 200
    assert provider.seen[0].json["briefing"] == {"to": ["Write to [EMAIL]"]}
    assert asked == ["Write to ada@example.org", "x"], "what no model reads is not asked about"


@pytest.mark.parametrize(
    "part",
    [
        {"type": "audio_url", "audio_url": {"url": "https://a.example/spoken.mp3"}},
        {"type": "image", "image": "https://a.example/written.png"},
        {"type": "document", "source": {"type": "base64", "data": "AAAA"}},
        {"type": "tool_result", "content": [{"type": "image_url", "image_url": {"url": "https://a.example/a.png"}}]},
    ],
    ids=lambda part: part["type"],
)
async def test_what_no_guard_can_read_does_not_pass_a_policy_that_fails_closed(
    part: dict[str, Any], provider: Provider, client: httpx.AsyncClient
) -> None:
    async with serving(Parts(), routing(provider)) as gateway:
        answer = await client.post(gateway.url + CHAT, json=saying([{"type": "text", "text": "x"}, part]))
    assert answer.status_code == 400
    assert provider.seen == []


@pytest.mark.parametrize(
    ("text", "code"), [(POISON, "content_filter"), (f"Ada, {SECRET}", "definition_refused"), ("Ada", None)]
)
async def test_the_texts_of_a_form_are_read_each_of_them(
    text: str, code: str | None, provider: Provider, client: httpx.AsyncClient
) -> None:
    form = {"model": "ears", "prompt": f"{SECRET} speaks", "hotwords": [text, "Bob"], "timestamp_granularities[]": ["word", "segment"]}  # fmt: skip
    async with serving(Parts(), routing(provider)) as gateway:
        answer = await client.post(
            gateway.url + "/v1/audio/transcriptions", data=form, files={"file": ("a.wav", b"RIFF")}
        )
        asked = [segment.text for one in gateway.parts.guard.asked for segment in one.segments or ()]
    assert asked == [text, "Bob", f"{SECRET} speaks"]
    if code is not None:
        assert (answer.status_code, answer.json()["error"]["code"]) == (400, code)
        assert provider.seen == []
    else:
        assert b"[EMAIL] speaks" in provider.seen[0].body
        assert provider.seen[0].body.count(b"granularities[]") == 2
