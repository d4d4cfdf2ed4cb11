"""The event's wire shape: what was released once keeps parsing, and nothing but ids travels."""

from sluice.contracts.feedback import FeedbackRecorded
from sluice.queues import FEEDBACK

RELEASED = [
    # 0.1.0
    (
        b'{"v":1,"event_id":"event_06jb7p8k2mq9x1v3c5z7n0r4","feedback_id":"feedback_06jb7p8k2mq9x1v3c5z7n0r4",'
        b'"interaction_id":"req_06jb7p8k2mq9x1v3c5z7n0r4","tenant":"acme","feedback_type":"correction","at":1764000000.5}'
    ),
]


def test_every_released_payload_keeps_parsing() -> None:
    for sample in RELEASED:
        event = FeedbackRecorded.model_validate_json(sample)
        assert event.model_dump_json().encode() == sample


def test_a_newer_writer_may_add_fields() -> None:
    event = FeedbackRecorded.model_validate_json(RELEASED[0][:-1] + b',"later":true}')
    assert event == FeedbackRecorded.model_validate_json(RELEASED[0])


def test_the_stream_and_its_schema_are_what_consumers_were_told() -> None:
    assert (FEEDBACK.name, FEEDBACK.payload) == ("sluice.feedback.v1", FeedbackRecorded)
    schema = FeedbackRecorded.model_json_schema()
    assert schema["required"] == ["event_id", "feedback_id", "interaction_id", "tenant", "feedback_type", "at"]
    assert {name: part.get("type") for name, part in schema["properties"].items()} == {
        "v": "integer",
        "event_id": "string",
        "feedback_id": "string",
        "interaction_id": "string",
        "tenant": "string",
        "feedback_type": "string",
        "at": "number",
    }
    assert schema["properties"]["feedback_type"]["enum"] == ["thumbs", "rating", "text", "correction"]
