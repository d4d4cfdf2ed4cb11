"""guard.yaml: clear errors, hashes that follow the content, reload that never loses the policies in force."""

from pathlib import Path

import pytest

from sluice.settings import ConfigError
from sluice.testing import platform_settings
from sluice_guardrail.adapters.policy_file import PolicyFile, load_policies
from sluice_guardrail.domain.errors import UnknownPolicy
from sluice_guardrail.domain.policy import parse_policies

SHIPPED = Path(__file__).parents[3] / "deploy" / "config"


@pytest.mark.parametrize(
    ("content", "sentence"),
    [
        ([], "must be a mapping"),
        ({"policies": {"default": {}}}, "version: field required"),
        ({"version": 1, "policies": {}}, "policies: there must be a policy named `default`"),
        ({"version": 1, "policies": {"default": {"inptu": {}}}}, "policies.default.inptu: there is no such field"),
        (
            {"version": 1, "policies": {"default": {"input": {"injection": {"threshold": 7}}}}},
            "policies.default.input.injection.threshold: input should be less than or equal to 1",
        ),
        (
            {"version": 1, "policies": {"default": {"input": {"pii": {"kinds": {"emails": "redact"}}}}}},
            "policies.default.input.pii.kinds.emails: no such kind; known are email, phone",
        ),
        (
            {"version": 1, "policies": {"default": {"output": {"filter": {"action": "block"}}}}},
            "input should be 'refuse', 'redact', 'flag' or 'allow'",
        ),
    ],
)
def test_a_wrong_file_is_refused_with_the_path_of_the_field(content: object, sentence: str) -> None:
    with pytest.raises(ConfigError) as caught:
        parse_policies(content, "guard.yaml")
    assert sentence in caught.value.detail


def test_the_hash_follows_the_content_and_not_the_order() -> None:
    def hash_of(**default: object) -> str:
        return parse_policies({"version": 1, "policies": {"default": default}}, "x").get("default").hash

    assert hash_of(mode="observe") == hash_of(description="", mode="observe")
    assert hash_of(mode="observe") != hash_of()
    roles = [{"input": {"pii": {"skip_roles": order}}} for order in (["a", "b"], ["b", "a"])]
    assert hash_of(**roles[0]) == hash_of(**roles[1])


def test_an_unknown_policy_is_named_with_the_known_ones() -> None:
    with pytest.raises(UnknownPolicy, match=r"no guard policy named 'nope'\. Known: a, default"):
        parse_policies({"version": 1, "policies": {"default": {}, "a": {}}}, "x").get("nope")


def test_the_shipped_file_is_right(tmp_path: Path) -> None:
    policies = load_policies(platform_settings(tmp_path, config_dir=SHIPPED))
    assert set(policies.policies) == {"default", "sanitise", "masked", "strict", "observe"}
    assert policies.get("default").rules.input.injection.threshold == 0.7


def test_a_change_is_taken_over_and_a_wrong_one_is_not(tmp_path: Path) -> None:
    file = tmp_path / "guard.yaml"
    file.write_text("version: a\npolicies: {default: {}}\n")
    results: list[str] = []
    policies = PolicyFile(platform_settings(tmp_path, config_dir=tmp_path), results.append)
    before = policies.current.get("default").hash
    policies.refresh()
    assert results == []
    file.write_text("version: b\npolicies: {default: {mode: observe}}\n")
    policies.refresh()
    assert policies.current.version == "b"
    assert policies.current.get("default").hash != before
    file.write_text("version: c\npolicies: {default: {mode: sleep}}\n")
    policies.refresh()
    policies.refresh()
    assert policies.current.version == "b"
    assert policies.error is not None
    assert "policies.default.mode" in policies.error
    file.unlink()
    policies.refresh()
    assert policies.current.version == "b"
    file.write_text("version: d\npolicies: {default: {}}\n")
    policies.refresh()
    assert policies.current.version == "d"
    assert not policies.error
    assert results == ["taken", "refused", "refused", "taken"]


def test_a_mistake_in_the_file_is_told_with_its_line(tmp_path: Path) -> None:
    (tmp_path / "guard.yaml").write_text(
        "version: 1\npolicies:\n  default:\n    input:\n      injection:\n        threshold: ${UNSET_HERE:-7}\n"
    )
    with pytest.raises(ConfigError, match=r"is not right: line 6: policies\.default\.input\.injection\.threshold: "):
        load_policies(platform_settings(tmp_path, config_dir=tmp_path))
