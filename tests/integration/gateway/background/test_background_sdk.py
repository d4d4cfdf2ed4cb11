"""Responses in the background with OpenAI's own client, against gateway and worker processes."""

import asyncio
import json
from pathlib import Path
from typing import Any

import httpx
import openai
import pytest
from openai_provider import Behaviour
from tests.integration.gateway.background.polling import ended, more_models, questions, until_status
from tests.integration.gateway.batches.batch_platform import Running, batch_platform
from tests.unit.gateway.translate.test_responses_passing import RESPONSE

from sluice.testing import admin_headers

pytestmark = [pytest.mark.integration, pytest.mark.timeout(180)]


async def test_one_is_begun_polled_and_gone_on_from(tmp_path: Path, valkey: str, database_url: str) -> None:
    async with batch_platform(tmp_path, valkey, database_url, Behaviour(text="Hello Ann.")) as run:
        client = run.client()
        begun = await client.responses.create(model="mock", input="I am Ann.", background=True, metadata={"a": "b"})
        assert (begun.status, begun.background, begun.output, begun.usage) == ("queued", True, [], None)
        again = await client.responses.retrieve(begun.id)
        assert (again.status, again.model, again.metadata) == ("queued", "mock", {"a": "b"})
        items = [item async for item in client.responses.input_items.list(begun.id)]
        assert items[0].content[0].text == "I am Ann."  # type: ignore[union-attr]  # it is a message
        with pytest.raises(openai.BadRequestError, match="is queued") as early:
            await client.responses.create(model="mock", input="Who?", previous_response_id=begun.id)
        assert early.value.code == "previous_response_not_completed"
        run.worker()
        done = await ended(client, begun.id)
        assert (done.id, done.status, done.background) == (begun.id, "completed", True)
        assert (done.created_at, done.metadata, done.store) == (begun.created_at, {"a": "b"}, True)  # type: ignore[attr-defined]  # the client passes it on
        assert done.output_text == "Hello Ann."
        assert done.usage is not None
        more = await client.responses.create(model="mock", input="Who?", previous_response_id=done.id)
        last = await client.responses.create(model="mock", input="Sure?", previous_response_id=more.id, background=True)
        assert (await ended(client, last.id)).previous_response_id == more.id
        said = json.dumps(run.provider.seen[-1].json)
        assert said.index("I am Ann.") < said.index("Hello Ann.") < said.index("Who?") < said.index("Sure?")
        assert len(run.provider.seen) == 3


async def test_the_events_go_on_where_a_client_left(tmp_path: Path, valkey: str) -> None:
    gate = asyncio.Event()
    async with batch_platform(tmp_path, valkey, behaviour=Behaviour(text="A fox.", gate=gate)) as run:
        client = run.client()
        whole = await client.responses.create(model="mock", input="A fox?", background=True, stream=True)
        left = await client.responses.create(model="mock", input="A hare?", background=True, stream=True)
        seen = [await anext(left), await anext(left)]  # the client's stream is an iterator
        assert [(event.type, event.sequence_number) for event in seen] == [
            ("response.created", 0),
            ("response.queued", 1),
        ]
        hare: str = seen[0].response.id  # type: ignore[union-attr]  # as its type says
        await left.close()
        run.worker()
        await until_status(client, hare, "in_progress")
        rest = await client.responses.retrieve(hare, stream=True, starting_after=1)
        first = await anext(rest)
        assert (first.type, first.sequence_number) == ("response.in_progress", 2)
        gate.set()
        events = [event async for event in whole]
        assert [event.sequence_number for event in events] == list(range(len(events)))
        assert [event.type for event in events[:4]] == [
            "response.created",
            "response.queued",
            "response.in_progress",
            "response.output_item.added",
        ]
        assert events[-1].type == "response.completed"
        assert events[-1].response.output_text == "A fox."
        later = [first, *[event async for event in rest]]
        assert [event.sequence_number for event in later] == list(range(2, len(events)))
        again = await client.responses.retrieve(hare, stream=True, starting_after=4)
        assert [event.sequence_number async for event in again] == list(range(5, len(events)))
        # the client's own helper, which puts the response together from its events
        async with client.responses.stream(model="mock", input="A cat?", background=True) as helper:
            assert (await helper.get_final_response()).output_text == "A fox."


async def test_cancelled_while_it_waits_and_while_it_runs(tmp_path: Path, valkey: str, database_url: str) -> None:
    gate = asyncio.Event()
    async with batch_platform(
        tmp_path, valkey, database_url, Behaviour(gate=gate), SLUICE_GATEWAY_GIVEN_UP_S="0"
    ) as run:
        client = run.client()
        waits = await client.responses.create(model="mock", input="waits", background=True)
        assert (await client.responses.cancel(waits.id)).status == "cancelled"
        assert (await client.responses.cancel(waits.id)).status == "cancelled"
        run.worker()
        runs = await client.responses.create(model="mock", input="runs", background=True)
        while not run.provider.seen:
            await asyncio.sleep(0.02)
        assert (await client.responses.retrieve(runs.id)).status == "in_progress"
        events = await client.responses.retrieve(runs.id, stream=True)
        stopped = await client.responses.cancel(runs.id)
        assert (stopped.status, stopped.output, stopped.background) == ("cancelled", [], True)
        told = [event.type async for event in events]
        assert told[-1] == "response.cancelled"
        await _all_closed(run)
        gate.set()
        done = await client.responses.create(model="mock", input="done", background=True)
        assert (await ended(client, done.id)).status == "completed"
        assert (await client.responses.cancel(done.id)).status == "completed", "what has ended stays as it is"
        assert (await client.responses.retrieve(runs.id)).status == "cancelled", "and is not answered later"
        assert questions(run) == ["runs", "done"]
        with pytest.raises(openai.BadRequestError, match="is cancelled"):
            await client.responses.create(model="mock", input="?", previous_response_id=runs.id)
        plain = await client.responses.create(model="mock", input="plain")
        with pytest.raises(openai.BadRequestError, match="background") as refused:
            await client.responses.cancel(plain.id)
        assert refused.value.code == "not_cancellable"


async def _all_closed(run: Running) -> None:
    # The request has left the gateway: nothing is in flight but what asks.
    async with httpx.AsyncClient(timeout=60) as http:
        for _ in range(600):
            text = (await http.get(f"{run.url}/metrics")).text
            line = next(line for line in text.splitlines() if line.startswith("sluice_gateway_in_flight_requests "))
            if float(line.split()[1]) == 0:
                return
            await asyncio.sleep(0.1)
    raise AssertionError("a request is still under way")


async def test_cancels_and_ends_at_once_leave_one_of_both(tmp_path: Path, valkey: str) -> None:
    async with batch_platform(tmp_path, valkey, behaviour=Behaviour(stall_s=0.4)) as run:
        client = run.client()
        run.worker()

        async def cancelled_after(pause: float) -> tuple[str, str | None]:
            begun = await client.responses.create(model="mock", input="?", background=True)
            await asyncio.sleep(pause)
            return begun.id, (await client.responses.cancel(begun.id)).status

        async def cancelled_when_it_has_ended() -> tuple[str, str | None]:
            begun = await client.responses.create(model="mock", input="?", background=True)
            await ended(client, begun.id)
            return begun.id, (await client.responses.cancel(begun.id)).status

        both = await asyncio.gather(*(cancelled_after(0.15 * n) for n in range(15)), cancelled_when_it_has_ended())
        told = [status for _, status in both]
        assert [(await ended(client, one)).status for one, _ in both] == told, "what a cancel says is what stays"
        assert set(told) == {"cancelled", "completed"}
        await asyncio.sleep(1)
        assert [(await client.responses.retrieve(one)).status for one, _ in both] == told


async def test_it_is_admitted_as_any_request(tmp_path: Path, valkey: str) -> None:
    async with batch_platform(
        tmp_path,
        valkey,
        routed=more_models,
        SLUICE_GATEWAY_BACKGROUND_UNFINISHED="3",
        SLUICE_GATEWAY_RESPONSES_MAX_BYTES="65536",
    ) as run:
        client = run.client()

        async def refused(**fields: Any) -> str | None:
            with pytest.raises(openai.APIStatusError) as error:
                await client.responses.create(**{"model": "mock", "input": "?", "background": True, **fields})
            return f"{error.value.status_code} {error.value.code}"

        assert await refused(store=False) == "400 mutually_exclusive_parameters"
        assert await refused(background="yes") == "400 invalid_value"
        assert await refused(model="discreet") == "400 store_not_allowed"
        assert await refused(model="none") == "404 model_not_found"
        assert await refused(tools=[{"type": "web_search"}]) == "400 unsupported_value"
        assert await refused(previous_response_id="resp_none") == "400 previous_response_not_found"
        assert await refused(conversation="conv_none") == "404 conversation_not_found"
        assert await refused(input="long" * 10_000) == "400 response_too_large"
        few = run.client(run.key(models=["vectors"])["key"])
        with pytest.raises(openai.PermissionDeniedError):
            await few.responses.create(model="mock", input="?", background=True)
        begun = [await client.responses.create(model="mock", input="?", background=True) for _ in range(3)]
        assert await refused() == "429 too_many_background_responses"
        other = run.client(tenant="other")
        mine = await other.responses.create(model="mock", input="?", background=True)
        for call in (client.responses.retrieve, client.responses.cancel, client.responses.delete):
            with pytest.raises(openai.NotFoundError):
                await call(mine.id)
        await client.responses.cancel(begun[0].id)
        await client.responses.create(model="mock", input="?", background=True)
        assert run.provider.seen == []


async def test_deleted_and_erased_before_they_are_answered(tmp_path: Path, valkey: str, database_url: str) -> None:
    gate = asyncio.Event()
    async with batch_platform(
        tmp_path, valkey, database_url, Behaviour(gate=gate), SLUICE_GATEWAY_GIVEN_UP_S="0"
    ) as run:
        client = run.client()
        run.worker()
        first, second = [await client.responses.create(model="mock", input="?", background=True) for _ in range(2)]
        await until_status(client, first.id, "in_progress")
        await client.responses.delete(first.id)
        async with httpx.AsyncClient(headers=admin_headers(), timeout=60) as http:
            gone = await http.delete(f"{run.url}/admin/responses", params={"tenant": "acme"})
            assert gone.json()["deleted"] == 1
        for one in (first, second):
            with pytest.raises(openai.NotFoundError):
                await client.responses.retrieve(one.id)
        await _all_closed(run)
        gate.set()
        last = await client.responses.create(model="mock", input="?", background=True)
        assert (await ended(client, last.id)).status == "completed"
        for one in (first, second):
            with pytest.raises(openai.NotFoundError):
                await client.responses.retrieve(one.id)


async def test_a_conversation_gets_what_was_said_once(tmp_path: Path, valkey: str) -> None:
    async with batch_platform(tmp_path, valkey, behaviour=Behaviour(text="Yes.")) as run:
        client = run.client()
        run.worker()
        talk = await client.conversations.create()
        for text in ("One?", "Two?"):
            begun = await client.responses.create(model="mock", input=text, conversation=talk.id, background=True)
            assert begun.conversation is not None
            assert begun.conversation.id == talk.id
            done = await ended(client, begun.id)
            assert (done.status, done.conversation) == ("completed", begun.conversation)
        items: list[Any] = [item async for item in client.conversations.items.list(talk.id, order="asc")]
        assert [item.content[0].text for item in items] == ["One?", "Yes.", "Two?", "Yes."]
        assert "One?" in json.dumps(run.provider.seen[-1].json)


async def test_a_server_that_has_the_api_is_asked_for_a_whole_answer(tmp_path: Path, valkey: str) -> None:
    body = json.dumps(RESPONSE).encode()
    async with batch_platform(tmp_path, valkey, behaviour=Behaviour(body=body), routed=more_models) as run:
        client = run.client()
        run.worker()
        begun = await client.responses.create(model="native", input="?", background=True)
        done = await ended(client, begun.id)
        assert (done.id, done.status, done.background) == (begun.id, "completed", True)
        asked = run.provider.seen[-1].json
        assert (asked.get("background"), asked["store"], asked.get("stream")) == (None, False, None)


async def test_a_stored_prompt_is_the_one_that_was_found(tmp_path: Path, valkey: str) -> None:
    async with batch_platform(tmp_path, valkey) as run:
        client = run.client()
        key = {"authorization": f"Bearer {client.api_key}"}
        async with httpx.AsyncClient(base_url=run.url, headers=key, timeout=60) as http:
            for text in ("Say {{word}} once.", "Say {{word}} twice."):
                template = {"sections": {"system": text}}
                made = await http.post("/v1/prompts", json={"name": "saying", **template})
                if made.status_code == 409:
                    made = await http.post("/v1/prompts/saying/versions", json=template)
                assert made.status_code in (200, 201), made.text
                if "once" in text:
                    prompt: Any = {"id": "saying", "variables": {"word": "fox"}}
                    begun = await client.responses.create(model="mock", input="Now.", prompt=prompt, background=True)
        run.worker()
        assert (await ended(client, begun.id)).status == "completed"
        assert "Say fox once." in json.dumps(run.provider.seen[-1].json)
