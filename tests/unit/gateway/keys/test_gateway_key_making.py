import hashlib
import hmac

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.unit.gateway.keys.tenants import stored

from sluice_gateway.domain.keys import (
    StoredKey,
    bearer_token,
    digest_of,
    idempotency_digest,
    make_key,
    repeatable_entropy,
    visible_prefix,
)


@given(st.binary(min_size=32, max_size=32), st.binary(min_size=32, max_size=32))
def test_different_entropy_makes_different_keys_of_one_shape(one: bytes, other: bytes) -> None:
    keys = make_key(one), make_key(other)
    assert (keys[0] == keys[1]) == (one == other)
    assert {len(key) for key in keys} == {len("sk-slc-") + 52}
    assert all(key.isascii() and key.startswith("sk-slc-") for key in keys)


def test_a_key_needs_all_its_entropy() -> None:
    with pytest.raises(ValueError, match="32 random bytes"):
        make_key(b"short")


def test_the_prefix_shows_six_characters_of_the_secret() -> None:
    key = make_key(b"\xff" * 32)
    assert visible_prefix(key) == key[:13]


def test_the_digest_is_hmac_sha256_under_the_pepper() -> None:
    expected = hmac.new(b"pepper", b"sk-slc-x", hashlib.sha256).digest()
    assert digest_of(b"pepper", b"sk-slc-x") == expected
    assert digest_of(b"other pepper", b"sk-slc-x") != expected


def test_a_repeated_creation_derives_the_same_secret_only_from_all_three_parts() -> None:
    base = repeatable_entropy(b"pepper", b"salt", "key")
    assert base == repeatable_entropy(b"pepper", b"salt", "key")
    assert (
        len(
            {
                base,
                *(
                    repeatable_entropy(*parts)
                    for parts in ((b"q", b"salt", "key"), (b"pepper", b"q", "key"), (b"pepper", b"salt", "q"))
                ),
            }
        )
        == 4
    )
    assert idempotency_digest(b"pepper", "key") != base.hex()


@pytest.mark.parametrize(
    ("header", "token"),
    [
        (b"Bearer sk-1", b"sk-1"),
        (b"bearer   sk-1 ", b"sk-1"),
        (b"Basic sk-1", None),
        (b"Bearer ", None),
        (b"Bearer", None),
        (b"", None),
        (b"sk-1", None),
    ],
)
def test_only_a_bearer_credential_counts(header: bytes, token: bytes | None) -> None:
    assert bearer_token(header) == token


def test_status_follows_revocation_first_and_then_expiry() -> None:
    def key(**fields: int) -> StoredKey:
        return stored(1, **fields)

    assert key().status(100) == "active"
    assert key(expires_at=101).status(100) == "active"
    assert key(expires_at=100).status(100) == "expired"
    assert key(disabled=True).status(100) == "disabled"
    assert key(disabled=True, expires_at=100).status(100) == "expired"
    assert key(expires_at=50, revoked_at=60, disabled=True).status(100) == "revoked"
