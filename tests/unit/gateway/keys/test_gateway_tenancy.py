"""What a key takes from its team and organisation, and how changes reach keys that were seen before."""

from dataclasses import replace

import pytest
from pydantic import ValidationError
from tests.unit.gateway.keys.tenants import PEPPER, directory, header, lineage, organization, stored, team

from sluice.contracts.gateway import Limits, SetLimits, UpdateApiKey
from sluice.contracts.tenancy import UpdateOrganization
from sluice_gateway.dataplane.errors import InvalidKey, NotPermitted
from sluice_gateway.dataplane.stages.authenticate import authenticate
from sluice_gateway.domain.keys import RetiredSecret, digest_of
from sluice_gateway.domain.ports import KeyRecord
from sluice_gateway.domain.residency import may_use
from sluice_gateway.domain.ring import MemoryKeyRing
from sluice_gateway.domain.roles import PERMITTED, Action
from sluice_gateway.domain.tenancy import Directory, patched


def ring(*keys, teams=(), organizations=None):  # type: ignore[no-untyped-def]
    found = MemoryKeyRing(PEPPER)
    made = directory(*keys)
    found.replace(Directory(organizations or made.organizations, list(teams), made.keys))
    return found


@pytest.mark.parametrize(
    ("own", "of_team", "of_organization", "effective"),
    [
        (None, None, None, None),
        (("a", "b"), None, None, {"a", "b"}),
        (None, ("a", "b"), ("b", "c"), {"b"}),
        (("a", "b"), ("b", "c"), ("a", "b", "c"), {"b"}),
        (("a",), ("b",), None, set()),
        (None, None, ("c",), {"c"}),
    ],
)
def test_a_key_may_use_what_all_levels_allow(own, of_team, of_organization, effective) -> None:  # type: ignore[no-untyped-def]
    keys = ring(
        stored(1, team_id="team_search", models=own),
        teams=[team(models=of_team)],
        organizations=[organization(models=of_organization)],
    )
    assert keys.lookup(header(1)).models == effective


def test_limits_of_all_levels_are_on_the_record_and_shared_by_the_keys_of_a_level() -> None:
    keys = ring(
        stored(1, team_id="team_search", limits=Limits(requests_per_minute=5)),
        stored(2, team_id="team_search"),
        stored(3),
        teams=[team(limits=Limits(max_concurrent=2, budget_per_day_usd=0))],
        organizations=[organization(limits=Limits(budget_per_month_usd=100, tokens_per_minute=9))],
    )
    one, two, three = (keys.lookup(header(number)) for number in (1, 2, 3))
    assert [(level.level, level.id) for level in one.limits] == [
        ("organization", "org_acme"),
        ("team", "team_search"),
        ("key", "key_1"),
    ]
    of_organization, of_team, own = one.limits
    assert (of_organization.budget_per_month_usd, of_organization.tokens_per_minute) == (100, 9)
    assert (of_team.max_concurrent, of_team.budget_per_day_usd, of_team.requests_per_minute) == (2, 0, None)
    assert own.requests_per_minute == 5
    assert two.limits == (of_organization, of_team)
    assert two.limits[1] is of_team
    assert three.limits[0] is of_organization
    assert (one.team_id, three.team_id, one.organization_id) == ("team_search", None, "org_acme")
    with pytest.raises(AttributeError):
        own.requests_per_minute = 6


def test_an_unlimited_key_carries_no_limits() -> None:
    assert ring(stored(1)).lookup(header(1)).limits == ()


@pytest.mark.parametrize("level", ["organization", "team", "key"])
def test_disabling_any_level_stops_a_key_that_was_seen_before_and_enabling_brings_it_back(level: str) -> None:
    keys = ring(stored(1, team_id="team_search"), stored(2), stored(3, "other"), teams=[team()])
    assert [keys.lookup(header(number)).disabled for number in (1, 2, 3)] == [False, False, False]

    def put(*, disabled: bool) -> None:
        if level == "organization":
            keys.put_organization(organization(disabled=disabled))
        elif level == "team":
            keys.put_team(team(disabled=disabled))
        else:
            keys.put(lineage(stored(1, team_id="team_search", disabled=disabled), team()))

    put(disabled=True)
    with pytest.raises(InvalidKey) as refused:
        authenticate(keys, header(1), 0)
    assert (refused.value.status, refused.value.error_code) == (401, f"{level}_disabled")
    assert keys.lookup(header(2)).disabled == (level == "organization")
    assert not keys.lookup(header(3)).disabled
    put(disabled=False)
    assert authenticate(keys, header(1), 0).key_id == "key_1"


def test_a_key_whose_parents_are_unknown_or_deleted_does_not_work() -> None:
    keys = ring(stored(1), stored(2, team_id="team_gone"), stored(3, "other"), organizations=[organization()])
    assert not keys.lookup(header(1)).disabled
    assert keys.lookup(header(2)).disabled_by == "team"
    assert keys.lookup(header(3)).disabled_by == "organization"
    keys.put_team(team("gone", deleted_at=1))
    assert keys.lookup(header(2)).disabled_by == "team"
    keys.put_organization(organization(deleted_at=1))
    assert keys.lookup(header(1)).disabled_by == "organization"


def test_a_new_key_brings_changed_parents_with_it() -> None:
    keys = ring(stored(1, team_id="team_search"), teams=[team()])
    keys.put(lineage(stored(2, team_id="team_search"), team(models=("a",)), organization(allowed_regions=("eu",))))
    for number in (1, 2):
        record = keys.lookup(header(number))
        assert (record.models, record.regions) == ({"a"}, {"eu"})


def test_a_key_that_moves_takes_the_limits_of_its_new_team() -> None:
    keys = ring(stored(1, team_id="team_search"), teams=[team(models=("a",)), team("ads", models=("b",))])
    keys.put(lineage(stored(1, team_id="team_ads"), team("ads", models=("b",))))
    assert keys.lookup(header(1)).models == {"b"}
    keys.put_team(team(models=("c",)))
    assert keys.lookup(header(1)).models == {"b"}


def test_a_rotated_secret_works_until_its_grace_ends_and_the_new_one_at_once() -> None:
    keys = ring(stored(1, models=("a",)))
    old = digest_of(PEPPER, b"sk-1")
    assert keys.lookup(header(1)) is not None
    rotated = stored(1, digest=digest_of(PEPPER, b"sk-9"), models=("a",), retired=(RetiredSecret(old, 100),))
    keys.put(lineage(rotated))
    assert authenticate(keys, header(9), 200).key_id == "key_1"
    assert authenticate(keys, header(1), 99).models == {"a"}
    with pytest.raises(InvalidKey) as refused:
        authenticate(keys, header(1), 100)
    assert refused.value.error_code == "key_expired"
    keys.put_organization(organization(disabled=True))
    assert keys.lookup(header(1)).disabled
    keys.put(lineage(stored(1, digest=digest_of(PEPPER, b"sk-10")), of=organization()))
    assert keys.lookup(header(1)) is None
    assert keys.lookup(header(9)) is None
    keys.drop("key_1")
    assert keys.lookup(header(10)) is None
    assert len(keys) == 0


def test_the_earlier_of_expiry_and_grace_ends_a_rotated_secret() -> None:
    old = RetiredSecret(digest_of(PEPPER, b"sk-8"), 100)
    assert ring(stored(1, expires_at=50, retired=(old,))).lookup(header(8)).expires_at == 50
    assert ring(stored(1, expires_at=500, retired=(old,))).lookup(header(8)).expires_at == 100


@pytest.mark.parametrize(
    ("role", "action", "permitted"),
    [
        ("read_only", "read", True),
        ("read_only", "use", False),
        ("read_only", "administer", False),
        ("member", "read", True),
        ("member", "use", True),
        ("member", "administer", False),
        ("admin", "read", True),
        ("admin", "use", True),
        ("admin", "administer", True),
    ],
)
def test_a_role_permits_what_it_says_and_refuses_with_a_sentence(role: str, action: Action, *, permitted: bool) -> None:
    keys = ring(stored(1, role=role))
    if permitted:
        assert authenticate(keys, header(1), 0, action).role == role
        return
    with pytest.raises(NotPermitted) as refused:
        authenticate(keys, header(1), 0, action)
    assert (refused.value.status, refused.value.error_code) == (403, "role_not_permitted")
    assert "role" in refused.value.message


def test_without_an_action_a_read_only_key_is_refused() -> None:
    with pytest.raises(NotPermitted):
        authenticate(ring(stored(1, role="read_only")), header(1), 0)
    assert set(PERMITTED) == {"read_only", "member", "admin"}


@pytest.mark.parametrize(
    ("region", "allowed", "may"),
    [
        (None, None, True),
        ("us", None, True),
        ("eu", frozenset({"eu", "ch"}), True),
        ("us", frozenset({"eu", "ch"}), False),
        (None, frozenset({"eu"}), False),
        ("", frozenset({"eu"}), False),
    ],
)
def test_a_bound_tenant_reaches_only_deployments_that_say_they_are_in_its_regions(
    region: str | None, allowed: frozenset[str] | None, *, may: bool
) -> None:
    assert may_use(region, allowed) is may


def test_a_change_merges_limits_field_by_field_and_null_takes_them_away() -> None:
    key = stored(1, limits=Limits(requests_per_minute=5, max_concurrent=2), models=("a",))
    one = patched(key, UpdateApiKey(limits=SetLimits(requests_per_minute=None, tokens_per_minute=7)))
    assert one.limits == Limits(max_concurrent=2, tokens_per_minute=7)
    assert one.models == ("a",)
    assert patched(key, UpdateApiKey(limits=None)).limits == Limits()
    assert patched(key, UpdateApiKey()) == key
    untouched = patched(key, UpdateApiKey(name=None, disabled=None, role=None, metadata=None))
    assert untouched == key
    bound = organization(allowed_regions=("eu",))
    assert patched(bound, UpdateOrganization(allowed_regions=None)).allowed_regions is None


@pytest.mark.parametrize(
    "wrong",
    [
        {"requests_per_minute": 0},
        {"tokens_per_minute": -1},
        {"max_concurrent": 1.5},
        {"budget_per_day_usd": -0.01},
        {"budget_per_month_usd": float("inf")},
        {"budget_per_month_usd": float("nan")},
        {"requests_per_second": 1},
    ],
)
def test_limits_that_make_no_sense_are_refused(wrong: dict[str, float]) -> None:
    with pytest.raises(ValidationError):
        SetLimits.model_validate(wrong)


@pytest.mark.parametrize("role", ["read_only", "member", "admin"])
@pytest.mark.parametrize("fields", [{}, {"disabled": True}, {"revoked_at": 1}, {"expires_at": 100}])
@pytest.mark.parametrize("action", ["read", "use", "administer"])
def test_the_short_decision_on_plain_keys_is_the_long_one(role: str, fields: dict[str, int], action: Action) -> None:
    class Long:
        """The same ring, which says of no key that it is plain."""

        on_behalf = staticmethod(lambda authorization, now: None)

        def lookup(self, authorization: bytes) -> KeyRecord | None:
            found = keys.lookup(authorization)
            return None if found is None else replace(found, plain=False)

    keys = ring(stored(1, role=role, **fields))
    answers = []
    for asked in (keys, Long()):
        for now in (99.0, 100.0):
            try:
                answers.append(authenticate(asked, header(1), now, action).key_id)
            except (InvalidKey, NotPermitted) as exc:
                answers.append(f"{exc.status} {exc.error_code}")
    assert answers[:2] == answers[2:]


def test_a_change_of_an_organisation_costs_the_same_however_many_keys_it_has() -> None:
    keys = ring(*(stored(number) for number in range(2000)))
    records = [keys.lookup(header(number)) for number in range(2000)]
    keys.put_organization(organization())
    assert keys.lookup(header(0)) is records[0]
    keys.put_organization(organization(models=("a",)))
    compiled = [secret for secret in keys._by_digest.values() if secret.organization is keys._organizations["org_acme"]]
    assert compiled == []
    assert keys.lookup(header(7)).models == {"a"}


@pytest.mark.parametrize(
    ("own", "of_team", "of_organization", "effective"),
    [
        (None, None, None, None),
        ("strict", "open", "lax", "strict"),
        (None, "open", "lax", "open"),
        (None, None, "lax", "lax"),
    ],
)
def test_a_key_follows_its_own_policy_else_its_teams_else_its_organisations(  # type: ignore[no-untyped-def]
    own, of_team, of_organization, effective
) -> None:
    keys = ring(
        stored(1, team_id="team_search", policy=own),
        teams=[team(policy=of_team)],
        organizations=[organization(policy=of_organization)],
    )
    assert keys.lookup(header(1)).policy == effective
