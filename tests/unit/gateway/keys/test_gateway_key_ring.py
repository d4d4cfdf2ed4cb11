import pytest
from tests.unit.gateway.keys.tenants import PEPPER, directory, header, lineage, stored, team

from sluice_gateway.domain.allowed import resolved
from sluice_gateway.domain.ring import Delegation, MemoryKeyRing


def test_a_key_is_found_by_its_whole_header_and_nothing_else_is() -> None:
    ring = MemoryKeyRing(PEPPER)
    ring.replace(directory(stored(1, models=("a", "b"), policy="strict", expires_at=9)))
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
    ring.replace(directory(stored(1)))
    assert ring.lookup(header(1)) is None


def test_a_change_reaches_headers_that_were_seen_before() -> None:
    ring = MemoryKeyRing(PEPPER)
    ring.replace(directory(stored(1), stored(2)))
    assert ring.lookup(header(1)) is not None
    ring.put(lineage(stored(1, revoked_at=5)))
    found = ring.lookup(header(1))
    assert found is not None
    assert found.disabled
    ring.drop("key_1")
    assert ring.lookup(header(1)) is None
    ring.replace(directory(stored(1)))
    assert ring.lookup(header(1)) is not None
    assert ring.lookup(header(2)) is None


def test_remembered_headers_are_bounded_and_the_least_recent_goes_first() -> None:
    ring = MemoryKeyRing(PEPPER, remembered=2)
    ring.replace(directory(stored(1), stored(2), stored(3)))
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
    ring.replace(directory())
    assert ring.loaded
    assert len(ring) == 0


def test_patterns_stand_for_the_models_that_there_are_at_every_level() -> None:
    ring = MemoryKeyRing(PEPPER)
    here = team(models=("openai/*", "smollm2"))
    ring.replace(
        directory(stored(1, models=("*gpt-4*", "later", "smollm2"), team_id=here.id), stored(2), teams=(here,))
    )

    def allowed() -> frozenset[str] | None:
        found = ring.lookup(header(1))
        assert found is not None
        return found.models

    assert allowed() == {"smollm2"}
    ring.use_names(frozenset({"openai/gpt-4o", "openai/gpt-3.5", "azure/gpt-4", "smollm2", "auto"}))
    assert allowed() == {"openai/gpt-4o", "smollm2"}
    seen = ring.lookup(header(1))
    ring.use_names(frozenset({"auto", "azure/gpt-4", "openai/gpt-3.5", "openai/gpt-4o", "smollm2"}))
    assert ring.lookup(header(1)) is seen
    ring.use_names(frozenset({"openai/gpt-4o", "openai/gpt-4.1", "openai/GPT-4"}))
    assert allowed() == {"openai/gpt-4o", "openai/gpt-4.1", "smollm2"}
    other = ring.lookup(header(2))
    assert other is not None
    assert other.models is None


@pytest.mark.parametrize(("pattern", "found"), [
    ("*", {"a", "a.b", "axb", "openai/a"}), ("a", {"a"}), ("a*", {"a", "a.b", "axb"}), ("a.*", {"a.b"}), ("a.b*", {"a.b"}),
    ("**b", {"a.b", "axb"}), ("*/*", {"openai/a"}), ("A*", set()), ("[a]*", set()), ("gone", {"gone"}),
])  # fmt: skip
def test_a_pattern_fits_whole_names(pattern: str, found: set[str]) -> None:
    assert resolved(frozenset({pattern}), ("a", "a.b", "axb", "openai/a")) == found


class Checker:
    """Knows a few tokens and counts how often it is asked."""

    def __init__(self, **known: Delegation) -> None:
        self.known = {name.encode(): said for name, said in known.items()}
        self.asked = 0

    def check(self, token: bytes) -> Delegation | None:
        self.asked += 1
        return self.known.get(token)


def bearer(token: str) -> bytes:
    return f"Bearer {token}".encode()


def test_a_token_stands_for_the_key_that_it_names_as_the_key_is_now() -> None:
    ring = MemoryKeyRing(PEPPER, Checker(eyJ1=Delegation("acme", "key_1", 100.0)))
    ring.replace(directory(stored(1, models=("a",))))
    assert ring.lookup(bearer("eyJ1")) is None
    record = ring.on_behalf(bearer("eyJ1"), 50.0)
    assert record is ring.lookup(header(1))
    ring.put(lineage(stored(1, models=("a",), revoked_at=5)))
    revoked = ring.on_behalf(bearer("eyJ1"), 51.0)
    assert revoked is not None
    assert revoked.disabled
    ring.drop("key_1")
    assert ring.on_behalf(bearer("eyJ1"), 52.0) is None


def test_a_token_for_a_key_of_another_tenant_or_none_stands_for_nothing() -> None:
    checker = Checker(eyJ1=Delegation("other", "key_1", 100.0), eyJ2=Delegation("acme", "key_2", 100.0))
    ring = MemoryKeyRing(PEPPER, checker)
    ring.replace(directory(stored(1)))
    for token in ("eyJ1", "eyJ2", "eyJ3"):
        assert ring.on_behalf(bearer(token), 50.0) is None


def test_only_what_looks_like_a_token_is_checked() -> None:
    checker = Checker()
    ring = MemoryKeyRing(PEPPER, checker)
    ring.replace(directory(stored(1)))
    for value in (header(1), header(2), b"", b"Basic eyJ1", b"Bearer eyJ" + b"a" * 5000):
        assert ring.on_behalf(value, 50.0) is None
    assert checker.asked == 0
    assert ring.on_behalf(bearer("eyJ1"), 50.0) is None
    assert checker.asked == 1
    assert MemoryKeyRing(PEPPER).on_behalf(bearer("eyJ1"), 50.0) is None


def test_a_checked_token_is_remembered_until_it_expires_and_a_wrong_one_never() -> None:
    checker = Checker(eyJ1=Delegation("acme", "key_1", 100.0))
    ring = MemoryKeyRing(PEPPER, checker)
    ring.replace(directory(stored(1)))
    for now in (50.0, 60.0, 99.9):
        assert ring.on_behalf(bearer("eyJ1"), now) is not None
    assert checker.asked == 1
    checker.known.clear()
    assert ring.on_behalf(bearer("eyJ1"), 100.0) is None
    assert ring.on_behalf(bearer("eyJ1"), 50.0) is None
    assert checker.asked == 3
    assert not ring._checked


def test_remembered_tokens_are_bounded() -> None:
    checker = Checker(**{f"eyJ{n}": Delegation("acme", "key_1", 100.0) for n in range(9)})
    ring = MemoryKeyRing(PEPPER, checker, remembered=3)
    ring.replace(directory(stored(1)))
    for number in (0, 1, 2, 0, 3, 4):
        assert ring.on_behalf(bearer(f"eyJ{number}"), 50.0) is not None
    assert list(ring._checked) == [b"eyJ0", b"eyJ3", b"eyJ4"]
