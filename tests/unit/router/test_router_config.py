"""models.yaml: what is accepted, what is refused and how it is said; health with hysteresis."""

from pathlib import Path
from typing import Any

import pytest
import yaml

from sluice.settings import expand_variables
from sluice_router.domain.config import parse
from sluice_router.domain.errors import ModelsFileError
from sluice_router.domain.health import HealthBook
from sluice_router.domain.publication import HealthNote, probed, same_content, snapshot

SHIPPED = Path(__file__).resolve().parents[3] / "deploy/config/models.yaml"


def _file(**changes: Any) -> dict[str, Any]:
    model = {"name": "m", "policy": "p", "deployments": [{"base_url": "http://a/v1"}]} | changes
    return {"models": [model], "policies": [{"name": "p"}], "routes": [{"name": "auto", "candidates": ["m"]}]}


def _routed(**changes: Any) -> dict[str, Any]:
    return _file() | {"routes": [{"name": "auto", "candidates": ["m"]} | changes]}


def test_what_describes_a_model_reaches_the_snapshot() -> None:
    said = {
        "version": "2026-10",
        "architecture": "mamba",
        "parameters_b": 2.8,
        "licence": "Apache-2.0",
        "domains": ["medicine"],
        "input_modalities": ["text", "image"],
        "output_modalities": ["text"],
        "capabilities": ["tools"],
    }
    config = parse(_file(**said), "models.yaml")
    model = snapshot(config, {}, version=1, now=0.0).models[0].model_dump(mode="json")
    assert {name: model[name] for name in said} == said


def test_a_split_forgets_a_model_that_is_switched_off() -> None:
    raw = _routed(candidates=["m", "off"], split=[{"model": "m", "weight": 0}, {"model": "off", "weight": 1}])
    raw["models"].append({"name": "off", "only_if": "", "deployments": [{"base_url": "http://b"}]})
    assert parse(raw, "models.yaml").routes[0].split == ()


def test_aliases_name_models_and_routes_and_follow_those_that_are_switched_off() -> None:
    raw = _file() | {
        "aliases": [{"name": "x", "model": "m"}, {"name": "y", "model": "auto"}, {"name": "z", "model": "off"}]
    }
    raw["models"].append({"name": "off", "only_if": "", "deployments": [{"base_url": "http://b"}]})
    made = snapshot(parse(raw, "models.yaml"), {}, version=1, now=0.0)
    assert [(alias.name, alias.model) for alias in made.aliases] == [("x", "m"), ("y", "auto")]
    with pytest.raises(ModelsFileError, match=r"aliases\[0\] \(x\)\.model names ghost, which is not defined"):
        parse(_file() | {"aliases": [{"name": "x", "model": "ghost"}]}, "models.yaml")
    with pytest.raises(ModelsFileError, match="model or route named twice: m"):
        parse(_file() | {"aliases": [{"name": "m", "model": "m"}]}, "models.yaml")


def test_the_shipped_file_is_right_and_offers_vllm_only_when_it_is_there(monkeypatch: pytest.MonkeyPatch) -> None:
    text = SHIPPED.read_text()
    config = parse(yaml.safe_load(expand_variables(text, "models.yaml")), "models.yaml")
    assert [model.name for model in config.models] == ["smollm2", "minilm", "features"]
    monkeypatch.setenv("SLUICE_VLLM_URL", "http://gpu:8000/v1")
    config = parse(yaml.safe_load(expand_variables(text, "models.yaml")), "models.yaml")
    assert [model.name for model in config.models] == ["smollm2", "minilm", "features", "vllm"]


def test_a_deployment_says_where_it_is_or_nothing() -> None:
    deployments = [{"base_url": "http://a/v1", "region": "eu"}, {"base_url": "http://b/v1"}]
    made = snapshot(parse(_file(deployments=deployments), "models.yaml"), {}, version=1, now=0.0)
    assert [deployment.region for deployment in made.models[0].deployments] == ["eu", None]


@pytest.mark.parametrize(
    ("raw", "sentence"),
    [
        (
            _file(fallbacks=["ghost"]),
            "models[0] (m).fallbacks names ghost, which is not defined in this file (defined: m)",
        ),
        (_file(fallbacks=["m"]), "models[0] (m).fallbacks names the model itself"),
        (_file(fallbacks_on={"context": ["ghost"]}), "models[0] (m).fallbacks_on.context names ghost"),
        (_file(fallbacks_on={"timeout": ["m"]}), "models[0] (m).fallbacks_on.timeout names the model itself"),
        (_file(fallbacks_on={"contxt": []}), "fallbacks_on.contxt: there is no such field; did you mean 'context'?"),
        (_file(policy="ghost"), "models[0] (m).policy names ghost"),
        (_file(deployments=[]), "models[0] (m).deployments: must not be empty"),
        (
            _file(deployments=[{"base_url": "ftp://a"}]),
            "models[0] (m).deployments[0].base_url: this must be an http://",
        ),
        (
            _file(deployments=[{"id": "d1"}]),
            "models[0] (m).deployments[0] (d1).base_url: this field is missing; add it",
        ),
        (_file(deployments=[{"base_url": "http://a", "region": "EU west"}]), "models[0] (m).deployments[0].region"),
        (_file(deployments=[{"base_url": "http://a", "auth": {"kind": "bearer"}}]), ".auth: kind 'bearer' needs 'env'"),
        (_file(deployments=[{"base_url": "http://a", "auth": {"kind": "service"}}]), "needs 'audience'"),
        (_file(deployments=[{"base_url": "http://a", "auth": {"key": "sk-1"}}]), ".auth.key: there is no such field"),
        (_file(contex_tokens=1), "models[0] (m).contex_tokens: there is no such field; did you mean 'context_tokens'?"),
        (_file(price={"imput": 1}), "models[0] (m).price.imput: there is no such field; did you mean 'input'?"),
        (
            _file() | {"policies": [{"name": "p", "gard_input": "enforce"}]},
            "policies[0] (p).gard_input: there is no such field; did you mean 'guard_input'?",
        ),
        (_file() | {"routes": [{"name": "m", "candidates": ["m"]}]}, "model or route named twice: m"),
        (
            {
                "models": [
                    {"name": "m", "deployments": [{"base_url": "http://a"}]},
                    {"name": "n", "deployments": [{"id": "m-1", "base_url": "http://b"}]},
                ]
            },
            "deployment named twice: m-1",
        ),
        (
            {
                "models": [
                    {"name": "m", "deployments": [{"base_url": "http://a"}]},
                    {"name": "e", "kind": "embedding", "deployments": [{"base_url": "http://b"}]},
                ],
                "routes": [{"name": "auto", "candidates": ["m", "e"]}],
            },
            "routes[0] (auto) mixes kinds: e is no chat model",
        ),
        ({"models": "none"}, "models: must be a list"),
        ("just text", "the file"),
        (None, "the file"),
        (_routed(split=[{"model": "x", "weight": 1}]), "routes[0] (auto): split names x, which is no candidate"),
        (_routed(split=[{"model": "m", "weight": 0}]), "routes[0] (auto): split gives no model a weight above 0"),
        (_routed(split=[{"model": "m", "weight": 1}] * 2), "split names a model twice"),
        (_file(input_modalities=["smell"]), "models[0] (m).input_modalities[0]"),
    ],
)
def test_a_wrong_file_is_refused_with_the_place(raw: Any, sentence: str) -> None:
    with pytest.raises(ModelsFileError) as refused:
        parse(raw, "models.yaml")
    assert sentence in refused.value.detail


def test_a_switched_off_model_leaves_no_dangling_name() -> None:
    raw = _file()
    raw["models"].append({"name": "off", "only_if": "", "deployments": [{"base_url": "http://b"}]})
    raw["models"][0]["fallbacks"] = ["off"]
    raw["routes"].append({"name": "only-off", "candidates": ["off"]})
    config = parse(raw, "models.yaml")
    assert [model.name for model in config.models] == ["m"]
    assert config.models[0].fallbacks == ()
    assert [route.name for route in config.routes] == ["auto"]


def test_the_snapshot_carries_health_but_no_secret() -> None:
    config = parse(_file(deployments=[{"base_url": "https://a/v1/", "auth": {"kind": "bearer", "env": "A_KEY"}}]), "x")
    made = snapshot(config, {"m-1": HealthNote(health="down", reason="why")}, version=3, now=5.0)
    deployment = made.models[0].deployments[0]
    assert (deployment.id, deployment.base_url, deployment.health, deployment.auth.env) == (
        "m-1",
        "https://a/v1",
        "down",
        "A_KEY",
    )
    assert same_content(made, snapshot(config, {"m-1": HealthNote(health="down", reason="why")}, version=4, now=9.0))
    assert not same_content(made, snapshot(config, {}, version=4, now=9.0))


def test_a_deployment_is_probed_below_its_base_url_or_its_host() -> None:
    checks: list[dict[str, str]] = [{}, {"path": "/health", "at": "host"}]
    places = [{"id": f"d{n}", "base_url": "http://a:1/v1/", "health": check} for n, check in enumerate(checks)]
    found = probed(parse(_file(deployments=places), "x"))
    assert [target.url for target in found] == ["http://a:1/v1/models", "http://a:1/health"]


def test_an_unprobed_deployment_counts_as_up() -> None:
    config = parse(_file(deployments=[{"base_url": "http://a", "health": {"enabled": False}}]), "x")
    assert probed(config) == ()
    assert snapshot(config, {}, version=1, now=0).models[0].deployments[0].health == "up"


def test_one_failure_is_forgiven_two_are_not_and_one_success_heals() -> None:
    book = HealthBook()
    assert book.note("a", None)
    assert not book.note("a", "slow")
    assert book.notes["a"].health == "up"
    assert book.note("a", "slow")
    assert book.notes["a"] == HealthNote(health="down", reason="slow")
    assert book.note("a", None)
    assert book.note("b", "it cannot be reached"), "the first result counts at once"
    assert book.is_unsettled("b"), "b may just be starting"
    assert not book.is_unsettled("a")
    for _ in range(5):
        book.note("b", "it cannot be reached")
    assert not book.is_unsettled("b")
    book.forget_except({"a"})
    assert set(book.notes) == {"a"}
