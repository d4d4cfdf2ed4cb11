"""Kept answers: their names, their bytes, and the memory that holds them."""

from dataclasses import replace

from hypothesis import given, settings
from hypothesis import strategies as st

from sluice_gateway.cache.memory import MemoryCache
from sluice_gateway.domain.cached import Entry, is_invalidated, key_of, packed, unpacked

ENTRY = Entry("acme", "small", "key_1", (b'{"a": 1}',), stored_at=100.0, ttl_s=60)


def test_the_order_of_names_makes_no_difference_and_everything_else_does() -> None:
    assert key_of("t", {"a": 1, "b": {"c": 2, "d": 3}}) == key_of("t", {"b": {"d": 3, "c": 2}, "a": 1})
    keys = {key_of("t", {"a": 1}), key_of("u", {"a": 1}), key_of("t", {"a": 2}), key_of("t", {"a": [1, 2]})}
    assert len(keys | {key_of("t", {"a": [2, 1]})}) == 5


@settings(max_examples=100)
@given(pieces=st.lists(st.binary(min_size=1, max_size=50), min_size=1, max_size=6), name=st.text(max_size=20))
def test_an_entry_survives_its_bytes(pieces: list[bytes], name: str) -> None:
    entry = replace(ENTRY, pieces=tuple(pieces), model=name, cost_usd=0.25, prompt_tokens=3, verdicts=name.encode())
    assert unpacked(packed(entry)) == entry


def test_an_entry_of_the_version_before_is_read() -> None:
    before = b'[2,"acme","small","key_1",100.0,60,0,0,0.0,false,0,[8]]\n{"a": 1}'
    assert unpacked(before) == ENTRY


@settings(max_examples=100)
@given(data=st.binary(max_size=60))
def test_bytes_that_are_no_entry_are_none(data: bytes) -> None:
    assert unpacked(data) is None
    assert unpacked(packed(ENTRY) + data) in (None, ENTRY)


def test_memory_is_bounded_in_bytes_and_the_least_used_leaves() -> None:
    left: list[str] = []
    memory = MemoryCache(3 * ENTRY.size, lambda reason, _count: left.append(reason))
    for name in (b"a", b"b", b"c"):
        memory.put(name, ENTRY)
    assert memory.get(b"a", 100.0) is ENTRY
    memory.put(b"d", ENTRY)
    assert [memory.get(name, 100.0) is not None for name in (b"a", b"b", b"c", b"d")] == [True, False, True, True]
    assert memory.bytes == 3 * ENTRY.size
    memory.put(b"e", replace(ENTRY, pieces=(b"x" * 10_000,)))
    assert len(memory) == 3
    assert left == ["size"]


def test_an_answer_expires_and_can_be_invalidated_by_all_that_it_is_of() -> None:
    memory = MemoryCache(10_000)
    memory.put(b"a", ENTRY)
    assert memory.get(b"a", 159.9) is ENTRY
    assert memory.get(b"a", 160.0) is None
    assert len(memory) == memory.bytes == 0
    for scope in ("all", "tenant:acme", "model:small", "key:key_1"):
        memory.put(b"a", ENTRY)
        assert memory.purge({scope: 99.9}) == 0
        assert memory.purge({scope: 100.0}) == 1
    assert not is_invalidated(ENTRY, {"tenant:other": 1e12})
