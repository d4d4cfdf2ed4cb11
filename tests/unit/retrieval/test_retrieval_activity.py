"""Which stores are known to be there."""

from sluice_retrieval.domain.activity import Activity


def test_a_store_is_known_to_its_tenant_until_it_is_missed() -> None:
    activity = Activity()
    assert not activity.knows("acme", ["vs_1"])
    activity.found("acme", ["vs_1", "vs_2"])
    assert activity.knows("acme", ["vs_2", "vs_1"])
    assert not activity.knows("other", ["vs_1"])
    assert not activity.knows("acme", ["vs_1", "vs_3"])
    activity.missed("acme", ["vs_1"])
    assert not activity.knows("acme", ["vs_1"])
    assert activity.knows("acme", ["vs_2"])


def test_so_many_are_kept_at_most() -> None:
    activity = Activity()
    for number in range(25_000):
        activity.found("acme", [f"vs_{number}"])
    held = sum(activity.knows("acme", [f"vs_{number}"]) for number in range(25_000))
    assert 1 <= held <= 10_000
