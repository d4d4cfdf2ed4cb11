from sluice_gateway.domain.keys import StoredKey, digest_of
from sluice_gateway.domain.ring import MemoryKeyRing

PEPPER = b"pepper"


def stored(number: int, **fields: object) -> StoredKey:
    return StoredKey(
        id=f"key_{number}",
        digest=digest_of(PEPPER, b"sk-%d" % number),
        prefix="sk",
        name=f"key {number}",
        tenant="acme",
        created_at=0,
        **fields,  # type: ignore[arg-type]
    )


def header(number: int) -> bytes:
    return b"Bearer sk-%d" % number


def test_a_key_is_found_by_its_whole_header_and_nothing_else_is() -> None:
    ring = MemoryKeyRing(PEPPER)
    ring.replace([stored(1, models=("a", "b"), policy="strict", expires_at=9)])
    found = ring.lookup(header(1))
    assert found is not None
    assert (found.key_id, found.tenant, found.models, found.policy, found.expires_at, found.disabled) == (
        "key_1",
        "acme",
        frozenset({"a", "b"}),
        "strict",
        9,
        False,
    )
    assert ring.lookup(header(1)) is found
    for wrong in (header(2), b"Bearer sk-1x", b"Basic sk-1", b"", b"Bearer "):
        assert ring.lookup(wrong) is None


def test_a_ring_under_another_pepper_knows_no_key() -> None:
    ring = MemoryKeyRing(b"another")
    ring.replace([stored(1)])
    assert ring.lookup(header(1)) is None


def test_a_change_reaches_headers_that_were_seen_before() -> None:
    ring = MemoryKeyRing(PEPPER)
    ring.replace([stored(1), stored(2)])
    assert ring.lookup(header(1)) is not None
    ring.put(stored(1, revoked_at=5))
    found = ring.lookup(header(1))
    assert found is not None
    assert found.disabled
    ring.drop("key_1")
    assert ring.lookup(header(1)) is None
    ring.replace([stored(1)])
    assert ring.lookup(header(1)) is not None
    assert ring.lookup(header(2)) is None


def test_remembered_headers_are_bounded_and_the_least_recent_goes_first() -> None:
    ring = MemoryKeyRing(PEPPER, remembered=2)
    ring.replace([stored(1), stored(2), stored(3)])
    for number in (1, 2, 1, 3):
        ring.lookup(header(number))
    assert list(ring._seen) == [header(1), header(3)]
    for spaces in range(100):
        assert ring.lookup(b"Bearer " + b" " * spaces + b"sk-1") is not None
        assert ring.lookup(b"Bearer nobody-%d" % spaces) is None
    assert len(ring._seen) == 2


def test_a_ring_is_loaded_once_keys_were_read_even_if_there_are_none() -> None:
    ring = MemoryKeyRing(PEPPER)
    assert not ring.loaded
    ring.replace([])
    assert ring.loaded
    assert len(ring) == 0
