"""Kept responses outlive the processes and parts that fail, and go when they are to go."""

import asyncio
import json
import sqlite3
from contextlib import closing
from pathlib import Path
from typing import Any

import httpx
import openai
import pytest
from langchain_openai import ChatOpenAI
from tests.integration.gateway.responses.pair import Pair, running

from sluice.db import open_database
from sluice.settings import PlatformSettings
from sluice.testing import admin_headers, platform_settings, valkey_process
from sluice_gateway.retention_store import RetentionStore

pytestmark = [pytest.mark.integration, pytest.mark.timeout(180)]


def _platform(folder: Path) -> PlatformSettings:
    return platform_settings(folder, database_url=f"sqlite+aiosqlite:///{folder}/gateway.sqlite")


async def test_what_was_answered_outlives_a_killed_process_and_a_database_that_was_away(
    pair: Pair, tmp_path: Path
) -> None:
    pair.answer(text="Hello Ann.")
    async with pair.api(0) as one, pair.api(1) as two:
        first = await one.responses.create(model="open", input="I am Ann.")
        pair.processes[0].kill()
        assert (await two.responses.retrieve(first.id)).output_text == "Hello Ann."
        pair.start(0)
        with closing(sqlite3.connect(tmp_path / "gateway.sqlite", isolation_level=None)) as holder:
            holder.execute("BEGIN IMMEDIATE")  # nobody else can write
            second = await one.responses.create(model="open", input="Who am I?", previous_response_id=first.id)
            assert second.store is True
            assert (await one.responses.retrieve(second.id)).id == second.id, "its own are found all the same"
            third = await one.responses.create(model="open", input="Sure?", previous_response_id=second.id)
            pair.processes[0].kill()
        pair.start(0)
        for _ in range(600):
            try:
                found = await two.responses.retrieve(third.id)
                break
            except openai.NotFoundError:
                await asyncio.sleep(0.1)
        assert found.previous_response_id == second.id
        await two.responses.create(model="open", input="Sure?", previous_response_id=third.id)
        said = json.dumps(pair.asked("open"))
        assert said.index("I am Ann.") < said.index("Who am I?") < said.index("Sure?")


async def test_redis_that_is_away_changes_nothing_of_kept_responses(tmp_path: Path) -> None:
    with valkey_process(tmp_path / "valkey") as valkey:
        async with running(tmp_path, valkey.url, "") as pair, pair.api(0) as one, pair.api(1) as two:
            first = await one.responses.create(model="open", input="I am Ann.")
            valkey.kill()
            second = await two.responses.create(model="open", input="Who?", previous_response_id=first.id)
            assert (await one.responses.retrieve(second.id)).previous_response_id == first.id


async def test_what_is_too_large_is_answered_and_says_that_it_is_not_kept(tmp_path: Path, flushed_valkey: str) -> None:
    limits = {"SLUICE_GATEWAY_RESPONSES_MAX_BYTES": "3000", "SLUICE_GATEWAY_MAX_BODY_BYTES": "6000"}
    async with running(tmp_path, flushed_valkey, "", limits) as pair, pair.api() as api:
        answer = await api.responses.create(model="open", input="x" * 4000)
        assert (answer.store, answer.status) == (False, "completed")
        with pytest.raises(openai.NotFoundError):
            await api.responses.retrieve(answer.id)
        last = await api.responses.create(model="open", input="y" * 1500)
        for _ in range(2):
            last = await api.responses.create(model="open", input="z" * 1500, previous_response_id=last.id)
        with pytest.raises(openai.BadRequestError) as refused:
            await api.responses.create(model="open", input="z" * 3000, previous_response_id=last.id)
        assert refused.value.code == "context_length_exceeded"
        told = await api.responses.create(
            model="open", input="last", previous_response_id=last.id, truncation="auto", max_output_tokens=10
        )
        assert told.store is True
        async with httpx.AsyncClient(timeout=60) as http:
            text = (await http.get(f"{pair.urls[0]}/metrics")).text
        assert 'sluice_gateway_responses_total{outcome="too_large"} 1.0' in text


async def test_an_operator_keeps_none(tmp_path: Path, flushed_valkey: str) -> None:
    none = {"SLUICE_GATEWAY_RESPONSES_KEEP_DAYS": "0"}
    async with running(tmp_path, flushed_valkey, "", none) as pair, pair.api() as api:
        answer = await api.responses.create(model="open", input="x")
        assert answer.store is False
        for asked in ({"store": True}, {"previous_response_id": answer.id}):
            with pytest.raises(openai.BadRequestError) as refused:
                await api.responses.create(model="open", input="x", **asked)  # type: ignore[call-overload]  # the fields vary
            assert refused.value.param == next(iter(asked))
        with pytest.raises(openai.NotFoundError):
            await api.responses.retrieve(answer.id)


async def test_they_go_with_time_with_their_organisation_and_on_demand(pair: Pair, tmp_path: Path) -> None:
    database = open_database(_platform(tmp_path), "gateway")
    store = RetentionStore(database)
    async with pair.api(0) as mine, pair.api(1, pair.other_key) as theirs, httpx.AsyncClient(timeout=60) as http:
        first = await mine.responses.create(model="open", input="1")
        second = await mine.responses.create(model="open", input="2", previous_response_id=first.id)
        other = await theirs.responses.create(model="open", input="3")
        assert await store.delete_responses(second.created_at + 29 * 86_400) == 0
        with closing(sqlite3.connect(tmp_path / "gateway.sqlite")) as rows:
            rows.execute("UPDATE responses SET expires_at = expires_at - 86400 * 10 WHERE id = ?", (first.id,))
            rows.commit()
        await mine.responses.create(model="open", input="4", previous_response_id=second.id)
        assert await store.delete_responses(second.created_at + 25 * 86_400) == 0, "the conversation went on"

        url = f"{pair.urls[0]}/admin"
        assert (await http.delete(f"{url}/responses", headers=admin_headers())).status_code == 422
        message: Any = {"type": "message", "role": "user", "content": "I am Ann."}
        talks = [await mine.conversations.create(items=[message, message]) for _ in range(2)]
        spared = await theirs.conversations.create(items=[message])
        gone = await http.delete(f"{url}/responses", params={"tenant": "acme"}, headers=admin_headers())
        assert gone.json() == {"object": "responses.deleted", "deleted": 3, "conversations": 2}
        for target, count in (("responses", 3), ("conversations", 2)):
            audit = (await http.get(f"{url}/audit", params={"target": target}, headers=admin_headers())).json()["data"]
            assert [record["before"] for record in audit] == [{"tenant": "acme", "deleted": count}]
        with pytest.raises(openai.NotFoundError):
            await mine.responses.retrieve(second.id)
        for talk in talks:
            with pytest.raises(openai.NotFoundError):
                await mine.conversations.retrieve(talk.id)
        with closing(sqlite3.connect(tmp_path / "gateway.sqlite")) as rows:
            left = rows.execute("SELECT DISTINCT conversation_id FROM conversation_items").fetchall()
        assert left == [(spared.id,)], "items go with their conversation"

        found = (await http.get(f"{url}/organizations", headers=admin_headers())).json()["data"]
        owner = next(one["id"] for one in found if one["tenant"] == "other")
        ended = await http.delete(f"{url}/organizations/{owner}", params={"cascade": True}, headers=admin_headers())
        assert ended.status_code == 200, ended.text
        assert await store.delete_responses(other.created_at) == 1
        assert await store.delete_responses(other.created_at + 31 * 86_400) == 0
    await database.close()


async def test_langchain_goes_on_by_id(pair: Pair) -> None:
    pair.answer(text="Hello Ann.")
    chat = ChatOpenAI(
        model="claude",
        base_url=f"{pair.urls[0]}/v1",
        api_key=pair.key,  # type: ignore[arg-type]  # the client takes a plain text too
        use_responses_api=True,
        use_previous_response_id=True,
        max_retries=0,
    )
    first = await chat.ainvoke("I am Ann.")
    await chat.ainvoke([("user", "I am Ann."), first, ("user", "Who am I?")])
    said = json.dumps(pair.asked("claude"))
    assert said.count("I am Ann.") == 1
    assert said.index("I am Ann.") < said.index("Hello Ann.") < said.index("Who am I?")
