"""Models that stand for all that a provider offers: `openai/*` becomes a model for each id that the provider lists.

The shapes of listings: https://platform.openai.com/docs/api-reference/models/list (and what vLLM, llama.cpp, Groq, Mistral, Together and
OpenRouter add to it), https://docs.anthropic.com/en/api/models-list, https://ai.google.dev/api/models#method:-models.list.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from fnmatch import fnmatchcase
from types import MappingProxyType
from typing import Any, NamedTuple

from pydantic import BaseModel, ConfigDict, TypeAdapter, ValidationError

from sluice.contracts.routing import DeploymentAuth, ModelKind
from sluice_router.domain.config import DeploymentConfig, ModelConfig, ModelsFile, Name, ProviderName, with_ids
from sluice_router.domain.references import STAR, captured

MOST = 2000  # of one place
_NAME = TypeAdapter(Name)
_CONTEXTS = (
    "max_model_len",
    "context_length",
    "context_window",
    "max_context_length",
    "max_input_tokens",
    "inputTokenLimit",
)
_ANSWERS = ("max_completion_tokens", "max_output_tokens", "outputTokenLimit")
_GEMINI_DOES: Mapping[ModelKind, str] = {"chat": "generateContent", "embedding": "embedContent"}
_GEMINI_PREFIX = "models/"


class Place(BaseModel):
    """Where models are listed: what of a deployment says whom to ask, and with which key."""

    model_config = ConfigDict(frozen=True)

    provider: ProviderName
    base_url: str
    auth: DeploymentAuth

    @classmethod
    def of(cls, deployment: DeploymentConfig) -> "Place":
        """Return the place of a deployment."""
        auth = DeploymentAuth.model_validate(deployment.auth.model_dump())
        return cls(provider=deployment.provider, base_url=deployment.base_url.rstrip("/"), auth=auth)


class Offer(BaseModel):
    """One model that a place lists, and what the list says of it: sizes in tokens, and which kinds it is said to be (none: nothing is said)."""

    model_config = ConfigDict(frozen=True)

    id: str
    context_tokens: int | None = None
    max_output_tokens: int | None = None
    kinds: tuple[ModelKind, ...] = ()


class Listed(NamedTuple):
    """One page of a listing, and the parameter of the address of the next one."""

    offers: tuple[Offer, ...]
    after: str | None


class Unfolded(NamedTuple):
    """A configuration in which each model with a star gave way to what its places offer.

    `probed_as` says by which deployment's probes the health of a deployment is known, where they are not its own.
    """

    config: ModelsFile
    probed_as: Mapping[str, str] = MappingProxyType({})


def stars(config: ModelsFile) -> tuple[ModelConfig, ...]:
    """Return the models that stand for many."""
    return tuple(model for model in config.models if STAR in model.name)


def places(config: ModelsFile) -> tuple[Place, ...]:
    """Return where to ask for models, each place once."""
    return tuple(dict.fromkeys(Place.of(one) for model in stars(config) for one in model.deployments))


def unfolded(config: ModelsFile, offers: Mapping[Place, Sequence[Offer]]) -> Unfolded:
    """Return the configuration with a model for each offer; of two that claim a name the one with the longer name of its own has it.

    A name that the configuration gives to something else stays that.
    """
    many = stars(config)
    if not many:
        return Unfolded(config)
    plain = tuple(model for model in config.models if STAR not in model.name)
    taken = {*(m.name for m in plain), *(r.name for r in config.routes), *(a.name for a in config.aliases)}
    ids = {deployment_id for model in plain for deployment_id in model.deployment_ids()}
    made: list[ModelConfig] = []
    probed_as: dict[str, str] = {}
    for model in sorted(many, key=lambda one: -len(one.name)):
        mine = sorted(_of(model, offers), key=lambda one: one.model.name)
        for one in mine:
            own = one.model.deployment_ids()
            if one.model.name in taken or not ids.isdisjoint(own) or not all(map(_is_name, (one.model.name, *own))):
                continue
            taken.add(one.model.name)
            ids.update(own)
            made.append(one.model)
            probed_as |= dict(zip(own, one.probed, strict=True))
    return Unfolded(config.model_copy(update={"models": (*plain, *made)}), probed_as)


class _Made(NamedTuple):
    model: ModelConfig
    probed: tuple[str, ...]  # the deployments of the model with the star, in the order of its own


def _of(model: ModelConfig, offers: Mapping[Place, Sequence[Offer]]) -> Iterator[_Made]:
    found: dict[str, list[tuple[str, DeploymentConfig, Offer]]] = {}
    for deployment_id, place in with_ids(model):
        pattern = place.upstream_model or model.name.rpartition("/")[2]
        for offer in offers.get(Place.of(place), ()):
            star = captured(pattern, offer.id)
            if star is None or (offer.kinds and model.kind not in offer.kinds):
                continue
            if any(fnmatchcase(offer.id, skipped) for skipped in model.skip):
                continue
            there = found.setdefault(model.name.replace(STAR, star), [])
            if all(known != deployment_id for known, _, _ in there):
                own_id = _own_id(place.id, star) if place.id else None
                there.append(
                    (deployment_id, place.model_copy(update={"id": own_id, "upstream_model": offer.id}), offer)
                )
    for name, many in found.items():
        sizes = {
            "context_tokens": _least(offer.context_tokens for _, _, offer in many),
            "max_output_tokens": _least(offer.max_output_tokens for _, _, offer in many),
        }
        said = {key: size for key, size in sizes.items() if size is not None}
        if said.get("context_tokens", model.context_tokens) < said.get("max_output_tokens", 0):
            del said["max_output_tokens"]
        changed = {"name": name, "skip": (), "deployments": tuple(place for _, place, _ in many), **said}
        yield _Made(model.model_copy(update=changed), tuple(deployment_id for deployment_id, _, _ in many))


def _own_id(deployment_id: str, star: str) -> str:
    return deployment_id.replace(STAR, star) if STAR in deployment_id else f"{deployment_id}/{star}"


def _least(sizes: Iterable[int | None]) -> int | None:
    return min((size for size in sizes if size is not None), default=None)


def _is_name(text: str) -> bool:
    try:
        _NAME.validate_python(text)
    except ValidationError:
        return False
    return True


def page_address(place: Place, after: str | None) -> str:
    """Return the address of a page of a place's listing."""
    whole = {"anthropic": "?limit=1000", "gemini": "?pageSize=1000"}.get(place.provider, "")
    address = f"{place.base_url}/models{whole}"
    return address if after is None else f"{address}{'&' if whole else '?'}{after}"


def listed(place: Place, answer: Any) -> Listed:
    """Read one page of a listing; an entry that makes no sense is passed over.

    Raises:
        ValueError: it is no listing.
    """
    many = answer.get("models" if place.provider == "gemini" else "data") if isinstance(answer, dict) else answer
    if not isinstance(many, list):
        raise ValueError("it is no list of models")  # noqa: TRY004 - what came is wrong, not who called
    read = _of_gemini if place.provider == "gemini" else _of_openai
    found = (read(one) for one in many if isinstance(one, dict))
    after = None
    if place.provider == "gemini" and answer.get("nextPageToken"):
        after = f"pageToken={answer['nextPageToken']}"
    elif place.provider == "anthropic" and answer.get("has_more") and answer.get("last_id"):
        after = f"after_id={answer['last_id']}"
    return Listed(tuple(offer for offer in found if offer is not None), after)


def _of_openai(one: dict[str, Any]) -> Offer | None:
    if not isinstance(one.get("id"), str) or not one["id"]:
        return None
    deeper = [inner for key in ("meta", "top_provider", "limits") if isinstance(inner := one.get(key), dict)]
    within = (one, *deeper)
    return Offer(
        id=one["id"], context_tokens=_size(within, (*_CONTEXTS, "n_ctx")), max_output_tokens=_size(within, _ANSWERS)
    )


def _of_gemini(one: dict[str, Any]) -> Offer | None:
    name, does = one.get("name"), one.get("supportedGenerationMethods")
    if not isinstance(name, str) or not isinstance(does, list):
        return None
    kinds = tuple(kind for kind, method in _GEMINI_DOES.items() if method in does)
    if not kinds:
        return None  # it is nothing that Sluice serves
    sizes = {"context_tokens": _size((one,), _CONTEXTS), "max_output_tokens": _size((one,), _ANSWERS)}
    return Offer(id=name.removeprefix(_GEMINI_PREFIX), kinds=kinds, **sizes)


def _size(within: Iterable[dict[str, Any]], names: Sequence[str]) -> int | None:
    for one in within:
        for name in names:
            size = one.get(name)
            if isinstance(size, int) and not isinstance(size, bool) and size > 0:
                return size
    return None
