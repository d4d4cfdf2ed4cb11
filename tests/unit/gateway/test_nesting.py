"""How deep a body may be nested: what is read can be written again, on every way to a provider."""

import json
from typing import Any

import orjson
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from sluice_gateway.dataplane.body import parse, parse_foreign
from sluice_gateway.dataplane.errors import InvalidRequest
from sluice_gateway.nesting import MOST_LEVELS, loads
from sluice_gateway.translate import registry
from sluice_gateway.translate.shapes import ClientStyle, Style

STYLES: tuple[Style, ...] = ("openai", "azure", "anthropic", "gemini", "bedrock")


def nested(levels: int, *, lists: bool = False) -> Any:
    found: Any = 1
    for _ in range(levels):
        found = [found] if lists else {"properties": found}
    return found


@given(levels=st.integers(2, 1100), lists=st.booleans(), beside=st.integers(0, 300))
@example(levels=MOST_LEVELS, lists=False, beside=0)
@example(levels=MOST_LEVELS + 1, lists=True, beside=300)
@example(levels=1024, lists=False, beside=0)
def test_what_is_read_can_be_written_again(levels: int, lists: bool, beside: int) -> None:
    start, end = (b"[", b"]") if lists else (b'{"a":', b"}")
    raw = (
        b'{"beside":'
        + orjson.dumps([{}] * beside)
        + b',"deep":'
        + start * (levels - 1)
        + b"1"
        + end * (levels - 1)
        + b"}"
    )
    if levels > MOST_LEVELS:
        with pytest.raises(orjson.JSONDecodeError):
            loads(raw)
        return
    found = loads(raw)
    for _ in range(20):
        found = [found]
    assert orjson.loads(orjson.dumps(found)) == found
    assert loads(raw.decode()) == loads(raw)


@pytest.mark.parametrize("style", STYLES)
@pytest.mark.parametrize("client", ["chat", "messages", "responses"])
def test_a_deep_schema_passes_or_is_refused(client: ClientStyle, style: Style) -> None:
    def asked(levels: int) -> bytes:
        schema = {"type": "object", "properties": {"x": nested(levels)}}
        tool = {
            "chat": {"type": "function", "function": {"name": "f", "parameters": schema}},
            "messages": {"name": "f", "input_schema": {**schema, "additionalProperties": False}},
            "responses": {"type": "function", "name": "f", "parameters": schema},
        }[client]
        said = {"input": "hi"} if client == "responses" else {"messages": [{"role": "user", "content": "hi"}]}
        return json.dumps(
            {"model": "m", "max_output_tokens" if client == "responses" else "max_tokens": 9, **said, "tools": [tool]}
        ).encode()

    def upstream(raw: bytes) -> bytes:
        parsed = parse(raw, "chat") if client == "chat" else parse_foreign(raw, registry.client(client))
        return registry.provider(style).request(parsed.fields, "other", max_output_tokens=9).body

    assert b'"hi"' in upstream(asked(MOST_LEVELS - 10))
    with pytest.raises(InvalidRequest, match="200 levels"):
        upstream(asked(MOST_LEVELS))
