"""Conversations that requests add to, with OpenAI's own client, across two gateway processes."""

import asyncio
import json
import sqlite3
from contextlib import closing
from pathlib import Path
from typing import Any

import openai
import pytest
from tests.integration.gateway.responses.pair import KINDS, Pair, running

from sluice.db import open_database
from sluice.testing import platform_settings
from sluice_gateway.retention_store import RetentionStore

pytestmark = [pytest.mark.integration, pytest.mark.timeout(180)]


def _text(item: Any) -> str:
    return str(item.content[0].text)


async def test_requests_add_to_a_conversation_and_go_on_from_it(each_pair: Pair) -> None:
    pair = each_pair
    first: Any = {"type": "message", "role": "user", "content": "I am Ann."}
    async with pair.api(0) as one, pair.api(1) as two:
        for model in KINDS:
            pair.answer(text="Hello.")
            talk = await one.conversations.create(items=[first], metadata={"topic": "names"})
            assert (talk.object, talk.metadata) == ("conversation", {"topic": "names"})
            answer = await two.responses.create(model=model, input="Who am I?", conversation=talk.id)
            assert answer.conversation is not None
            assert answer.conversation.id == talk.id
            said = json.dumps(pair.asked(model))
            assert said.index("I am Ann.") < said.index("Who am I?")
            async with one.responses.stream(
                model=model, input="Sure?", conversation={"id": talk.id}, store=False
            ) as events:
                async for _ in events:
                    pass
                last = await events.get_final_response()
            assert last.store is False
            said = json.dumps(pair.asked(model))
            assert said.index("I am Ann.") < said.index("Who am I?") < said.index("Hello.") < said.index("Sure?")
            items = [item async for item in two.conversations.items.list(talk.id, order="asc", limit=2)]
            assert [_text(item) for item in items] == ["I am Ann.", "Who am I?", "Hello.", "Sure?", "Hello."]
            newest = await two.conversations.items.list(talk.id, limit=1)
            assert (newest.data[0].id, newest.has_more) == (items[-1].id, True)
            again = await one.conversations.items.retrieve(items[1].id or "", conversation_id=talk.id)
            assert _text(again) == "Who am I?"
            await two.conversations.items.delete(items[1].id or "", conversation_id=talk.id)
            await one.responses.create(model=model, input="And now?", conversation=talk.id)
            assert "Who am I?" not in json.dumps(pair.asked(model))


async def test_items_that_cannot_be_kept_are_refused_and_odd_ones_come_back(each_pair: Pair) -> None:
    deep: Any = "x"
    for _ in range(400):
        deep = [deep]
    refused = ['"\\ud800"', "1" * 40, json.dumps(deep)]
    kept = ['"\\u0000"', "1e308", '"\\ud83d\\ude00"']
    async with each_pair.api(0) as one, each_pair.api(1) as two:
        talk = await one.conversations.create()
        for value in [*refused, *kept]:
            for raw in (f'{{"items": [{{"odd": {value}}}]}}', f'{{"items": [{{"id": "same", "odd": {value}}}]}}'):
                for path in ("", f"/{talk.id}/items"):
                    answer = await one._client.post(
                        f"{one.base_url}conversations{path}",
                        content=raw,
                        headers={**one.auth_headers, "content-type": "application/json"},
                    )
                    assert answer.status_code == (400 if value in refused else 200), (raw[:80], answer.text)
                    if value in refused:
                        assert answer.json()["error"]["param"].startswith("items"), answer.text
        odd = [item async for item in two.conversations.items.list(talk.id)]
        assert len(odd) == 2 * len(kept)
        for strange in ("a\x00b", "x" * 300, "ü/ö"):
            made = await one.conversations.items.create(
                talk.id, items=[{"id": strange, "role": "user", "content": "hi"}]
            )  # type: ignore[typeddict-unknown-key]  # an id is what is tried
            assert (await two.conversations.items.list(talk.id, limit=1)).data[0].id == made.data[0].id


async def test_a_conversation_is_changed_and_erased(each_pair: Pair) -> None:
    async with each_pair.api(0) as one, each_pair.api(1) as two:
        talk = await one.conversations.create()
        changed = await two.conversations.update(talk.id, metadata={"a": "b"})
        assert changed.metadata == {"a": "b"}
        assert (await one.conversations.retrieve(talk.id)).metadata == {"a": "b"}
        new: Any = [
            {"type": "message", "role": "user", "content": [{"type": "input_text", "text": str(n)}]} for n in range(20)
        ]
        added = await one.conversations.items.create(talk.id, items=new)
        assert [_text(item) for item in added.data] == [str(number) for number in range(20)]
        with pytest.raises(openai.BadRequestError):
            await one.conversations.items.create(talk.id, items=[*new, *new])
        assert (await two.conversations.delete(talk.id)).deleted is True
        for call in (one.conversations.retrieve, two.conversations.delete, one.conversations.items.list):
            with pytest.raises(openai.NotFoundError):
                await call(talk.id)
        with pytest.raises(openai.NotFoundError) as refused:
            await two.responses.create(model="open", input="x", conversation=talk.id)
        assert (refused.value.param, refused.value.code) == ("conversation", "conversation_not_found")


async def test_tenants_have_conversations_of_their_own(pair: Pair) -> None:
    async with pair.api(0) as mine, pair.api(1, pair.other_key) as theirs:
        talk = await mine.conversations.create(items=[{"type": "message", "role": "user", "content": "secret"}])
        item = (await mine.conversations.items.list(talk.id)).data[0]
        for call in (theirs.conversations.retrieve, theirs.conversations.delete, theirs.conversations.items.list):
            with pytest.raises(openai.NotFoundError):
                await call(talk.id)
        with pytest.raises(openai.NotFoundError):
            await theirs.conversations.update(talk.id, metadata={})
        for at in (theirs.conversations.items.retrieve, theirs.conversations.items.delete):
            with pytest.raises(openai.NotFoundError):
                await at(item.id or "", conversation_id=talk.id)
        with pytest.raises(openai.NotFoundError):
            await theirs.conversations.items.create(
                talk.id, items=[{"type": "message", "role": "user", "content": "x"}]
            )
        with pytest.raises(openai.NotFoundError):
            await theirs.responses.create(model="open", input="x", conversation=talk.id)
        with pytest.raises(openai.BadRequestError) as refused:
            await mine.responses.create(model="discreet", input="x", conversation=talk.id)
        assert refused.value.code == "store_not_allowed"
        assert [_text(one) async for one in mine.conversations.items.list(talk.id)] == ["secret"]


async def test_what_was_said_outlives_a_killed_process_and_goes_with_time(pair: Pair, tmp_path: Path) -> None:
    pair.answer(text="Hello.")
    async with pair.api(0) as one, pair.api(1) as two:
        talk = await one.conversations.create()
        with closing(sqlite3.connect(tmp_path / "gateway.sqlite", isolation_level=None)) as holder:
            holder.execute("BEGIN IMMEDIATE")  # nobody else can write
            await one.responses.create(model="open", input="I am Ann.", conversation=talk.id)
            await one.responses.create(model="open", input="Who am I?", conversation=talk.id)
            assert "I am Ann." in json.dumps(pair.asked("open")), "what waits here is known here"
            pair.processes[0].kill()
        pair.start(0)
        for _ in range(600):
            said = [_text(item) async for item in two.conversations.items.list(talk.id, order="asc")]
            if len(said) == 4:
                break
            await asyncio.sleep(0.1)
        assert said == ["I am Ann.", "Hello.", "Who am I?", "Hello."]
        settings = platform_settings(tmp_path, database_url=f"sqlite+aiosqlite:///{tmp_path}/gateway.sqlite")
        database = open_database(settings, "gateway")
        store = RetentionStore(database)
        assert await store.delete_conversations(talk.created_at + 29 * 86_400) == 0
        assert await store.delete_conversations(talk.created_at + 31 * 86_400) == 1
        await database.close()
        with pytest.raises(openai.NotFoundError):
            await two.conversations.items.list(talk.id)


async def test_one_that_is_too_long_is_refused_or_cut(tmp_path: Path, flushed_valkey: str) -> None:
    limits = {"SLUICE_GATEWAY_RESPONSES_MAX_BYTES": "3000", "SLUICE_GATEWAY_MAX_BODY_BYTES": "6000"}
    async with running(tmp_path, flushed_valkey, "", limits) as pair, pair.api() as api:
        talk = await api.conversations.create()
        for number in range(3):
            item: Any = {"type": "message", "role": "user", "content": f"{number}" * 2500}
            await api.conversations.items.create(talk.id, items=[item])
        with pytest.raises(openai.BadRequestError) as refused:
            await api.responses.create(model="open", input="x", conversation=talk.id)
        assert refused.value.code == "context_length_exceeded"
        await api.responses.create(model="open", input="x", conversation=talk.id, truncation="auto")
        said = json.dumps(pair.asked("open"))
        assert "0000" not in said
        assert "2222" in said
