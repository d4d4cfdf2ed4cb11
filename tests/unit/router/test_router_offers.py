"""Models with a star in their name: what is listed becomes models, and what the configuration says of it holds."""

from typing import Any

import pytest

from sluice_router.domain.config import ModelsFile, parse
from sluice_router.domain.errors import ModelsFileError
from sluice_router.domain.offers import MOST, Offer, Place, listed, page_address, places, unfolded
from sluice_router.domain.publication import HealthNote, probed, snapshot
from sluice_router.domain.references import captured


def _place(**more: Any) -> dict[str, Any]:
    return {"base_url": "https://api.example.com/v1", **more}


def _file(*models: dict[str, Any], **sections: Any) -> ModelsFile:
    return parse({"models": list(models), **sections}, "models.yaml")


def _star(name: str = "x/*", **more: Any) -> dict[str, Any]:
    return {"name": name, "deployments": [_place()], **more}


def _offers(config: ModelsFile, *ids: str) -> dict[Place, tuple[Offer, ...]]:
    return {place: tuple(Offer(id=one) for one in ids) for place in places(config)}


@pytest.mark.parametrize(
    ("pattern", "text", "star"),
    [
        ("x/*", "x/gpt", "gpt"),
        ("*", "gpt", "gpt"),
        ("gpt-*-mini", "gpt-5-mini", "5"),
        ("gpt-*-mini", "gpt-mini", None),
        ("x/*", "x/", None),
        ("x/*", "y/gpt", None),
        ("x/*", "x/a/b", "a/b"),
        ("ab*ba", "aba", None),
    ],
)
def test_a_star_stands_for_what_is_between(pattern: str, text: str, star: str | None) -> None:
    assert captured(pattern, text) == star


def test_each_offer_becomes_a_model_with_all_that_the_star_says() -> None:
    config = _file(
        _star(context_tokens=32_000, price={"input": 1}, fallbacks=["spare"]),
        {"name": "spare", "deployments": [_place(base_url="https://b.example.com/v1")]},
    )
    found, probed_as = unfolded(config, _offers(config, "b", "a"))
    assert [model.name for model in found.models] == ["spare", "x/a", "x/b"]
    made = found.models[1]
    assert (made.context_tokens, made.fallbacks, made.price) == (32_000, ("spare",), config.models[0].price)
    assert (made.deployments[0].upstream_model, made.deployment_ids()) == ("a", ("x/a-1",))
    assert probed_as == {"x/a-1": "x/*-1", "x/b-1": "x/*-1"}
    assert [one.id for one in probed(config)] == ["x/*-1", "spare-1"]  # one question for all


def test_the_health_of_a_place_is_that_of_all_its_models() -> None:
    config = _file(_star())
    found, probed_as = unfolded(config, _offers(config, "a", "b"))
    notes = {"x/*-1": HealthNote(health="down", reason="why")}
    made = snapshot(found, notes, version=1, now=0.0, probed_as=probed_as)
    assert {(one.name, one.deployments[0].health, one.deployments[0].health_reason) for one in made.models} == {
        ("x/a", "down", "why"),
        ("x/b", "down", "why"),
    }


def test_what_is_written_down_comes_before_what_is_listed() -> None:
    config = _file(
        _star(),
        {"name": "x/a", "context_tokens": 7, "deployments": [_place()]},
        routes=[{"name": "x/b", "candidates": ["x/c"]}],
        aliases=[{"name": "x/d", "model": "x/c"}],
    )
    found = unfolded(config, _offers(config, "a", "b", "c", "d")).config
    assert [(model.name, model.context_tokens) for model in found.models] == [("x/a", 7), ("x/c", 8192)]


def test_the_longer_name_claims_and_skip_leaves_out() -> None:
    config = _file(_star(skip=["whisper-*", "*-preview"]), _star("x/embed-*", kind="embedding"))
    found = unfolded(config, _offers(config, "gpt", "embed-small", "whisper-1", "gpt-preview")).config
    assert {model.name: model.kind for model in found.models} == {"x/gpt": "chat", "x/embed-small": "embedding"}
    assert found.models[0].deployments[0].upstream_model == "embed-small"


def test_places_that_offer_the_same_are_deployments_of_one_model() -> None:
    near, far = _place(id="near-*"), _place(id="far", base_url="https://far.example.com/v1", upstream_model="org/*")
    config = _file({"name": "*", "deployments": [near, far]})
    offers = dict(
        zip(
            places(config),
            ((Offer(id="m", context_tokens=9000), Offer(id="n")), (Offer(id="org/m", context_tokens=5000),)),
            strict=True,
        )
    )
    found, probed_as = unfolded(config, offers)
    assert {model.name: model.deployment_ids() for model in found.models} == {
        "m": ("near-m", "far/m"),
        "n": ("near-n",),
    }
    assert found.models[0].context_tokens == 5000  # what each of them holds
    assert [one.upstream_model for one in found.models[0].deployments] == ["m", "org/m"]
    assert probed_as["far/m"] == "far"


def test_ids_that_are_no_names_are_passed_over() -> None:
    config = _file(_star())
    assert [model.name for model in unfolded(config, _offers(config, "a b", "é", "x" * 300, "fine")).config.models] == [
        "x/fine"
    ]


def test_routes_fallbacks_and_aliases_may_name_what_may_be_listed() -> None:
    config = _file(
        _star(),
        _star("y/*", kind="embedding"),
        {"name": "own", "fallbacks": ["x/later"], "deployments": [_place()]},
        routes=[{"name": "auto", "candidates": ["x/gpt", "own"]}],
        aliases=[{"name": "fast", "model": "x/gpt"}],
    )
    assert (config.routes[0].candidates, config.aliases[0].model) == (("x/gpt", "own"), "x/gpt")


@pytest.mark.parametrize(
    ("models", "sections", "said"),
    [
        ([_star()], {"routes": [{"name": "r", "candidates": ["x/*"]}]}, "names x/*, which is not defined"),
        ([_star()], {"routes": [{"name": "r", "candidates": ["z/gpt"]}]}, "names z/gpt, which is not defined"),
        ([_star(), _star("y/*", kind="embedding")], {"routes": [{"name": "r", "candidates": ["x/a", "y/b"]}]}, "mixes kinds: y/b is no chat model"),
        ([_star("x/*/*")], {}, "name may have one star"),
        ([_star("plain", skip=["a"])], {}, "skip is for models with a star"),
        ([_star(deployments=[_place(upstream_model="fixed")])], {}, "one star in upstream_model"),
        ([_star("plain", deployments=[_place(id="a*")])], {}, "has a star only where"),
        ([_star(deployments=[_place(provider="azure")])], {}, "provider 'azure' lists no models"),
    ],
)  # fmt: skip
def test_mistakes_are_told(models: list[dict[str, Any]], sections: dict[str, Any], said: str) -> None:
    with pytest.raises(ModelsFileError, match=said.replace("*", r"\*")):
        _file(*models, **sections)


def test_listings_of_engines_and_providers_are_read() -> None:
    place = Place.model_validate({"provider": "openai", "base_url": "https://a/v1", "auth": {}})
    answer = {
        "data": [
            {"id": "vllm", "max_model_len": 4096},
            {"id": "router", "context_length": 200_000, "top_provider": {"max_completion_tokens": 64_000}},
            {"id": "groq", "context_window": 131_072, "max_completion_tokens": 8192},
            {"id": "llama", "meta": {"n_ctx": 2048, "n_ctx_train": 8192}},
            {"id": "openai", "object": "model", "max_model_len": True},
            {"name": "nothing"},
            7,
        ]
    }
    offers, after = listed(place, answer)
    assert after is None
    assert [(one.id, one.context_tokens, one.max_output_tokens) for one in offers] == [
        ("vllm", 4096, None),
        ("router", 200_000, 64_000),
        ("groq", 131_072, 8192),
        ("llama", 2048, None),
        ("openai", None, None),
    ]
    assert page_address(place, None) == "https://a/v1/models"
    assert listed(place, [{"id": "bare"}]).offers == (Offer(id="bare"),)  # Together answers a list
    for wrong in ({"error": "x"}, "x", None, {"data": {"id": "x"}}):
        with pytest.raises(ValueError, match="no list of models"):
            listed(place, wrong)


def test_pages_of_anthropic_and_gemini_are_followed() -> None:
    claude = Place.model_validate({"provider": "anthropic", "base_url": "https://a/v1", "auth": {}})
    found = listed(claude, {"data": [{"id": "claude"}], "has_more": True, "last_id": "claude"})
    assert (found.after, page_address(claude, found.after)) == (
        "after_id=claude",
        "https://a/v1/models?limit=1000&after_id=claude",
    )
    gemini = Place.model_validate({"provider": "gemini", "base_url": "https://g/v1beta", "auth": {}})
    one = {
        "name": "models/gemini-x",
        "inputTokenLimit": 1000,
        "outputTokenLimit": 100,
        "supportedGenerationMethods": ["generateContent", "countTokens"],
    }
    embeds = {"name": "models/embed", "supportedGenerationMethods": ["embedContent"]}
    veo = {"name": "models/veo", "supportedGenerationMethods": ["predictLongRunning"]}
    offers, after = listed(gemini, {"models": [one, embeds, veo], "nextPageToken": "t"})
    assert offers == (
        Offer(id="gemini-x", context_tokens=1000, max_output_tokens=100, kinds=("chat",)),
        Offer(id="embed", kinds=("embedding",)),
    )
    assert (after, page_address(gemini, after)) == ("pageToken=t", "https://g/v1beta/models?pageSize=1000&pageToken=t")
    config = _file({"name": "g/*", "deployments": [{"provider": "gemini", "base_url": "https://g/v1beta"}]})
    assert [model.name for model in unfolded(config, dict.fromkeys(places(config), offers)).config.models] == [
        "g/gemini-x"
    ]
    assert MOST == 2000
