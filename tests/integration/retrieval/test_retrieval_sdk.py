"""Vector stores and files with the official client, through a real gateway: nothing of it knows that this is Sluice."""

import asyncio
import threading
import time
from collections.abc import Iterator
from typing import Any

import openai
import pytest
from tests.bench.retrieval import files
from tests.bench.retrieval.parts import Gateway, Retrieval
from tests.simulators.openai_provider import Behaviour, Provider

from sluice.contracts.retrieval import RetrievalPolicy
from sluice.contracts.routing import Policy

pytestmark = pytest.mark.integration

GUIDE = (
    b"# Harbour\n\n## Opening hours\n\nThe lock opens at seven in the morning.\n\n## Fees\n\nA night costs 12 euros.\n"
)


@pytest.fixture(scope="module")
def provider() -> Iterator[Provider]:
    """A provider in a loop of its own, since the client and the test block."""
    made, loop = Provider(default=Behaviour(text="At seven [1], and not [9].")), asyncio.new_event_loop()
    thread = threading.Thread(target=loop.run_forever)
    thread.start()
    asyncio.run_coroutine_threadsafe(made.start(), loop).result()
    yield made
    asyncio.run_coroutine_threadsafe(made.stop(), loop).result()
    loop.call_soon_threadsafe(loop.stop)
    thread.join()
    loop.close()


@pytest.fixture(scope="module")
def gateway(shared: Retrieval, provider: Provider) -> Gateway:
    policy = Policy(name="library", retrieval=RetrievalPolicy(vector_store_ids=("vs_nowhere",)))
    return shared.gateway(provider.base_url, "simulated", [policy])


@pytest.fixture
def client(gateway: Gateway) -> Iterator[openai.OpenAI]:
    with openai.OpenAI(base_url=f"{gateway.url}/v1", api_key=gateway.key, max_retries=0, timeout=60) as made:
        yield made


def test_a_store_is_made_filled_searched_changed_and_deleted(client: openai.OpenAI) -> None:
    store = client.vector_stores.create(
        name="harbour", metadata={"team": "port"}, expires_after={"anchor": "last_active_at", "days": 7}
    )
    assert (store.object, store.name, store.status, store.file_counts.total) == (
        "vector_store",
        "harbour",
        "completed",
        0,
    )
    assert store.expires_after is not None
    assert store.expires_at == (store.last_active_at or 0) + 7 * 86_400
    file = client.files.create(file=("guide.md", GUIDE), purpose="assistants")
    added = client.vector_stores.files.create_and_poll(
        file.id, vector_store_id=store.id, attributes={"year": 2024, "kind": "guide"}, poll_interval_ms=100
    )
    assert (added.id, added.status, added.last_error) == (file.id, "completed", None)
    assert added.usage_bytes == len(GUIDE)
    pdf = files.pdf_file([["The tug is painted orange.", "It has two engines."]])
    uploaded = client.vector_stores.files.upload_and_poll(
        vector_store_id=store.id, file=("tug.pdf", pdf), poll_interval_ms=100
    )
    assert uploaded.status == "completed"
    hits = client.vector_stores.search(
        store.id, query="When does the lock open?", max_num_results=2, ranking_options={"ranker": "auto"}
    ).data
    assert (hits[0].file_id, hits[0].filename, hits[0].attributes) == (
        file.id,
        "guide.md",
        {"year": 2024, "kind": "guide"},
    )
    assert "seven in the morning" in hits[0].content[0].text
    both = client.vector_stores.search(
        store.id, query=["colour of the tug", "price of a night"], max_num_results=4
    ).data
    assert {hit.file_id for hit in both} == {file.id, uploaded.id}
    only = client.vector_stores.search(
        store.id, query="anything", filters={"type": "gte", "key": "year", "value": 2024}
    ).data
    assert {hit.file_id for hit in only} == {file.id}
    changed = client.vector_stores.files.update(file.id, vector_store_id=store.id, attributes={"year": 1999})
    assert changed.attributes == {"year": 1999}
    gone = client.vector_stores.search(
        store.id, query="lock", filters={"type": "gte", "key": "year", "value": 2024}
    ).data
    assert gone == []
    content = client.vector_stores.files.content(file.id, vector_store_id=store.id).data
    assert [part.text for part in content] == [GUIDE.decode()]
    listed = [one.id for one in client.vector_stores.files.list(store.id, limit=1)]
    assert listed == [uploaded.id, file.id]
    assert [one.id for one in client.vector_stores.files.list(store.id, filter="failed")] == []
    renamed = client.vector_stores.update(store.id, name="port", expires_after=None)
    assert (renamed.name, renamed.expires_after, renamed.metadata) == ("port", None, {"team": "port"})
    assert (renamed.file_counts.completed, renamed.file_counts.total, renamed.status) == (2, 2, "completed")
    assert renamed.usage_bytes > len(GUIDE)
    assert client.vector_stores.files.delete(file.id, vector_store_id=store.id).deleted
    left = client.vector_stores.search(store.id, query="lock").data
    assert file.id not in {hit.file_id for hit in left}
    with pytest.raises(openai.NotFoundError):
        client.vector_stores.files.retrieve(file.id, vector_store_id=store.id)
    assert store.id in [one.id for one in client.vector_stores.list()]
    assert client.vector_stores.delete(store.id).deleted
    with pytest.raises(openai.NotFoundError):
        client.vector_stores.retrieve(store.id)


def test_a_file_that_is_deleted_leaves_all_stores(client: openai.OpenAI) -> None:
    file = client.files.create(file=("tides.txt", b"High water in Brest is at nine."), purpose="assistants")
    stores = [client.vector_stores.create(name=name).id for name in ("one", "two")]
    for store in stores:
        client.vector_stores.files.create_and_poll(file.id, vector_store_id=store, poll_interval_ms=100)
        assert client.vector_stores.search(store, query="high water").data[0].file_id == file.id
    assert client.files.delete(file.id).deleted
    for store in stores:
        assert client.vector_stores.search(store, query="high water").data == []
        assert client.vector_stores.retrieve(store).file_counts.total == 0


def test_a_batch_is_ingested_and_a_broken_file_fails_alone(client: openai.OpenAI) -> None:
    broken = client.files.create(file=("broken.pdf", b"%PDF-1.7 and nothing else"), purpose="assistants")
    good = [
        client.files.create(file=(f"n{n}.txt", f"Note {n} of the harbour.".encode()), purpose="assistants")
        for n in (1, 2)
    ]
    store = client.vector_stores.create(name="batch", file_ids=[good[0].id])
    batch = client.vector_stores.file_batches.create_and_poll(
        store.id, file_ids=[broken.id, good[1].id], attributes={"batch": True}, poll_interval_ms=100
    )
    assert (batch.status, batch.file_counts.completed, batch.file_counts.failed) == ("completed", 1, 1)
    states = {one.id: one for one in client.vector_stores.file_batches.list_files(batch.id, vector_store_id=store.id)}
    assert {one: row.status for one, row in states.items()} == {broken.id: "failed", good[1].id: "completed"}
    error = states[broken.id].last_error
    assert error is not None
    assert "broken, or is protected" in error.message
    deadline = time.monotonic() + 60
    while client.vector_stores.retrieve(store.id).status != "completed" and time.monotonic() < deadline:
        time.sleep(0.1)
    assert {hit.file_id for hit in client.vector_stores.search(store.id, query="harbour note").data} == {
        f.id for f in good
    }
    late = client.vector_stores.file_batches.cancel(batch.id, vector_store_id=store.id)
    assert late.status == "completed", "nothing of it was cancelled"
    with pytest.raises(openai.NotFoundError):
        client.vector_stores.files.create(store.id, file_id="file-nowhere")
    unknown = client.files.create(file=("data.bin", b"0101"), purpose="assistants")
    with pytest.raises(openai.APIStatusError, match="no supported type"):
        client.vector_stores.file_batches.create(store.id, file_ids=[unknown.id])


def test_a_file_that_is_added_again_takes_the_place_of_itself(client: openai.OpenAI) -> None:
    file = client.files.create(file=("twice.txt", b"The crane lifts forty tons."), purpose="assistants")
    store = client.vector_stores.create(name="twice")
    for _ in range(2):
        client.vector_stores.files.create_and_poll(file.id, vector_store_id=store.id, poll_interval_ms=100)
    other = client.files.create(file=("twice.txt", b"The buoy is red."), purpose="assistants")
    client.vector_stores.files.create_and_poll(other.id, vector_store_id=store.id, poll_interval_ms=100)
    found = client.vector_stores.search(store.id, query="crane and buoy", max_num_results=10).data
    assert sorted(hit.file_id for hit in found) == sorted([file.id, other.id])


@pytest.fixture(scope="module")
def library(gateway: Gateway) -> Iterator[tuple[str, str]]:
    """A store with the guide, and the guide's file."""
    with openai.OpenAI(base_url=f"{gateway.url}/v1", api_key=gateway.key, max_retries=0) as client:
        store = client.vector_stores.create(name="library")
        file = client.vector_stores.files.upload_and_poll(
            vector_store_id=store.id, file=("guide.md", GUIDE), attributes={"year": 2024}, poll_interval_ms=100
        )
        yield store.id, file.id


def test_file_search_in_the_responses_api(client: openai.OpenAI, provider: Provider, library: tuple[str, str]) -> None:
    store, file = library
    tool: Any = {"type": "file_search", "vector_store_ids": [store], "max_num_results": 2}
    answer = client.responses.create(
        model="simulated",
        input="When does the lock open?",
        tools=[tool],
        include=["file_search_call.results"],
    )
    call, message = answer.output
    assert (call.type, message.type) == ("file_search_call", "message")
    assert call.queries == ["When does the lock open?"]
    assert call.results is not None
    assert {result.file_id for result in call.results} == {file}
    assert any("seven in the morning" in (result.text or "") for result in call.results)
    part: Any = message.content[0]
    assert [(note.type, note.index, note.file_id, note.filename) for note in part.annotations] == [
        ("file_citation", part.text.index("[1]"), file, "guide.md")
    ]
    sent = provider.seen[-1].json
    assert "The lock opens at seven" in str(sent["messages"])
    assert "tools" not in sent
    with client.responses.stream(model="simulated", input="When does the lock open?", tools=[tool]) as stream:
        kinds = [event.type for event in stream]
        final = stream.get_final_response()
    assert kinds.index("response.file_search_call.completed") < kinds.index("response.output_text.delta")
    assert "response.output_text.annotation.added" in kinds
    assert final.output[0].type == "file_search_call"
    assert final.output[0].results is None
    filtered = client.responses.create(
        model="simulated",
        input="When does the lock open?",
        tools=[{**tool, "filters": {"type": "lt", "key": "year", "value": 2000}}],
    )
    assert [item.type for item in filtered.output] == ["file_search_call", "message"]
    assert "seven in the morning" not in str(provider.seen[-1].json)


def test_file_search_in_chat_completions_and_what_is_wrong_with_one(
    client: openai.OpenAI, provider: Provider, library: tuple[str, str]
) -> None:
    messages: Any = [{"role": "user", "content": "When does the lock open?"}]
    tool: Any = {"type": "file_search", "vector_store_ids": [library[0]], "ranking_options": {"ranker": "auto"}}
    function: Any = {"type": "function", "function": {"name": "f", "parameters": {"type": "object"}}}
    answer = client.chat.completions.create(model="simulated", messages=messages, tools=[tool, function])
    cited = (answer.model_extra or {})["sluice"]["citations"]
    assert cited[0]["file_id"] == library[1]
    assert GUIDE.decode()[cited[0]["start"] : cited[0]["end"]] == cited[0]["quote"]
    assert [one["type"] for one in provider.seen[-1].json["tools"]] == ["function"]
    for tools, sentence in (
        ([{"type": "file_search"}], "must be a list of the ids"),
        ([tool, tool], "second `file_search`"),
        ([{**tool, "ranking_options": {"ranker": "magic"}}], "must be 'none'"),
    ):
        with pytest.raises(openai.BadRequestError, match=sentence):
            client.chat.completions.create(model="simulated", messages=messages, tools=tools)
    with pytest.raises(openai.BadRequestError, match="say the same"):
        client.chat.completions.create(
            model="simulated",
            messages=messages,
            tools=[tool],
            extra_body={"sluice": {"retrieval": {"vector_store_ids": ["vs_1"]}}},
        )
    with pytest.raises(openai.APIStatusError, match="vs_nowhere"):
        client.chat.completions.create(
            model="simulated", messages=messages, extra_body={"sluice": {"policy": "library"}}
        )
