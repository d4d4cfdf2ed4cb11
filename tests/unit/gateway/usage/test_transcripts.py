"""What of a request is looked through and stored."""

from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from sluice.errors import Unprocessable
from sluice.telemetry.metrics import MetricRegistry
from sluice.testing import FakeClock
from sluice_gateway.domain.transcripts import Transcript, replaced, texts_in, without_data
from sluice_gateway.usage.transcripts import TranscriptWriter

VALUES: st.SearchStrategy[Any] = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.sampled_from(["a", "role", "content"]), inner),
    max_leaves=20,
)


@given(VALUES)
def test_every_text_is_found_and_put_back_in_its_place(value: Any) -> None:
    found = list(texts_in(value))
    assert len({one.path for one in found}) == len(found)
    assert replaced(value, {}) == value
    masked = replaced(value, {one.path: "<X>" for one in found})
    assert all(one.text == "<X>" for one in texts_in(masked))
    assert replaced(masked, {one.path: one.text for one in found}) == value


def test_no_name_keeps_a_text_from_being_looked_through() -> None:
    value = {"role": "user", "content": ["a", " ", {"type": "tool_use", "input": {"id": "123-45-6789", "n": 5}}]}
    assert [one.text for one in texts_in(value)] == ["user", "a", "tool_use", "123-45-6789"]


def test_data_and_overlong_texts_are_cut() -> None:
    value = {"url": "data:audio/wav;base64,AAAA", "data": "A" * 2000, "b64_json": "short", "text": "x" * 100_001}
    cut = without_data(value)
    assert cut["url"] == "data:audio/wav;base64 (26 characters)"
    assert cut["data"] == "(2000 characters)"
    assert cut["b64_json"] == "short"
    assert cut["text"].endswith("x… (100001 characters)")


def transcript(number: int, size: int = 10, redact: str | None = None) -> Transcript:
    return Transcript(
        f"tr_{number}", "req_1", 1.0, 2.0, "acme", "org", None, "key", None, "/v1", "m", "ok", 200, True, "text", None,
        size, redact,
    )  # fmt: skip


class Rows:
    """A table."""

    def __init__(self) -> None:
        self.added: list[str] = []

    async def add(self, transcripts: Any) -> None:
        self.added += [one.id for one in transcripts]


class Refusing:
    """A guardrail that has no such policy."""

    async def masked(self, texts: Any, policy: str, tenant: str) -> list[str]:
        raise Unprocessable("There is no policy of that name.")


async def test_what_finds_no_room_or_no_policy_is_dropped_and_counted() -> None:
    rows, registry = Rows(), MetricRegistry()
    writer = TranscriptWriter(rows, Refusing(), FakeClock(now=5.0), registry)
    for number, size in enumerate((40, 30, 20)):
        writer.keep(transcript(number, size * 1024 * 1024))
    writer.keep(transcript(9, redact="gone"))
    await writer.write()
    assert rows.added == ["tr_0", "tr_2"]
    text = registry.render()[0]
    assert b'sluice_gateway_transcripts_dropped_total{reason="full"} 1.0' in text
    assert b'sluice_gateway_transcripts_dropped_total{reason="unmasked"} 1.0' in text
    assert b"sluice_gateway_transcripts_stored_total 2.0" in text
