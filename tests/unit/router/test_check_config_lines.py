"""What check-config says of the usual mistakes in models.yaml: the line, the entry's name, and what to change."""

from pathlib import Path

import pytest
import yaml

from sluice.testing import platform_settings
from sluice.yaml_lines import line_of, read
from sluice_router.adapters.models_file import load
from sluice_router.domain.config import parse
from sluice_router.domain.errors import ModelsFileError

RIGHT = """\
models:
  - name: small
    context_tokens: 8192
    price: {input: 1, output: 2}
    deployments:
      - base_url: http://127.0.0.1:9/v1
        timeout_s: 30
  - name: big
    kind: chat
    deployments:
      - {id: big-1, base_url: https://api.example/v1}
routes:
  - name: auto
    candidates: [small, big]
    fallbacks: [big]
policies:
  - name: default
    guard_input: enforce
"""
MISTAKES = (
    (
        "context_tokens:",
        "contex_tokens:",
        "line 3: models[0] (small).contex_tokens: there is no such field; did you mean",
    ),
    ("8192", "lots", "line 3: models[0] (small).context_tokens: must be a whole number"),
    ("8192", "0", "line 3: models[0] (small).context_tokens: must be 1 or more"),
    (
        "{input: 1, ",
        "{imput: 1, ",
        "line 4: models[0] (small).price.imput: there is no such field; did you mean 'input'?",
    ),
    ("input: 1", "input: -1", "line 4: models[0] (small).price.input: must be 0.0 or more"),
    ("http://127", "127", "line 6: models[0] (small).deployments[0].base_url: this must be an http:// or https:// URL"),
    (
        "http://127.0.0.1:9/v1",
        "http://127.0.0.1:9/v1/chat/completions",
        "line 6: models[0] (small).deployments[0].base_url: this must end before /chat/completions",
    ),
    ("timeout_s: 30", "timeout_s: 30s", "line 7: models[0] (small).deployments[0].timeout_s: must be a number"),
    (
        "kind: chat",
        "kind: chatty",
        "line 9: models[1] (big).kind: must be 'chat', 'embedding', 'rerank', 'image', 'speech' or 'transcription'",
    ),
    (
        "base_url: https://api.example/v1",
        "url: x",
        "line 11: models[1] (big).deployments[0] (big-1).base_url: this field is missing",
    ),
    (
        "- {id: big-1, base_url: https://api.example/v1}",
        "[]",
        "line 10: models[1] (big).deployments: must not be empty",
    ),
    ("candidates: [small, big]", "candidates: small", "line 14: routes[0] (auto).candidates: must be a list"),
    (
        "[small, big]",
        "[small, bigg]",
        "line 14: routes[0] (auto).candidates names bigg, which is not defined in this file",
    ),
    ("fallbacks: [big]", "fallbacks: [gone]", "line 15: routes[0] (auto).fallbacks names gone, which is not defined"),
    ("  - name: default", "  - nam: default", "line 17: policies[0].nam: there is no such field; did you mean 'name'?"),
    ("enforce", "on", "line 18: policies[0] (default).guard_input: must be 'off', 'observe' or 'enforce'"),
    ("name: big", "name: small", "line 8: models[1]: model or route named twice: small; give each its own name"),
    (
        "base_url: https://api.example/v1",
        "base_url: api.example",
        "line 11: models[1] (big).deployments[0] (big-1).base_url",
    ),
)


def test_the_file_itself_is_right() -> None:
    assert len(parse(yaml.safe_load(RIGHT), "models.yaml").models) == 2


@pytest.mark.parametrize(("right", "wrong", "said"), MISTAKES, ids=[said[:60] for _, _, said in MISTAKES])
def test_a_mistake_is_explained_with_its_line(right: str, wrong: str, said: str) -> None:
    text = RIGHT.replace(right, wrong, 1)
    assert text != RIGHT
    with pytest.raises(ModelsFileError) as refused:
        parse(yaml.safe_load(text), "models.yaml", lambda place: f"line {line_of(text, place)}: ")
    assert said in refused.value.detail
    assert ("must not be empty" in refused.value.detail) is ("must not be empty" in said)


@pytest.mark.parametrize(
    ("place", "line"),
    [(("models", 1, "kind"), 9), (("models", 1, "ghost"), 8), (("routes", 7), 12), (("ghost",), 1), ((), 1)],
)
def test_the_nearest_line_stands_for_what_is_missing(place: tuple[str | int, ...], line: int) -> None:
    assert line_of(RIGHT, place) == line


def test_what_is_no_yaml_has_no_lines() -> None:
    assert (line_of("a: [", ()), line_of("", ())) == (None, None)


def test_what_needs_a_service_that_is_off_is_told(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    own = "  - {name: own, kind: embedding, deployments: [{base_url: http://x/v1, auth: {kind: service, audience: retrieval}}]}\n"
    text = RIGHT.replace("  - name: big\n", own + "  - name: big\n    policy: default\n")
    text += "  - {name: open, guard_input: enforce, on_guard_error: open}\n"
    (tmp_path / "models.yaml").write_text(text.replace("    candidates:", "    policy: open\n    candidates:"))
    load(platform_settings(tmp_path, config_dir=tmp_path))
    assert caplog.messages == []
    load(platform_settings(tmp_path, config_dir=tmp_path, services="feedback"))
    assert [message.partition(" needs ")[0] for message in caplog.messages] == [
        "big answers 503: its policy `default`",
        "own answers 503: every deployment of it",
    ]
    assert "Add `guardrail` to SLUICE_SERVICES" in caplog.messages[0]


def test_a_name_that_stands_twice_is_refused_with_its_line() -> None:
    with pytest.raises(yaml.YAMLError, match=r"`pii` stands twice in one mapping(?s:.)*line 3"):
        read("input:\n  pii: {action: block}\n  pii: {action: allow}\n")


def test_what_is_merged_into_a_mapping_may_be_said_otherwise() -> None:
    text = "x: {y: &m {<<: &b {a: 1}, a: 2}}\ntop: {<<: *m, a: 3}\nlist: [{a: 1}, {a: 2}]\n"
    assert read(text) == yaml.safe_load(text) == {"x": {"y": {"a": 2}}, "top": {"a": 3}, "list": [{"a": 1}, {"a": 2}]}


def test_a_guard_policy_that_is_not_there_is_told(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    (tmp_path / "models.yaml").write_text(RIGHT + "  - {name: strict, guard_input: enforce, guard_policy: strct}\n")
    guard = tmp_path / "guard.yaml"
    for unreadable in (None, "policies: [", "version: 1", "[1]", "policies: {default: {description: '${NOT_SET}'}}"):
        if unreadable is not None:
            guard.write_text(unreadable)
        load(platform_settings(tmp_path, config_dir=tmp_path))
        assert caplog.messages == []  # the guardrail tells what is wrong with its file
    guard.write_text("version: 1\npolicies:\n  default: {}\n  strict: {}\n")
    load(platform_settings(tmp_path, config_dir=tmp_path))
    assert caplog.messages == [
        "The policy strict checks nothing: its guard_policy 'strct' is not in guard.yaml, which has default, strict. Name one of these, or add it there."
    ]
