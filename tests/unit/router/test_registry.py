"""The registry's pure parts: merging, merge patches, and the state at an earlier version."""

from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from sluice.contracts.registry import RegistryChange, RegistryVersion
from sluice_router.domain.config import parse
from sluice_router.domain.registry import EMPTY, Entry, Ref, State, applied, at_version, differences, merge
from sluice_router.domain.registry_admin import merge_patch

FILE = parse({"models": [{"name": "home", "deployments": [{"base_url": "http://a/v1"}]}]}, "models.yaml")


def entry(kind: Any, name: str, **spec: Any) -> Entry:
    return Entry(kind, name, {"name": name, **spec}, 1, 0.0, 0.0, "admin")


def test_what_depends_on_something_held_back_is_held_back_too() -> None:
    entries = (
        entry("alias", "best", model="r"),
        entry("route", "r", candidates=["m"]),
        entry("model", "m", fallbacks=["ghost"], deployments=[{"base_url": "http://b/v1"}]),
        entry("route", "fine", candidates=["home"]),
    )
    merged = merge(FILE, entries)
    assert [route.name for route in merged.config.routes] == ["fine"]
    assert {ref.name: problems[0].field for ref, problems in merged.held.items()} == {
        "m": "fallbacks",
        "r": "candidates",
        "best": "model",
    }


def test_an_object_of_another_version_of_the_router_is_held_back_with_its_field() -> None:
    merged = merge(FILE, (entry("policy", "p", from_the_future=True),))
    assert "`from_the_future` is not known here" in merged.held_back()[0].problem
    assert merged.config.policies == ()


def test_merge_patch_has_the_examples_of_rfc_7396() -> None:
    cases: list[tuple[Any, Any, Any]] = [
        ({"a": "b"}, {"a": "c"}, {"a": "c"}),
        ({"a": "b"}, {"b": "c"}, {"a": "b", "b": "c"}),
        ({"a": "b"}, {"a": None}, {}),
        ({"a": "b", "b": "c"}, {"a": None}, {"b": "c"}),
        ({"a": ["b"]}, {"a": "c"}, {"a": "c"}),
        ({"a": "c"}, {"a": ["b"]}, {"a": ["b"]}),
        ({"a": {"b": "c"}}, {"a": {"b": "d", "c": None}}, {"a": {"b": "d"}}),
        ({"a": [{"b": "c"}]}, {"a": [1]}, {"a": [1]}),
        (["a", "b"], ["c", "d"], ["c", "d"]),
        ({"a": "b"}, ["c"], ["c"]),
        ({"e": None}, {"a": 1}, {"e": None, "a": 1}),
        ([1, 2], {"a": "b", "c": None}, {"a": "b"}),
        ({}, {"a": {"bb": {"ccc": None}}}, {"a": {"bb": {}}}),
    ]
    for target, patch, result in cases:
        assert merge_patch(target, patch) == result


SPECS = st.dictionaries(st.sampled_from("abc"), st.integers(0, 3), max_size=3)


@given(st.lists(SPECS, max_size=6), st.data())
def test_any_version_comes_back_as_it_was(history: list[dict[str, int]], data: st.DataObject) -> None:
    state, versions, seen = EMPTY, [], [EMPTY]
    for wanted in history:
        changes = differences(state, {Ref("policy", name): {"n": n} for name, n in wanted.items()})
        state = applied(state, changes, state.version + 1, float(state.version), "admin")
        versions.append(_version(state, changes))
        seen.append(state)
    target = data.draw(st.integers(0, len(history)))
    later = [one for one in reversed(versions) if one.version > target]
    back = applied(state, differences(state, at_version(state, later)), state.version + 1, 0.0, "admin")
    assert _content(back) == _content(seen[target])


def _version(state: State, changes: tuple[RegistryChange, ...]) -> RegistryVersion:
    return RegistryVersion(
        id=str(state.version),
        version=state.version,
        at=0.0,
        actor="a",
        action="change",
        request_id="r",
        changes=changes,
    )


def _content(state: State) -> dict[str, dict[str, Any]]:
    return {one.name: one.spec for one in state.entries}
