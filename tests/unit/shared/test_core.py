"""Ids, settings, tokens, deadlines and the breaker."""

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import SecretStr, ValidationError

from sluice.auth import Doorkeeper, ServiceTokens
from sluice.clients.deadline import deadline_after, deadline_in, remaining
from sluice.clients.http import Breaker
from sluice.contracts.paging import Page
from sluice.contracts.routing import RouteCandidate
from sluice.errors import DeadlineExceeded, Unauthorized
from sluice.ids import new_id
from sluice.settings import ConfigError, PlatformSettings, expand_variables
from sluice.testing import ADMIN_KEY, FakeClock, platform_settings

SECRET = "a-secret-that-is-long-enough-for-hs256"


def test_ids_are_unique_readable_and_sort_by_time() -> None:
    ids = [new_id("vs") for _ in range(2000)]
    assert len(set(ids)) == 2000
    assert all(len(value) == 27 and value.startswith("vs_") for value in ids)
    times = [value[:12] for value in ids]
    assert times == sorted(times)


def test_production_refuses_missing_secrets() -> None:
    with pytest.raises(ValidationError, match="SLUICE_ADMIN_KEY is missing"):
        PlatformSettings(_env_file=None, env="production", admin_key=SecretStr(""), service_secret=SecretStr("x" * 20))


def test_a_secret_is_not_in_the_representation_of_settings(tmp_path: Path) -> None:
    assert ADMIN_KEY not in repr(platform_settings(tmp_path))


def test_each_service_has_its_own_database(tmp_path: Path) -> None:
    sqlite = platform_settings(tmp_path)
    assert sqlite.database_url_for("router").endswith("/data/router.sqlite")
    postgres = platform_settings(tmp_path, database_url="postgresql://u@h/db")
    assert postgres.database_url_for("router") == "postgresql+asyncpg://u@h/db"


def test_variables_are_expanded_and_a_missing_one_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SLUICE_TEST_HOST", "example")
    assert expand_variables("http://${SLUICE_TEST_HOST}:${SLUICE_TEST_PORT:-80}", "x.yaml") == "http://example:80"
    with pytest.raises(ConfigError, match=r"x\.yaml uses \$\{SLUICE_TEST_PORT\}"):
        expand_variables("${SLUICE_TEST_PORT}", "x.yaml")


def test_a_token_proves_tenant_and_audience_until_it_expires() -> None:
    clock = FakeClock(now=__import__("time").time())
    tokens = ServiceTokens(SECRET, "gateway", clock)
    token = tokens.mint("retrieval", tenant="acme", subject="key_1", role="member")
    caller = tokens.verify(token, "retrieval")
    assert (caller.tenant, caller.subject, caller.role, caller.key_id) == ("acme", "key_1", "member", None)
    assert caller.expires_at == int(clock.now() + 300)
    with pytest.raises(Unauthorized):
        tokens.verify(token, "eval")
    with pytest.raises(Unauthorized):
        ServiceTokens(SECRET + "x", "gateway").verify(token, "retrieval")
    assert tokens.mint("retrieval", tenant="acme", subject="key_1", role="member") == token
    clock.advance(250)
    assert tokens.mint("retrieval", tenant="acme", subject="key_1", role="member") != token
    old = ServiceTokens(SECRET, "gateway", FakeClock(now=1_000_000.0)).mint("retrieval", tenant="a", subject="s")
    with pytest.raises(Unauthorized):
        tokens.verify(old, "retrieval")


def test_a_token_names_the_api_key_on_whose_behalf_it_is_used() -> None:
    tokens = ServiceTokens(SECRET, "eval")
    minted = {
        key_id: tokens.mint("gateway", tenant="acme", subject="eval-worker", key_id=key_id)
        for key_id in (None, "key_1", "key_2")
    }
    assert len(set(minted.values())) == 3
    for key_id, token in minted.items():
        assert tokens.verify(token, "gateway").key_id == key_id
        assert tokens.mint("gateway", tenant="acme", subject="eval-worker", key_id=key_id) == token


def test_who_sends_an_api_key_to_a_service_is_told_where_it_is_taken() -> None:
    tokens = ServiceTokens(SECRET, "guardrail")
    with pytest.raises(Unauthorized, match="API keys are for the gateway"):
        tokens.verify("sk-slc-0a9qvssfw6dkwvpjmxhv86be2x", "guardrail")
    forged = ServiceTokens(SECRET + "x", "gateway").mint("guardrail", tenant="a", subject="s")
    with pytest.raises(Unauthorized, match="may be expired or meant for another service"):
        tokens.verify(forged, "guardrail")


@given(st.text(max_size=200))
def test_no_text_is_a_token_by_chance(text: str) -> None:
    with pytest.raises(Unauthorized):
        ServiceTokens(SECRET, "x").verify(text, "retrieval")


def test_the_administrator_acts_for_the_named_tenant() -> None:
    doorkeeper = Doorkeeper("eval", ServiceTokens(SECRET, "eval"), ADMIN_KEY)
    assert doorkeeper.admit(ADMIN_KEY, "acme").tenant == "acme"
    assert doorkeeper.admit(ADMIN_KEY, None).tenant == "default"
    with pytest.raises(Unauthorized):
        doorkeeper.admit(None, None)
    with pytest.raises(Unauthorized):
        Doorkeeper("eval", ServiceTokens(SECRET, "eval"), "").admit("", None)


def test_a_call_inherits_what_is_left_of_its_callers_time() -> None:
    assert remaining(10) == 10
    with deadline_after("2000"):
        assert 1.5 < remaining(10) <= 2
        with deadline_in(60):
            assert remaining(10) <= 2
        with deadline_in(0.5):
            assert remaining(10) <= 0.5
    with deadline_after("0"), pytest.raises(DeadlineExceeded):
        remaining(10)


@pytest.mark.parametrize("header", [None, "", "-5", "1e3", "abc", "٣"])
def test_a_senseless_deadline_is_no_deadline(header: str | None) -> None:
    with deadline_after(header):
        assert remaining(7) == 7


def test_the_breaker_opens_tries_once_and_closes() -> None:
    clock = FakeClock()
    breaker = Breaker(clock=clock, threshold=3, open_s=5)
    for _ in range(3):
        assert breaker.allows()
        breaker.failed()
    assert not breaker.allows()
    clock.advance(5)
    assert breaker.allows()
    assert not breaker.allows(), "only one trial call at a time"
    breaker.failed()
    assert not breaker.allows()
    clock.advance(5)
    assert breaker.allows()
    breaker.succeeded()
    assert breaker.allows()
    assert breaker.allows()


def test_an_abandoned_trial_does_not_lock_the_breaker() -> None:
    clock = FakeClock()
    breaker = Breaker(clock=clock, threshold=1, open_s=1)
    breaker.failed()
    clock.advance(1)
    assert breaker.allows()
    breaker.abandoned()
    assert breaker.allows()


def test_a_page_tells_whether_more_follows() -> None:
    rows = [RouteCandidate(model=str(n), deployment="d", chosen=False, reason="r") for n in range(3)]
    page = Page[RouteCandidate].of(rows, 2, key="model")
    assert (page.first_id, page.last_id, page.has_more, len(page.data)) == ("0", "1", True, 2)
    assert Page[RouteCandidate].of([], 2).model_dump()["has_more"] is False
