"""Which service tokens the request path takes as the bearer, with real tokens."""

import time
from typing import Any

import jwt
import pytest
from tests.unit.gateway.keys.tenants import PEPPER, directory, lineage, stored

from sluice.auth import ServiceTokens
from sluice.testing import FakeClock
from sluice_gateway.adapters.delegation import ServiceDelegations
from sluice_gateway.dataplane.errors import InvalidKey
from sluice_gateway.dataplane.stages.authenticate import authenticate
from sluice_gateway.domain.keys import StoredKey, digest_of
from sluice_gateway.domain.ring import MemoryKeyRing

SECRET = "a-secret-that-is-long-enough-for-hs256"
NOW = time.time()
ASKED: dict[str, Any] = {"tenant": "acme", "subject": "eval-worker", "key_id": "key_1"}


def ring() -> MemoryKeyRing:
    found = MemoryKeyRing(PEPPER, ServiceDelegations(ServiceTokens(SECRET, "gateway")))
    found.replace(directory(key("key_1"), key("key_2", tenant="other")))
    return found


def key(key_id: str, **fields: Any) -> StoredKey:
    return stored(0, **{"id": key_id, "digest": digest_of(PEPPER, f"sk-{key_id}".encode()), "models": ("a",), **fields})


def token(secret: str = SECRET, audience: str = "gateway", now: float = NOW, **changes: Any) -> bytes:
    clock = FakeClock(now=now)
    minted = ServiceTokens(secret, "eval", clock, lifetime_s=3600).mint(audience, **{**ASKED, **changes})
    return f"Bearer {minted}".encode()


def test_the_evaluation_workers_token_has_the_rights_of_the_key_that_it_names() -> None:
    keys = ring()
    record = authenticate(keys, token(), NOW)
    assert record is authenticate(keys, b"Bearer sk-key_1", NOW)
    assert (record.tenant, record.models) == ("acme", {"a"})


def test_a_revoked_or_expired_key_ends_its_tokens_at_once() -> None:
    keys = ring()
    assert authenticate(keys, token(), NOW).key_id == "key_1"
    keys.put(lineage(key("key_1", revoked_at=1)))
    with pytest.raises(InvalidKey, match="disabled"):
        authenticate(keys, token(), NOW)
    keys.put(lineage(key("key_1", expires_at=int(NOW) - 1)))
    with pytest.raises(InvalidKey, match="expired"):
        authenticate(keys, token(), NOW)


@pytest.mark.parametrize(
    "bearer",
    [
        pytest.param(token(audience="eval"), id="for another service"),
        pytest.param(token(now=NOW - 7200), id="expired"),
        pytest.param(token(secret=SECRET + "x"), id="forged"),
        pytest.param(token(key_id="key_2"), id="a key of another tenant"),
        pytest.param(token(key_id="key_3"), id="an unknown key"),
        pytest.param(token(key_id=None), id="no key"),
        pytest.param(token(subject="retrieval-worker"), id="a service that may not"),
        pytest.param(token(subject="key_1", role="member"), id="a member's token"),
        pytest.param(token(role="member"), id="a member of that name"),
        pytest.param(token(role="admin"), id="an administrator of that name"),
        pytest.param(token()[:-4], id="cut"),
        pytest.param(token() + b"\xff", id="bytes that are no text"),
        pytest.param(
            b"Bearer " + jwt.encode({"aud": "gateway", "exp": NOW + 3600}, "", algorithm="none").encode(), id="unsigned"
        ),
    ],
)
def test_any_other_token_is_no_credential(bearer: bytes) -> None:
    with pytest.raises(InvalidKey) as refused:
        authenticate(ring(), bearer, NOW)
    assert (refused.value.status, refused.value.error_code) == (401, "invalid_api_key")
