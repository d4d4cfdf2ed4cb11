"""Tags: where a request names them, and that no provider sees them."""

from typing import Any

import orjson
import pytest

from sluice_gateway.dataplane.body import parse, parse_foreign, upstream_bytes
from sluice_gateway.dataplane.errors import InvalidRequest
from sluice_gateway.dataplane.tags import tags_of
from sluice_gateway.domain.tags import MOST_TAGS
from sluice_gateway.translate import registry

CHAT: dict[str, Any] = {"model": "m", "messages": [{"role": "user", "content": "x"}]}


def sent_on(metadata: dict[str, Any]) -> tuple[tuple[str, ...], dict[str, Any]]:
    raw = orjson.dumps({**CHAT, "metadata": metadata})
    body = parse(raw, "chat")
    return body.tags, orjson.loads(upstream_bytes(raw, body, body.fields, "m", changed=False))


def test_a_list_in_metadata_is_taken_out_and_the_rest_goes_on() -> None:
    assert sent_on({"tags": ["job:7", "größe", "job:7"], "trace": "t"}) == (
        ("job:7", "größe"),
        {**CHAT, "metadata": {"trace": "t"}},
    )
    assert sent_on({"tags": ["a"]}) == (("a",), CHAT)
    assert sent_on({"tags": []}) == ((), CHAT)


def test_a_text_named_tags_is_the_callers_own() -> None:
    assert sent_on({"tags": "a,b"}) == ((), {**CHAT, "metadata": {"tags": "a,b"}})


@pytest.mark.parametrize("style", ["messages", "responses"])
def test_other_apis_name_them_in_the_same_place(style: Any) -> None:
    native = {"model": "m", "max_tokens": 5, "metadata": {"user_id": "u", "tags": ["a"]}}
    native |= {"messages": CHAT["messages"]} if style == "messages" else {"input": "x"}
    body = parse_foreign(orjson.dumps(native), registry.client(style))
    assert body.tags == ("a",)
    assert body.canonical
    assert body.native is not None
    assert body.native["metadata"] == {"user_id": "u"}


def test_those_of_the_key_come_first_and_count_besides() -> None:
    assert tags_of(("team:search",), ("job",), b" prod , job,, team:search ") == ("team:search", "job", "prod")
    assert tags_of(("k",), ("b",), None) == ("k", "b")
    assert tags_of(("k",), (), "größe".encode()) == ("k", "größe")
    full = tuple(f"t{number}" for number in range(MOST_TAGS))
    assert len(tags_of(("k",), full, b"t3")) == MOST_TAGS + 1


@pytest.mark.parametrize(("body", "header"), [
    ((), b"\xff"), ((), b"a\x01"), ((), b"x" * 65), (tuple(f"t{number}" for number in range(MOST_TAGS)), b"one more"),
])  # fmt: skip
def test_a_header_that_cannot_be_read_is_refused(body: tuple[str, ...], header: bytes) -> None:
    with pytest.raises(InvalidRequest) as caught:
        tags_of((), body, header)
    assert caught.value.param == "x-sluice-tags"
