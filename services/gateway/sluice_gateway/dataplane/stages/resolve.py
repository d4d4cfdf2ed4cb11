"""Resolve: what the model name means for this key, and which plan the request follows."""

from typing import NamedTuple

from sluice.contracts.routing import ModelKind
from sluice_gateway.dataplane.body import ParsedBody
from sluice_gateway.dataplane.errors import InvalidRequest, NotPermitted, Unavailable, UnknownModel
from sluice_gateway.dataplane.plan import Plan
from sluice_gateway.dataplane.table import Endpoint, ModelEntry, RouteEntry, Table
from sluice_gateway.dataplane.texts import pieces, size
from sluice_gateway.domain.ports import KeyRecord

_PROMPTED = frozenset({"chat", "completion"})
_SERVED: dict[ModelKind, str] = {
    "chat": "/v1/chat/completions",
    "embedding": "/v1/embeddings",
    "rerank": "/v1/rerank",
    "image": "/v1/images/generations",
    "speech": "/v1/audio/speech",
    "transcription": "/v1/audio/transcriptions",
}


class Resolved(NamedTuple):
    """A model or a route (exactly one of them), and the plan."""

    model: ModelEntry | None
    route: RouteEntry | None
    plan: Plan


def resolve(table: Table, key: KeyRecord, endpoint: Endpoint, body: ParsedBody, raw_size: int) -> Resolved:
    """Return what answers the request.

    The policy is the key's if it has one, else the model's or route's. A request may name another one in
    `sluice.policy`: it adds protection and never takes any away.

    Raises:
        UnknownModel, NotPermitted, InvalidRequest, Unavailable: as the sentence says.
    """
    name = body.model
    if key.models is not None and name not in key.models:
        raise NotPermitted(
            f"This API key may not use the model `{shown(name)}`. GET /v1/models lists the models it may use.",
            param="model",
        )
    model = table.models.get(name)
    if model is not None:
        check_model(model, endpoint, body, raw_size)
        if key.policy is None and key.sampling is None and body.extension is None:
            return Resolved(model, None, model.plan)
        return Resolved(model, None, _plan(table, key, body, model))
    route = table.routes.get(name)
    if route is None:
        raise UnknownModel(
            f"The model `{shown(name)}` does not exist. GET /v1/models lists the models you can use.", param="model"
        )
    if not route.candidates or route.candidates[0].config.kind != endpoint.model_kind:
        raise _wrong_kind(name, route.candidates[0].config.kind if route.candidates else "chat", endpoint)
    if key.policy is None and key.sampling is None and body.extension is None:
        return Resolved(None, route, route.plan)
    return Resolved(None, route, _plan(table, key, body, route))


def check_model(model: ModelEntry, endpoint: Endpoint, body: ParsedBody, raw_size: int) -> None:
    """Refuse what this model cannot do.

    Raises:
        InvalidRequest: the wrong endpoint, more output tokens than the model gives, or a prompt that cannot fit.
    """
    if model.kind != endpoint.model_kind:
        raise _wrong_kind(model.name, model.kind, endpoint)
    most = model.most_output
    if most is not None and body.max_tokens is not None and body.max_tokens > most:
        raise InvalidRequest(
            f"`max_tokens` is {body.max_tokens}; {model.name} gives at most {most}. Lower it.",
            param="max_tokens",
            code="invalid_value",
        )
    # The upstream counts exactly; this only spares it what no tokenizer could make fit.
    # A chain for prompts that are too long begins where the upstream says so.
    if raw_size > model.prompt_limit_bytes and not model.on.get("context") and endpoint.kind in _PROMPTED:
        length = size(pieces(body.fields, endpoint.kind))
        if length > model.prompt_limit_bytes:
            raise InvalidRequest(
                f"The prompt has {length} bytes of text; {model.name} reads at most "
                f"{model.config.context_tokens} tokens. Shorten it.",
                param="messages" if endpoint.kind == "chat" else "prompt",
                code="context_length_exceeded",
            )


def open_to(key: KeyRecord, models: tuple[ModelEntry, ...]) -> tuple[ModelEntry, ...]:
    """Return those fallbacks that the key may use."""
    return models if key.models is None else tuple(entry for entry in models if entry.name in key.models)


def shown(name: str) -> str:
    """Return a caller's model name as it may stand in a message."""
    return name if len(name) <= 80 else name[:77] + "…"


def _plan(table: Table, key: KeyRecord, body: ParsedBody, entry: ModelEntry | RouteEntry) -> Plan:
    base = entry.policy
    if key.policy is not None:
        base = table.policy(key.policy)
        if base is None:
            raise Unavailable(
                "The policy of this API key does not exist any more. Ask your administrator to correct it."
            )
    added = None
    extension = body.extension
    if extension is not None and extension.policy is not None:
        added = table.policy(extension.policy)
        if added is None:
            raise InvalidRequest(
                f"There is no policy `{shown(extension.policy)}`. Leave `sluice.policy` out to use the model's own.",
                param="sluice.policy",
                code="policy_not_found",
            )
    retrieval = extension is not None and extension.retrieval is not None
    plan = table.plan(base, added, virtual=isinstance(entry, RouteEntry), retrieval=retrieval, own=key.sampling)
    return plan if extension is None or extension.sampling is None else plan.waiting()


def _wrong_kind(name: str, kind: ModelKind, endpoint: Endpoint) -> InvalidRequest:
    return InvalidRequest(
        f"The model `{shown(name)}` does not serve {endpoint.path}. Use POST {_SERVED[kind]} with it, or another model.",
        param="model",
        code="model_not_supported",
    )
