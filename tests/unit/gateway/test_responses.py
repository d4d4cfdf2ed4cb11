"""Conversations joined from kept responses: what is sent again, how the items are shown, and what is cut."""

import orjson
import pytest

from sluice.ids import new_id, time_of
from sluice_gateway.domain.conversations import placed_by, within
from sluice_gateway.domain.responses import StoredResponse, history, items_of, page_of, shortened, shown
from sluice_gateway.translate.responses.retold import stream_of


def stored(number: int, asked: object, *output: dict[str, object]) -> StoredResponse:
    return StoredResponse(
        f"resp_{number}", "acme", "org_1", "key_1", f"resp_{number - 1}" if number else None, "m", 1, 2,
        orjson.dumps(items_of(asked)).decode(), orjson.dumps({"output": output}).decode(),
    )  # fmt: skip


def said(text: str) -> dict[str, object]:
    return {
        "type": "message", "id": "msg_1", "role": "assistant", "content": [{"type": "output_text", "text": text, "annotations": []}]
    }  # fmt: skip


def test_texts_become_messages_and_items_get_their_type() -> None:
    assert items_of("hi") == [{"type": "message", "role": "user", "content": [{"type": "input_text", "text": "hi"}]}]
    assert items_of([{"role": "assistant", "content": "yes"}])[0]["content"][0]["type"] == "output_text"
    call = {"type": "function_call_output", "call_id": "c", "output": "1"}
    assert items_of([call, 7]) == [call]
    assert items_of(None) == []


def test_a_history_leaves_out_searches_open_thoughts_and_ids_of_calls() -> None:
    turn = stored(
        0,
        "hi",
        {"type": "reasoning", "id": "rs_1", "summary": []},
        {"type": "reasoning", "id": "rs_2", "summary": [], "encrypted_content": "x"},
        {"type": "file_search_call", "id": "fs_1", "queries": []},
        {"type": "function_call", "id": "fc_1", "call_id": "c", "name": "f", "arguments": "{}"},
        said("yes"),
    )
    found = history([turn])
    assert [item["type"] for item in found] == ["message", "reasoning", "function_call", "message"]
    assert "id" not in found[2]


def test_shown_items_have_ids_that_name_one_each() -> None:
    turns = [stored(0, "a", said("b")), stored(1, "c", said("d")), stored(2, "e", said("f"))]
    items = shown(turns)
    assert [item["content"][0]["text"] for item in items] == ["a", "b", "c", "d", "e"]
    ids = [item["id"] for item in items]
    assert len(set(ids)) == 5
    assert ids == [item["id"] for item in shown(turns)], "the same each time"
    first, more = page_of(items, 2, None, "desc") or ([], False)
    assert ([item["id"] for item in first], more) == (ids[:2:-1], True)
    rest, more = page_of(items, 5, first[-1]["id"], "desc") or ([], True)
    assert ([item["id"] for item in rest], more) == (ids[2::-1], False)
    assert page_of(items, 5, "msg_of_another", "asc") is None


@pytest.mark.parametrize(("most", "left"), [(10_000, 6), (250, 4), (1, 1), (0, 1)])
def test_what_is_cut_begins_with_a_message_of_the_user_and_the_own_input_stays(most: int, left: int) -> None:
    items = [
        *items_of("x" * 100),
        {"type": "function_call", "call_id": "c", "name": "f", "arguments": "{}"},
        *items_of("y" * 20),
        {"type": "function_call", "call_id": "d", "name": "f", "arguments": "{}"},
        {"type": "function_call_output", "call_id": "d", "output": "1"},
        *items_of("z" * 30),
    ]
    found = shortened(items, 1, most)
    assert len(found) == left
    assert found[0]["role"] == "user"
    assert found[-1] == items[-1]


def test_a_response_is_told_again_from_a_place_on() -> None:
    response = {
        "id": "resp_1", "status": "completed",
        "output": [
            {"type": "reasoning", "id": "rs_1", "summary": [{"type": "summary_text", "text": "hm"}]},
            {"type": "function_call", "id": "fc_1", "call_id": "c", "name": "f", "arguments": "{}"},
            {"type": "message", "id": "msg_1", "role": "assistant", "content": [
                {"type": "refusal", "refusal": "no"},
                {"type": "output_text", "text": "yes [1]", "annotations": [{"type": "file_citation", "index": 4}]}]},
        ],
    }  # fmt: skip
    events = [orjson.loads(line[6:]) for line in stream_of(response).split(b"\n") if line.startswith(b"data: ")]
    assert [event["sequence_number"] for event in events] == list(range(len(events)))
    assert events[-1] == {"type": "response.completed", "response": response, "sequence_number": len(events) - 1}
    deltas = [event["delta"] for event in events if event["type"].endswith(".delta")]
    assert deltas == ["hm", "{}", "no", "yes [1]"]
    assert stream_of(response, len(events) - 1) == b""


def test_the_time_of_an_id_can_be_read() -> None:
    made = new_id("resp")
    found = time_of(made)
    assert found is not None
    assert 0 <= time_of(new_id("resp")) - found < 60  # type: ignore[operator]  # an id of ours has a time
    assert time_of("resp_1") is None
    assert time_of("resp_" + "u" * 24) is None


def test_what_a_response_adds_stands_in_the_order_in_which_requests_began() -> None:
    ids = [new_id("resp") for _ in range(3)]
    turns = [stored(0, f"asked {number}", said("yes"))._replace(id=each) for number, each in enumerate(sorted(ids))]
    added = [one for turn in reversed(turns) for one in placed_by(turn)]
    found = [one.item["content"][0]["text"] for one in sorted(added)]
    assert found == ["asked 0", "yes", "asked 1", "yes", "asked 2", "yes"]
    newest = within(sorted(added), sum(len(one.text) for one in sorted(added)[-3:]) + 1)
    assert ([one.item["content"][0]["text"] for one in newest.items], newest.whole) == (
        ["yes", "asked 2", "yes"],
        False,
    )
    assert within([], 0).whole
