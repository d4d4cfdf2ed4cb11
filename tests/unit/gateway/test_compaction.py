"""Summaries of conversations: sealed for a tenant, opened in their place, and asked for as the page says."""

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sluice_gateway.adapters.compaction_seal import CompactionSeal
from sluice_gateway.domain.compaction import PROMPT, SealBroken, kept, opened

PAGE = Path(__file__).resolve().parents[3] / "docs/reference/responses.md"
SEAL = CompactionSeal("s" * 40)


@given(st.text(st.characters(exclude_categories=["Cs"]), max_size=200))
def test_what_is_sealed_opens_for_its_tenant_alone(summary: str) -> None:
    content = SEAL.seal(summary, "acme")
    assert CompactionSeal("s" * 40).open(content, "acme") == summary
    for other, tenant in ((SEAL, "other"), (CompactionSeal("t" * 40), "acme")):
        with pytest.raises(SealBroken):
            other.open(content, tenant)


@pytest.mark.parametrize("content", ["sluice1.", "sluice1.ä", "sluice1.gAAAAA=="])
def test_what_was_altered_does_not_open(content: str) -> None:
    with pytest.raises(SealBroken):
        SEAL.open(content, "acme")


def test_items_of_providers_stay_as_they_are() -> None:
    assert SEAL.open("gAAAAABh", "acme") is None
    items = [{"type": "compaction", "encrypted_content": "gAAAAABh"}, {"type": "compaction"}, {"type": "message"}]
    assert opened(items, lambda content: SEAL.open(content, "acme")) == items


def test_the_messages_of_the_user_are_kept() -> None:
    user = {"type": "message", "role": "user", "content": []}
    items = [user, {"type": "message", "role": "developer"}, {"type": "reasoning"}, {"role": "user", "content": "x"}]
    assert [one["content"] for one in kept(items)] == [[], "x"]


def test_the_page_shows_the_question() -> None:
    page = " ".join(PAGE.read_text(encoding="utf-8").replace("\n>", " ").split())
    assert PROMPT in page
