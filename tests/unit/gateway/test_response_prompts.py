"""A stored prompt as a request to /v1/responses."""

from typing import Any

import pytest

from sluice.contracts.prompts import PromptMessage, PromptTemplate
from sluice_gateway.domain.response_prompts import Unsuited, response_of

MESSAGES = (PromptMessage(role="system", content="s"), PromptMessage(role="user", content="u"))
OWN = [{"role": "system", "content": "s"}, {"role": "user", "content": "u"}]


def asked(parameters: dict[str, Any], **request: Any) -> dict[str, Any]:
    template = PromptTemplate.model_validate({"sections": {"task": "u"}, "model": "m", "parameters": parameters})
    return response_of(template, MESSAGES, {"prompt": {"id": "p"}, **request})


def test_the_input_follows_the_prompts_messages_and_the_request_counts() -> None:
    assert asked({"temperature": 0}) == {"model": "m", "temperature": 0, "input": OWN}
    found = asked({"temperature": 0}, model="other", temperature=1, input="x", stream=True)
    assert found == {
        "model": "other",
        "temperature": 1,
        "stream": True,
        "input": [*OWN, {"role": "user", "content": "x"}],
    }
    assert asked({}, input=[{"role": "user", "content": "y"}])["input"] == [*OWN, {"role": "user", "content": "y"}]


def test_parameters_have_the_names_of_that_api() -> None:
    function = {"name": "f", "parameters": {}}
    given = {
        "max_tokens": 5,
        "reasoning_effort": "low",
        "response_format": {"type": "json_schema", "json_schema": {"name": "n", "schema": {}}},
        "tools": [{"type": "function", "function": function}],
        "tool_choice": {"type": "function", "function": {"name": "f"}},
    }
    found = asked(given)
    assert {name: found[name] for name in found if name not in ("model", "input")} == {
        "max_output_tokens": 5,
        "reasoning": {"effort": "low"},
        "text": {"format": {"type": "json_schema", "name": "n", "schema": {}}},
        "tools": [{"type": "function", **function}],
        "tool_choice": {"type": "function", "name": "f"},
    }
    assert asked({"tool_choice": "auto"})["tool_choice"] == "auto"


def test_what_has_no_counterpart_is_named() -> None:
    with pytest.raises(Unsuited, match="`seed`"):
        asked({"seed": 1})
