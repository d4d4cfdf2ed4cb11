"""Conversations that are compacted, with OpenAI's own client, across two gateway processes and three kinds of providers."""

import json
from typing import Any

import httpx
import openai
import pytest
from foreign_provider import Behaviour
from tests.integration.gateway.responses.pair import KINDS, Pair
from tests.unit.gateway.translate.test_responses_passing import RESPONSE

from sluice_gateway.domain.compaction import PROMPT

pytestmark = [pytest.mark.integration, pytest.mark.timeout(120)]
SUMMARY = "Ann lives in Oslo; order 4711 is paid."
TALK: Any = [
    {"role": "user", "content": "I am Ann."},
    {"role": "assistant", "content": "Hello Ann, your order 4711 is paid."},
    {"role": "user", "content": "I live in Oslo."},
]


def sent_on(output: list[Any]) -> Any:
    return [item.model_dump(exclude_none=True, warnings=False) for item in output]


async def test_a_conversation_goes_on_from_its_summary_with_any_model(pair: Pair) -> None:
    for model in KINDS:
        pair.answer(text=SUMMARY)
        async with pair.api(0) as one, pair.api(1) as two:
            shorter = await one.responses.compact(model=model, input=TALK, instructions="Be exact.")
            assert shorter.object == "response.compaction"
            asked = json.dumps(pair.asked(model))
            assert asked.index("order 4711") < asked.index(json.dumps(PROMPT)[1:40])
            assert "Be exact." in asked
            *said, item = shorter.output
            assert [one.content[0].text for one in said] == ["I am Ann.", "I live in Oslo."]  # type: ignore[union-attr] # messages
            assert item.type == "compaction"
            assert SUMMARY not in item.encrypted_content
            assert shorter.usage.output_tokens > 0
            for other in KINDS:
                pair.answer(text="4711.")
                question: Any = [*sent_on(shorter.output), {"role": "user", "content": "Which order?"}]
                answer = await two.responses.create(model=other, input=question)
                assert answer.output_text == "4711."
                asked = json.dumps(pair.asked(other))
                assert asked.index("I live in Oslo.") < asked.index(SUMMARY) < asked.index("Which order?")
            later = await two.responses.create(model=model, input="Sure?", previous_response_id=answer.id)
            assert SUMMARY in json.dumps(pair.asked(model)), "also when the conversation goes on by the response's id"
            kept = [one.type async for one in two.responses.input_items.list(later.id, order="asc")]
            assert kept.count("compaction") == 1, "what is kept is what came"


async def test_a_kept_conversation_and_a_compacted_one_are_compacted(pair: Pair) -> None:
    pair.answer(text="Hello Ann, your order 4711 is paid.")
    async with pair.api() as api:
        first = await api.responses.create(model="open", input="I am Ann.")
        pair.answer(text=SUMMARY)
        once = await api.responses.compact(model="open", previous_response_id=first.id)
        assert "order 4711" in json.dumps(pair.asked("open"))
        pair.answer(text="Ann, and no more.")
        twice = await api.responses.compact(
            model="open", input=[*sent_on(once.output), {"role": "user", "content": "Bye."}]
        )
        assert SUMMARY in json.dumps(pair.asked("open"))
        assert [one.type for one in twice.output] == ["message", "message", "compaction"]
        counted = await api.responses.input_tokens.count(model="claude", input=sent_on(twice.output))
        assert counted.input_tokens > 0


async def test_what_cannot_be_opened_or_made_shorter_is_refused(pair: Pair) -> None:
    pair.answer(text=SUMMARY)
    async with pair.api() as api, pair.api(key=pair.other_key) as other:
        shorter = await api.responses.compact(model="open", input=TALK)
        output = sent_on(shorter.output)
        broken = [*output[:-1], {**output[-1], "encrypted_content": output[-1]["encrypted_content"][:-9] + "A" * 9}]
        for client, given in ((other, output), (api, broken)):
            for ask in (client.responses.create, client.responses.compact):
                with pytest.raises(openai.BadRequestError, match="does not open") as refused:
                    await ask(model="open", input=given)
                assert refused.value.code == "invalid_encrypted_content"
        foreign: Any = [{"type": "compaction", "encrypted_content": "gAAAAAB"}, {"role": "user", "content": "?"}]
        with pytest.raises(openai.BadRequestError, match="sealed by a provider"):
            await api.responses.create(model="open", input=foreign)
        asked: list[tuple[dict[str, Any], str]] = [
            ({}, "`input`"),
            ({"input": []}, "at least one item"),
            ({"input": "x", "stream": True}, "`stream` does not go"),
            ({"input": "x", "previous_response_id": "resp_nope"}, "not found"),
            ({"input": "x", "image": {"context_compression": "enabled"}}, "context_compression"),
        ]
        headers = {"authorization": f"Bearer {pair.key}"}
        async with httpx.AsyncClient(base_url=pair.urls[0]) as http:
            for fields, said in asked:
                answer = await http.post("/v1/responses/compact", json={"model": "open", **fields}, headers=headers)
                assert answer.status_code == 400, answer.text
                assert said in answer.json()["error"]["message"], answer.text
            assert (await http.post("/v1/responses/compact", json={"model": "open", "input": "x"})).status_code == 401
            answer = await http.post("/v1/responses/compact", json={"model": "nope", "input": "x"}, headers=headers)
            assert (answer.status_code, answer.json()["error"]["code"]) == (404, "model_not_found")
            assert (await http.get("/v1/responses/compact", headers=headers)).status_code in (404, 405)
            pair.answer(text="")
            answer = await http.post("/v1/responses/compact", json={"model": "open", "input": "x"}, headers=headers)
            assert (answer.status_code, answer.json()["error"]["code"]) == (502, "compaction_failed")


async def test_a_server_that_speaks_the_api_itself_is_asked_for_a_summary_and_gets_its_own_items_back(
    pair: Pair,
) -> None:
    def says(*output: object) -> Behaviour:
        return Behaviour(body=json.dumps({**RESPONSE, "status": "completed", "output": output}).encode())

    summary = {"type": "message", "content": [{"type": "output_text", "text": SUMMARY}]}
    async with pair.api() as api:
        pair.providers["native"].next(says(summary))
        shorter = await api.responses.compact(model="native", input=TALK)
        asked = pair.asked("native")
        assert (asked["store"], asked["input"][-1]["content"][0]["text"]) == (False, PROMPT)
        assert shorter.output[-1].type == "compaction"
        own: Any = {"type": "compaction", "encrypted_content": "gAAAAAB"}
        pair.providers["native"].next(says(summary))
        question: Any = [own, *sent_on(shorter.output), {"role": "user", "content": "Which order?"}]
        await api.responses.create(model="native", input=question)
        kinds = [(one["type"], one.get("role")) for one in pair.asked("native")["input"] if "type" in one]
        assert kinds == [("compaction", None), ("message", "user"), ("message", "user"), ("message", "assistant")]
        for odd in ([7, {"type": "message", "content": 3}], [{"type": "message", "content": [7]}], []):
            pair.providers["native"].next(says(*odd))
            with pytest.raises(openai.APIStatusError, match="no complete summary"):
                await api.responses.compact(model="native", input=TALK)
