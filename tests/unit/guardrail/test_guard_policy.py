"""guard.yaml: clear errors, hashes that follow the content, reload that never loses the policies in force."""

from pathlib import Path

import pytest

from sluice.settings import ConfigError
from sluice.testing import platform_settings
from sluice_guardrail.adapters.policy_file import Lacking, PolicyFile, load_policies
from sluice_guardrail.domain.errors import UnknownPolicy
from sluice_guardrail.domain.policy import parse_policies
from sluice_guardrail.settings import Settings
from sluice_guardrail.wiring import check_config

SHIPPED = Path(__file__).parents[3] / "deploy" / "config"


@pytest.mark.parametrize(
    ("content", "sentence"),
    [
        ([], "must be a mapping"),
        ({"policies": {"default": {}}}, "version: field required"),
        ({"version": 1, "policies": {}}, "policies: there must be a policy named `default`"),
        (
            {"version": 1, "policies": {"default": {"inptu": {}}}},
            "policies.default.inptu: there is no such field; did you mean 'input'?",
        ),
        (
            {"version": 1, "policies": {"default": {"output": {"scanners": {"toxicity": {}}}}}},
            "output.scanners.toxicity: there is no such field; known are code, groundedness, groundedness_model, harm, harm_model",
        ),
        (
            {"version": 1, "policies": {"default": {"input": {"scanners": {"urls": {"denied": []}}}}}},
            "input.scanners.urls.denied: there is no such field; did you mean 'deny'?",
        ),
        (
            {"policy": {}, "version": 1, "policies": {"default": {}}},
            "policy: there is no such field; did you mean 'policies'?",
        ),
        *(
            (
                {"version": 1, "policies": {"default": {"output": {section: {name: value}}}}},
                f"output.{section}: `severe_from` and `severe_action` stand together",
            )
            for section in ("pii", "filter")
            for name, value in (("severe_from", 0.9), ("severe_action", "redact"))
        ),
        *(
            (
                {"version": 1, "policies": {"default": {"input": {"scanners": {name: rules}}}}},
                f"input.scanners.{name}: {said}",
            )
            for name, rules, said in (
                ("urls", {"severe_from": 0.9}, "`severe_from` and `severe_action` stand together"),
                ("length", {"action": "block"}, "has no limit"),
                ("topics", {"action": "block"}, "names no topic"),
                ("language", {"action": "block"}, "names no language"),
            )
        ),
        (
            {"version": 1, "policies": {"default": {"input": {"injection": {"threshold": 7}}}}},
            "policies.default.input.injection.threshold: input should be less than or equal to 1",
        ),
        (
            {"version": 1, "policies": {"default": {"input": {"pii": {"kinds": {"emails": "redact"}}}}}},
            "policies.default.input.pii.kinds.emails: no such name; known are email, phone",
        ),
        (
            {
                "version": 1,
                "policies": {"default": {"input": {"scanners": {"harm": {"categories": {"violent": "block"}}}}}},
            },
            "harm.categories.violent: no such name; known are harassment, harassment/threatening, hate",
        ),
        ({"version": 1, "policies": {"default": {"input": {"pii": None}}}}, "policies.default.input.pii: is empty"),
        (
            {
                "version": 1,
                "policies": {"default": {"input": {"scanners": {"urls": {"allow": ["https://x.example/"]}}}}},
            },
            "urls.allow.0: must be a host in small letters, such as example.com",
        ),
        (
            {"version": 1, "policies": {"default": {}, "my policy": {}}},
            "policies.my policy: may have letters, digits, _, . and - in its name",
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
    assert not caught.value.detail.endswith("?.")
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


def test_a_policy_that_asks_for_names_needs_a_model_that_finds_them(tmp_path: Path) -> None:
    content = "version: 1\npolicies:\n  default: {}\n  strict:\n    output:\n      pii:\n        kinds:\n          person: mask\n"
    (tmp_path / "guard.yaml").write_text(content.replace("mask", "redact"))
    settings = platform_settings(tmp_path, config_dir=tmp_path)
    assert load_policies(settings).get("strict").rules.output.pii.action_for("person") == "redact"
    with pytest.raises(
        ConfigError, match=r"line 8: policies\.strict\.output\.pii\.kinds\.person: .*SLUICE_GUARDRAIL_NAMES_MODEL"
    ):
        load_policies(settings, Lacking(names=True))
    (tmp_path / "guard.yaml").write_text(content.replace("mask", "allow"))
    policies = PolicyFile(settings, lacking=Lacking(names=True))
    (tmp_path / "guard.yaml").write_text(content.replace("mask", "flag"))
    policies.refresh()
    assert "SLUICE_GUARDRAIL_NAMES_MODEL" in (policies.error or "")
    assert policies.current.get("strict").rules.output.pii.action_for("person") == "allow"


@pytest.mark.parametrize(
    ("task", "variable", "section"),
    [
        ("harm_model", "SLUICE_GUARDRAIL_JUDGE_URL", "input"),
        ("harm_model", "SLUICE_GUARDRAIL_JUDGE_URL", "output"),
        ("injection_model", "SLUICE_GUARDRAIL_CLASSIFIER_URL", "context"),
        ("llm_guard", "SLUICE_GUARDRAIL_LLM_GUARD_URL", "tool_results"),
        ("groundedness_model", "SLUICE_GUARDRAIL_LETTUCEDETECT_URL", "output"),
        ("second_opinion", "SLUICE_GUARDRAIL_JUDGE_URL", "output"),
    ],
)
def test_a_policy_that_asks_a_model_needs_one_that_answers(
    tmp_path: Path, task: str, variable: str, section: str
) -> None:
    (tmp_path / "guard.yaml").write_text(
        f"version: 1\npolicies:\n  default:\n    {section}:\n      scanners:\n        {task}: {{on_error: open}}\n"
    )
    platform = platform_settings(tmp_path, config_dir=tmp_path)
    with pytest.raises(ConfigError) as told:
        check_config(platform, Settings(_env_file=None))
    assert f"line 6: policies.default.{section}.scanners.{task}: a model is asked, and there is none" in str(told.value)
    assert variable in str(told.value)
    others = {"judge_url", "classifier_url", "lettucedetect_url", "llm_guard_url"}
    mine = variable.removeprefix("SLUICE_GUARDRAIL_").lower()
    with pytest.raises(ConfigError):
        check_config(platform, Settings(_env_file=None, **dict.fromkeys(others - {mine, "judge_url"}, "http://x/v1")))  # type: ignore[arg-type] # urls alone
    check_config(platform, Settings(_env_file=None, **{mine: "http://x/v1"}))  # type: ignore[arg-type] # urls alone


def test_a_second_opinion_that_stands_there_by_itself_is_no_wish(tmp_path: Path) -> None:
    (tmp_path / "guard.yaml").write_text(
        "version: 1\npolicies:\n  default: {output: {scanners: {harm: {}, second_opinion: null}}}\n"
    )
    check_config(platform_settings(tmp_path, config_dir=tmp_path), Settings(_env_file=None))
    (tmp_path / "guard.yaml").write_text("version: 1\npolicies:\n  default: {output: {scanners: {harm: {}}}}\n")
    check_config(platform_settings(tmp_path, config_dir=tmp_path), Settings(_env_file=None))
