"""What a change leaves in the audit log."""

from collections.abc import Callable
from dataclasses import replace

import pytest
from tests.unit.gateway.keys.tenants import organization, stored, team

from sluice.contracts.gateway import Limits
from sluice_gateway.domain.audit import ADMINISTRATOR, Actor, Audited, Trail
from sluice_gateway.domain.errors import OrganizationNotFound

DIGEST = stored(1).digest


def trail(actor: Actor = ADMINISTRATOR) -> Trail:
    return Trail(actor, "req_12345678", 5.0, lambda prefix: f"{prefix}_1")


@pytest.mark.parametrize("thing", [organization(), team(), stored(1)], ids=["organization", "team", "api_key"])
def test_a_creation_shows_all_but_the_secret_and_a_deletion_the_same_before(thing: Audited) -> None:
    made, gone = trail().made(thing), trail().deleted(thing)
    assert made.before is None
    assert gone.after is None
    assert made.after == gone.before
    assert made.after is not None
    assert made.after["name"] == thing.name
    assert (made.id, made.at, made.actor, made.actor_id, made.request_id) == (
        "aud_1",
        5.0,
        "administrator",
        "admin",
        "req_12345678",
    )
    assert (made.target_id, made.organization_id, made.action) == (thing.id, "org_acme", "create")
    assert not {"digest", "retired", "key", "secret"} & set(made.after)
    assert DIGEST.hex() not in made.model_dump_json()


def test_a_change_shows_only_what_it_changed() -> None:
    before = stored(1, limits=Limits(max_concurrent=1))
    record = trail(Actor("api_key", "key_9", "org_acme", "acme")).changed("change", before, replace(before, name="new"))
    assert (record.before, record.after) == ({"name": "key 1"}, {"name": "new"})
    assert (record.actor, record.actor_id, record.target) == ("api_key", "key_9", "api_key")


def test_a_rotation_shows_the_visible_prefix_only() -> None:
    before = stored(1)
    after = replace(before, digest=b"x" * 32, prefix="sk-slc-abc", rotated_at=5)
    record = trail().changed("rotate", before, after)
    assert record.before == {"prefix": "sk", "rotated_at": None}
    assert record.after == {"prefix": "sk-slc-abc", "rotated_at": 5}


def test_an_admin_key_looks_at_its_own_organisation_only() -> None:
    own = Actor("api_key", "key_9", "org_acme", "acme")
    for within, asked in ((own.within, None), (own.within, "org_acme")):
        assert within(asked) == "org_acme"
    with pytest.raises(OrganizationNotFound):
        own.within("org_other")
    everything: Callable[[str | None], str | None] = ADMINISTRATOR.within
    assert everything(None) is None
    assert everything("org_other") == "org_other"
