"""What the router is told about a request."""

from typing import Any

import pytest

from sluice_gateway.dataplane.wants import capabilities, modalities, subject


@pytest.mark.parametrize(
    ("fields", "found", "asked"),
    [
        ({"messages": [{"role": "user", "content": "hi"}]}, (), ()),
        (
            {
                "messages": [{"content": [{"type": "text"}, {"type": "input_audio"}, {"type": "image_url"}]}],
                "tools": [{}],
            },
            ("audio", "image"),
            ("tools",),
        ),
        ({"messages": [{"content": [{"type": "document", "source": {"type": "text", "data": "d"}}]}]}, (), ()),
        (
            {
                "messages": [
                    {"content": [{"type": "document"}, {"type": "video"}]},
                    {"content": [{"type": "tool_result", "content": [{"type": "audio_url"}]}]},
                ]
            },
            ("audio", "file", "video"),
            (),
        ),
        ({"prompt": "p", "logprobs": 3, "tools": []}, (), ("logprobs",)),
        ({"input": ["a"], "response_format": {"type": "json_schema"}}, (), ("json_schema",)),
        ({"messages": [None, {"content": [None, {"type": 3}, {"type": "other"}]}], "response_format": "x"}, (), ()),
    ],
)
def test_needs_are_read_from_the_body(fields: dict[str, Any], found: tuple[str, ...], asked: tuple[str, ...]) -> None:
    assert (modalities(fields), capabilities(fields)) == (found, asked)


def test_a_user_is_told_apart_without_being_named() -> None:
    anna = subject({"user": "anna"}, "acme")
    assert anna == subject({"safety_identifier": "anna", "user": "old"}, "acme")
    assert "anna" not in anna
    assert anna not in {subject({"user": "anna"}, "other"), subject({"user": "ben"}, "acme")}
    assert [subject(fields, "acme") for fields in ({}, {"user": ""}, {"user": 3}, {"user": None})] == [""] * 4
