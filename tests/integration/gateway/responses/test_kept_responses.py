"""Conversations that go on by the id of the last response, with OpenAI's own client, across two gateway processes."""

import asyncio
import json
from typing import Any

import httpx
import openai
import pytest
from foreign_provider import Behaviour
from tests.integration.gateway.responses.pair import KINDS, Pair
from tests.unit.gateway.translate.test_responses_passing import COMPLETED, RESPONSE, stream

pytestmark = [pytest.mark.integration, pytest.mark.timeout(120)]
CITY = {"city": "Oslo"}
SCHEMA = {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]}
TOOL: Any = {"type": "function", "name": "weather", "parameters": SCHEMA, "strict": False}


async def test_a_conversation_goes_on_through_another_process(each_pair: Pair) -> None:
    for model in KINDS:
        await _converse(each_pair, model)


async def _converse(pair: Pair, model: str) -> None:
    pair.answer(text="Hello Ann.")
    async with pair.api(0) as one, pair.api(1) as two:
        first = await one.responses.create(model=model, input="I am Ann.", instructions="Shout.")
        assert (first.store, first.previous_response_id) == (True, None)
        pair.answer(text="Ann.")
        second = await two.responses.create(model=model, input="Who am I?", previous_response_id=first.id)
        assert (second.output_text, second.previous_response_id) == ("Ann.", first.id)
        said = json.dumps(pair.asked(model))
        assert said.index("I am Ann.") < said.index("Hello Ann.") < said.index("Who am I?")
        assert "Shout." not in said, "instructions are those of one request"
        async with one.responses.stream(model=model, input="Sure?", previous_response_id=second.id) as events:
            third = await _final(events)
        assert (third.store, third.previous_response_id) == (True, second.id)
        said = json.dumps(pair.asked(model))
        assert said.index("I am Ann.") < said.index("Who am I?") < said.index("Sure?")
        assert third.usage is not None

        again = await two.responses.retrieve(third.id)
        assert (again.id, again.output_text, again.usage) == (third.id, third.output_text, third.usage)
        items = [item async for item in two.responses.input_items.list(third.id, order="asc", limit=2)]
        assert [getattr(item, "role", None) for item in items] == ["user", "assistant", "user", "assistant", "user"]
        newest = await two.responses.input_items.list(third.id, limit=1)
        assert (newest.data[0].content[0].text, newest.has_more) == ("Sure?", True)  # type: ignore[union-attr]  # it is a message


async def _final(events: Any) -> Any:
    async for _ in events:
        pass
    return await events.get_final_response()


async def test_function_calls_go_on_by_id_too(pair: Pair) -> None:
    for model in KINDS:
        await _call(pair, model)


async def _call(pair: Pair, model: str) -> None:
    async with pair.api(0) as one, pair.api(1) as two:
        pair.answer(tool_arguments=json.dumps(CITY), calls=(("weather", CITY),), text="")
        first = await one.responses.create(model=model, input="Rain in Oslo?", tools=[TOOL])
        call = next(item for item in first.output if item.type == "function_call")
        pair.answer(text="Yes, rain.")
        result: Any = [{"type": "function_call_output", "call_id": call.call_id, "output": "wet"}]
        last = await two.responses.create(model=model, input=result, previous_response_id=first.id, tools=[TOOL])
        assert last.output_text == "Yes, rain."
        assert "wet" in json.dumps(pair.asked(model))
        kinds = [item.type async for item in one.responses.input_items.list(last.id, order="asc")]
        assert [kind for kind in kinds if kind != "reasoning"] == ["message", "function_call", "function_call_output"]


async def test_a_kept_response_is_told_again_as_a_stream(pair: Pair) -> None:
    pair.answer(text="A fox is small.")
    async with pair.api() as api:
        async with api.responses.stream(model="open", input="A fox?") as events:
            final = await _final(events)
        async with api.responses.stream(response_id=final.id) as again:
            kinds = [event.type async for event in again]
            told = await again.get_final_response()
        assert (told.id, told.output_text) == (final.id, "A fox is small.")
        assert kinds[0] == "response.created"
        assert kinds[-1] == "response.completed"
        rest = await api.responses.retrieve(final.id, stream=True, starting_after=len(kinds) - 2)
        assert [event.type async for event in rest] == ["response.completed"]


async def test_what_is_deleted_is_gone_and_ends_its_conversation(each_pair: Pair) -> None:
    pair = each_pair
    async with pair.api(0) as one, pair.api(1) as two:
        first = await one.responses.create(model="open", input="1")
        second = await one.responses.create(model="open", input="2", previous_response_id=first.id)
        await two.responses.delete(first.id)
        for api in (one, two):
            with pytest.raises(openai.NotFoundError):
                await api.responses.retrieve(first.id)
            with pytest.raises(openai.NotFoundError):
                await api.responses.delete(first.id)
            assert (await api.responses.retrieve(second.id)).id == second.id
            with pytest.raises(openai.BadRequestError) as refused:
                await api.responses.create(model="open", input="3", previous_response_id=second.id)
            assert refused.value.code == "previous_response_not_found"
            assert refused.value.param == "previous_response_id"
        with pytest.raises(openai.BadRequestError):
            await one.responses.cancel(second.id)
        items = await one.responses.input_items.list(second.id)
        assert len(items.data) == 1, "what is left"


async def test_tenants_never_meet(pair: Pair) -> None:
    async with pair.api(0) as mine, pair.api(0, pair.other_key) as theirs, pair.api(1, pair.other_key) as far:
        own = await mine.responses.create(model="open", input="secret")
        for api in (theirs, far):
            for call in (api.responses.retrieve, api.responses.delete, api.responses.cancel):
                with pytest.raises(openai.NotFoundError):
                    await call(own.id)
            with pytest.raises(openai.NotFoundError):
                await api.responses.input_items.list(own.id)
            with pytest.raises(openai.BadRequestError) as refused:
                await api.responses.create(model="open", input="x", previous_response_id=own.id)
            assert refused.value.code == "previous_response_not_found"
        assert (await mine.responses.retrieve(own.id)).id == own.id


async def test_what_is_not_to_be_kept_is_not(pair: Pair) -> None:
    async with pair.api() as api:
        for asked in ({"model": "open", "store": False}, {"model": "discreet"}):
            answer = await api.responses.create(input="x", **asked)  # type: ignore[call-overload]  # the fields vary
            assert answer.store is False
            with pytest.raises(openai.NotFoundError):
                await api.responses.retrieve(answer.id)
        with pytest.raises(openai.BadRequestError) as refused:
            await api.responses.create(model="discreet", input="x", store=True)
        assert (refused.value.param, refused.value.code) == ("store", "store_not_allowed")
        kept = await api.responses.create(model="open", input="I am Ann.")
        told = await api.responses.create(model="open", input="x", previous_response_id=kept.id, store=False)
        assert (told.store, told.previous_response_id) == (False, kept.id)
        assert "I am Ann." in json.dumps(pair.asked("open"))


async def test_a_server_with_the_same_api_keeps_nothing_and_its_ids_are_replaced(pair: Pair) -> None:
    said = {"type": "message", "id": "msg_p", "role": "assistant", "status": "completed",
            "content": [{"type": "output_text", "text": "News.", "annotations": []}]}  # fmt: skip
    body = json.dumps({**RESPONSE, "output": [said]}).encode()
    pair.providers["native"].next(
        Behaviour(body=body), Behaviour(body=stream(COMPLETED), content_type="text/event-stream"), Behaviour(body=body)
    )
    async with pair.api(0) as one, pair.api(1) as two:
        first = await one.responses.create(model="native", input="News?", tools=[{"type": "web_search"}])
        assert first.id != RESPONSE["id"]
        assert pair.asked("native")["store"] is False
        ids = set()
        async for event in await two.responses.create(
            model="native", input="More?", previous_response_id=first.id, stream=True
        ):
            if event.type in ("response.created", "response.completed"):
                ids.add((event.response.id, event.response.previous_response_id, event.response.store))
        assert len(ids) == 1
        assert next(iter(ids))[1:] == (first.id, True)
        sent = pair.asked("native")
        assert "previous_response_id" not in sent
        assert [item.get("role") for item in sent["input"]] == ["user", "assistant", "user"]
        again = await one.responses.retrieve(next(iter(ids))[0])
        assert again.previous_response_id == first.id
        # and on with another provider
        pair.answer(text="None.")
        other = await one.responses.create(model="claude", input="Else?", previous_response_id=first.id)
        assert other.output_text == "None."


async def test_an_answer_from_the_cache_is_a_response_of_its_own(pair: Pair) -> None:
    async with pair.api() as api:
        first = await api.responses.create(model="cached", input="A fox?")
        hit = await api.responses.with_raw_response.create(model="cached", input="A fox?")
        second = hit.parse()
        assert hit.headers["x-sluice-cache"].startswith("hit")
        assert (second.output_text, second.store) == (first.output_text, True)
        assert second.id != first.id
        await api.responses.delete(first.id)
        assert (await api.responses.retrieve(second.id)).id == second.id
        asked = len(pair.providers["open"].seen)
        await api.responses.create(model="cached", input="And?", previous_response_id=second.id)
        await api.responses.create(model="cached", input="And?")
        assert len(pair.providers["open"].seen) == asked + 2, "another conversation is another question"


async def test_a_prompt_is_counted_with_its_conversation(pair: Pair) -> None:
    async with pair.api() as api:
        kept = await api.responses.create(model="claude", input="I am Ann, and this is a long beginning.")
        short = await api.responses.input_tokens.count(model="claude", input="Who?")
        long = await api.responses.input_tokens.count(model="claude", input="Who?", previous_response_id=kept.id)
        assert (short.object, short.input_tokens > 0) == ("response.input_tokens", True)
        assert long.input_tokens > short.input_tokens
        assert long.model_extra == {}, "a count is no response"


async def test_the_oldest_turns_are_left_out_where_that_is_asked_for(pair: Pair) -> None:
    async with pair.api() as api:
        last = await api.responses.create(model="small", input="first " + "w " * 60)
        last = await api.responses.create(model="small", input="second " + "w " * 60, previous_response_id=last.id)
        told = await api.responses.create(
            model="small", input="third", previous_response_id=last.id, truncation="auto", max_output_tokens=10
        )
        said = json.dumps(pair.asked("open"))
        assert "third" in said
        assert "second" in said
        assert "first" not in said
        assert told.truncation == "auto"


async def test_odd_ids_and_clashes_are_refused(pair: Pair) -> None:
    async with httpx.AsyncClient(headers={"authorization": f"Bearer {pair.key}"}, timeout=60) as http:
        for fields, code in (
            ({"previous_response_id": 7}, "invalid_value"),
            ({"previous_response_id": "no/id"}, "invalid_value"),
            ({"previous_response_id": "resp_1", "conversation": "conv_1"}, "mutually_exclusive_parameters"),
            ({"previous_response_id": "resp_1"}, "previous_response_not_found"),
            ({"store": "yes"}, "invalid_value"),
        ):
            answer = await http.post(f"{pair.urls[0]}/v1/responses", json={"model": "open", "input": "x", **fields})
            assert (answer.status_code, answer.json()["error"]["code"]) == (400, code)
        made = await http.post(f"{pair.urls[0]}/v1/responses", json={"model": "open", "input": "x"})
        path = f"{pair.urls[0]}/v1/responses/{made.json()['id']}/input_items"
        refused = await http.get(path, params={"after": "msg_none"})
        assert (refused.status_code, refused.json()["error"]["param"]) == (400, "after")


async def test_many_at_once_are_all_there_for_the_other_process(each_pair: Pair) -> None:
    pair = each_pair
    async with pair.api(0) as one, pair.api(1) as two:

        async def talk(number: int) -> str:
            first = await one.responses.create(model="open", input=f"number {number}")
            second = await two.responses.create(model="open", input="again", previous_response_id=first.id)
            return second.previous_response_id or ""

        found = await asyncio.gather(*(talk(number) for number in range(40)))
    assert len(set(found)) == 40
