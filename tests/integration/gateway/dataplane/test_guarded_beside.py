"""What an answer holds beside its words is guarded as these are: annotations, and lists that some providers add."""

import json
from typing import Any

import httpx
import pytest
from gateway_parts import POISON, SECRET, Parts, serving
from openai_provider import Behaviour, Provider
from tests.integration.gateway.dataplane.test_dataplane_policies import CHAT, ask, routing

PAGE = {"type": "url_citation", "url_citation": {"url": "https://a.example/x", "title": "A page", "start_index": 0, "end_index": 4}}  # fmt: skip
MAILED = {"type": "url_citation", "url_citation": {**PAGE["url_citation"], "title": f"Mail {SECRET}"}}  # type: ignore[dict-item] # PAGE holds a dict there
LINKED = {"type": "url_citation", "url_citation": {**PAGE["url_citation"], "url": f"https://a.example/?{SECRET}"}}  # type: ignore[dict-item] # PAGE holds a dict there
FILE = {"type": "file_citation", "file_id": "file-1", "filename": f"{SECRET}.pdf", "index": 3}
WORDS = "It is on the page"


def answer_of(notes: list[Any], streamed: bool, **beside: Any) -> Behaviour:
    """Return an answer with annotations, and fields beside its choices."""
    head = {"id": "c", "created": 1, "model": "small"}
    counts = {"usage": {"prompt_tokens": 3, "completion_tokens": 5, "total_tokens": 8}}
    if not streamed:
        message = {"role": "assistant", "content": WORDS, "annotations": notes}
        choice = {"index": 0, "message": message, "finish_reason": "stop"}
        return Behaviour(
            body=json.dumps({**head, "object": "chat.completion", "choices": [choice], **counts, **beside}).encode()
        )
    deltas: list[dict[str, Any]] = [
        {"role": "assistant", "content": WORDS},
        *({"annotations": [note]} for note in notes),
        {},
    ]
    chunks = [
        {
            **head,
            "object": "chat.completion.chunk",
            "choices": [{"index": 0, "delta": delta, "finish_reason": None if delta else "stop"}],
            **beside,
        }
        for delta in deltas
    ]
    events = [*map(json.dumps, chunks), json.dumps({**chunks[-1], "choices": [], **counts}), "[DONE]"]
    return Behaviour(
        body="".join(f"data: {one}\n\n" for one in events).encode(), content_type="text/event-stream; charset=utf-8"
    )


def told(answer: httpx.Response, streamed: bool) -> tuple[list[Any], list[dict[str, Any]]]:
    """Return the annotations of an answer, and its objects: one, or many chunks."""
    if not streamed:
        return answer.json()["choices"][0]["message"].get("annotations", []), [answer.json()]
    lines = [line[6:] for line in answer.text.splitlines() if line.startswith("data: {")]
    chunks = [json.loads(line) for line in lines]
    deltas = [choice.get("delta", {}) for chunk in chunks for choice in chunk["choices"]]
    return [note for delta in deltas for note in delta.get("annotations", [])], chunks


@pytest.mark.parametrize("streamed", [False, True])
async def test_an_annotation_with_something_to_be_taken_out_is_left_out(
    streamed: bool, provider: Provider, client: httpx.AsyncClient
) -> None:
    provider.default = answer_of([PAGE, MAILED, LINKED, FILE, {**PAGE, "index": 2}], streamed)
    async with serving(Parts(), routing(provider, "output")) as gateway:
        answer = await client.post(gateway.url + CHAT, json=ask("x", stream=streamed))
    notes, _ = told(answer, streamed)
    assert SECRET not in answer.text
    assert WORDS in answer.text
    assert gateway.parts.usage.events[0].guard_issues == ("pii_detected",)
    assert notes == [PAGE, {**PAGE, "index": 2}], "though a verdict names one finding of many"


@pytest.mark.parametrize("streamed", [False, True])
async def test_an_annotation_that_is_blocked_ends_the_answer(
    streamed: bool, provider: Provider, client: httpx.AsyncClient
) -> None:
    provider.default = answer_of([{**FILE, "filename": POISON}, PAGE], streamed)
    async with serving(Parts(), routing(provider, "output")) as gateway:
        answer = await client.post(gateway.url + CHAT, json=ask("x", stream=streamed))
    notes, objects = told(answer, streamed)
    assert notes == []
    assert POISON not in answer.text
    assert [c["finish_reason"] for one in objects for c in one["choices"] if c["finish_reason"]] == ["content_filter"]
    assert gateway.parts.usage.events[0].status == "blocked"


@pytest.mark.parametrize("streamed", [False, True])
async def test_lists_beside_the_choices_are_guarded(
    streamed: bool, provider: Provider, client: httpx.AsyncClient
) -> None:
    found = [{"title": "A page", "url": "https://a.example"}, {"title": f"Mail {SECRET}", "url": "https://b.example"}]
    provider.default = answer_of([], streamed, search_results=found, related=f"Ask {SECRET}", timings={"ms": 3})
    async with serving(Parts(), routing(provider, "output")) as gateway:
        answer = await client.post(gateway.url + CHAT, json=ask("x", stream=streamed))
    _, objects = told(answer, streamed)
    assert SECRET not in answer.text
    assert all(one["search_results"] == found[:1] and one["timings"] == {"ms": 3} for one in objects if one["choices"])
    assert all("related" not in one for one in objects)
    asked = [one for one in gateway.parts.guard.asked if "b.example" in (one.segments or ())[-1].text]
    assert len(asked) == 1, "what a stream says again and again is asked about once"


@pytest.mark.parametrize("streamed", [False, True])
async def test_what_only_observes_changes_no_annotation(
    streamed: bool, provider: Provider, client: httpx.AsyncClient
) -> None:
    provider.default = answer_of([MAILED], streamed, citations=[SECRET])
    async with serving(Parts(), routing(provider, "watch")) as gateway:
        answer = await client.post(gateway.url + CHAT, json=ask("x", stream=streamed))
    notes, objects = told(answer, streamed)
    assert notes == [MAILED]
    assert objects[0]["citations"] == [SECRET]


@pytest.mark.parametrize("path", [CHAT, "/v1/messages", "/v1/responses"])
async def test_a_blocked_stream_tells_what_is_charged(path: str, provider: Provider, client: httpx.AsyncClient) -> None:
    filler = "word " * 150
    provider.default = Behaviour(text=f"{filler}{POISON} {filler}" * 3, chunk_delay_s=0.001)
    body: dict[str, Any] = ask("x", stream=True, stream_options={"include_usage": True})
    if path != CHAT:
        body = {"model": "small", "stream": True, "max_tokens": 900, "messages": body["messages"]}
    if path == "/v1/responses":
        body = {"model": "small", "stream": True, "input": "x"}
    async with serving(Parts(), routing(provider, "output")) as gateway:
        answer = await client.post(gateway.url + path, json=body)
    event = gateway.parts.usage.events[0]
    assert (event.status, event.completion_tokens > 50) == ("blocked", True)
    events = [json.loads(line[6:]) for line in answer.text.splitlines() if line.startswith("data: {")]
    counts = [usage for one in events if (usage := one.get("usage") or one.get("response", {}).get("usage"))]
    names = ("prompt_tokens", "completion_tokens") if path == CHAT else ("input_tokens", "output_tokens")
    assert counts, answer.text[-500:]
    assert counts[-1][names[1]] == event.completion_tokens
    assert counts[-1].get(names[0], event.prompt_tokens) == event.prompt_tokens
    if path == CHAT:
        assert len(counts) == 1
        assert counts[0]["sluice"]["cost_usd"] == pytest.approx(event.cost_usd)
        assert events[-1]["choices"] == []


async def test_a_blocked_stream_tells_nothing_of_its_usage_to_who_did_not_ask(
    provider: Provider, client: httpx.AsyncClient
) -> None:
    provider.default = Behaviour(text=f"{'word ' * 150}{POISON}" * 3)
    async with serving(Parts(), routing(provider, "output")) as gateway:
        answer = await client.post(gateway.url + CHAT, json=ask("x", stream=True))
    assert "content_filter" in answer.text
    assert '"usage"' not in answer.text
