"""GET /v1/models: the models and routes that a key may use, with Anthropic's fields for Anthropic's clients."""

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any
from urllib.parse import parse_qsl

import orjson

from sluice_gateway.dataplane.asgi import Headers, Scope, Send
from sluice_gateway.dataplane.context import read_heads
from sluice_gateway.dataplane.errors import ApiError, UnknownModel, WrongMethod, starting, wrong_value
from sluice_gateway.dataplane.sending import refuse, send_json
from sluice_gateway.dataplane.stages.authenticate import authenticate
from sluice_gateway.dataplane.stages.resolve import shown
from sluice_gateway.dataplane.table import CHAT, ModelEntry, RouteEntry, Table
from sluice_gateway.domain.ports import KeyRecord, KeyRing
from sluice_gateway.translate.shapes import Embedding

MODELS = "/v1/models"
_MOST_ROWS = 1000
_COUNTING = frozenset({"llamacpp", "vllm"})
_PATHS = {
    "embedding": "embeddings",
    "rerank": "rerank",
    "image": "images/generations",
    "speech": "audio/speech",
    "transcription": "audio/transcriptions",
}


async def tell(keys: KeyRing, table: Table | None, path: str, scope: Scope, send: Send, now: float) -> int:
    """Answer a request below `/v1/models`, and return the status."""
    heads = read_heads(scope["headers"])
    headers: Headers = [(b"x-request-id", heads.request_id.encode())]
    try:
        key = authenticate(keys, heads.authorization, now, "read")
        query, anthropic = scope.get("query_string", b""), bool(heads.anthropic)
        await send_json(send, 200, headers, listed(table, key, path, scope["method"], query=query, anthropic=anthropic))
    except ApiError as exc:
        await refuse(send, CHAT, exc, headers)
        return exc.status
    return 200


def listed(
    table: Table | None, key: KeyRecord, path: str, method: str, *, query: bytes = b"", anthropic: bool = False
) -> bytes:
    """Return what a request below `/v1/models` is answered with; `anthropic` adds the fields that Anthropic's clients read, and their pages.

    Raises:
        WrongMethod, UnknownModel, InvalidRequest, Unavailable: as the sentence says.
    """
    if method not in ("GET", "HEAD"):
        raise WrongMethod(f"{MODELS} takes GET requests only.", headers=((b"allow", b"GET, HEAD"),))
    if table is None:
        raise starting()
    if path in (MODELS, MODELS + "/"):
        return list_models(table, key, query=query, anthropic=anthropic)
    return one_model(table, key, path[len(MODELS) + 1 :], anthropic=anthropic)


def list_models(table: Table, key: KeyRecord, *, query: bytes = b"", anthropic: bool = False) -> bytes:
    """Return the list as JSON, in OpenAI's shape; it is one page, or for Anthropic's clients the one that they ask for.

    Raises:
        InvalidRequest: there is no such page.
    """
    entries: dict[str, ModelEntry | RouteEntry] = {**table.models, **table.routes}
    rows = [
        _row(entry, name, table, anthropic=anthropic) for name, entry in entries.items() if _may_use(key, name, entry)
    ]
    found: dict[str, Any] = {"object": "list", "data": rows}
    if anthropic:
        rows, more = _page(rows, dict(parse_qsl(query.decode("latin-1"))))
        ends = (rows[0]["id"], rows[-1]["id"]) if rows else (None, None)
        found |= {"data": rows, "has_more": more, "first_id": ends[0], "last_id": ends[1]}
    return orjson.dumps(found)


def _page(rows: list[dict[str, Any]], asked: Mapping[str, str]) -> tuple[list[dict[str, Any]], bool]:
    # As Anthropic's lists have them: `limit` rows after or before one, and whether more are in that direction.
    said, after, before = asked.get("limit"), asked.get("after_id"), asked.get("before_id")
    if said is not None and not (said.isdecimal() and len(said) < 5 and 1 <= int(said) <= _MOST_ROWS):
        raise wrong_value("limit", f"must be a whole number from 1 to {_MOST_ROWS}.")
    if after is not None and before is not None:
        raise wrong_value("before_id", "does not go together with `after_id`.")
    limit, ids = len(rows) if said is None else int(said), [row["id"] for row in rows]
    for name, cursor in (("after_id", after), ("before_id", before)):
        if cursor is not None and cursor not in ids:
            raise wrong_value(name, "names no model of this list.")
    if before is not None:
        end = ids.index(before)
        begin = max(0, end - limit)
        return rows[begin:end], begin > 0
    begin = 0 if after is None else ids.index(after) + 1
    return rows[begin : begin + limit], begin + limit < len(rows)


def one_model(table: Table, key: KeyRecord, name: str, *, anthropic: bool = False) -> bytes:
    """Return one model as JSON.

    Raises:
        UnknownModel: there is none of that name, or none for this key.
    """
    entry = table.models.get(name) or table.routes.get(name)
    if entry is None or not _may_use(key, name, entry):
        raise UnknownModel(
            f"The model `{shown(name)}` does not exist. GET /v1/models lists the models you can use.", param="model"
        )
    return orjson.dumps(_row(entry, name, table, anthropic=anthropic))


def endpoints_of(entry: ModelEntry) -> list[str]:
    """Return the paths that a model serves: its kind's, as far as one of its deployments speaks an API that has them."""
    translated = [state.provider is not None for state in entry.deployments]
    if entry.config.kind != "chat":
        embeds = entry.config.kind == "embedding"
        serves = (one.provider is None or (embeds and isinstance(one.provider, Embedding)) for one in entry.deployments)
        return [f"/v1/{_PATHS[entry.config.kind]}"] if any(serves) else []
    found = ["/v1/chat/completions", "/v1/messages", "/v1/responses"]
    if not all(translated):
        found.append("/v1/completions")
    if any(translated) or any(state.config.provider in _COUNTING for state in entry.deployments):
        found += ("/v1/messages/count_tokens", "/v1/responses/input_tokens")
    return found


def _may_use(key: KeyRecord, name: str, entry: ModelEntry | RouteEntry) -> bool:
    if key.models is not None and name not in key.models:
        return False
    if key.regions is None:
        return True
    models = entry.made_of if isinstance(entry, RouteEntry) else (entry,)
    return any(model.open_to(key.regions) for model in models)


def _row(entry: ModelEntry | RouteEntry, name: str, table: Table, *, anthropic: bool) -> dict[str, Any]:
    row = _described(entry)
    if name in table.aliases:
        row["id"] = name
        row["sluice"]["alias_of"] = table.aliases[name]
    if not anthropic:
        return row
    created_at = datetime.fromtimestamp(row["created"], UTC).isoformat()
    row |= {"type": "model", "display_name": name, "created_at": created_at}
    if isinstance(entry, ModelEntry):
        row |= {"max_input_tokens": entry.config.context_tokens, "max_tokens": entry.config.max_output_tokens}
    return row


def _described(entry: ModelEntry | RouteEntry) -> dict[str, Any]:
    if isinstance(entry, RouteEntry):
        extra: dict[str, Any] = {"kind": "route", "candidates": [candidate.name for candidate in entry.candidates]}
        return {"id": entry.name, "object": "model", "created": 0, "owned_by": "sluice", "sluice": extra}
    config = entry.config
    extra = {
        "kind": config.kind,
        "context_tokens": config.context_tokens,
        "max_output_tokens": config.max_output_tokens,
        "embedding_dimensions": config.embedding_dimensions,
        "price": config.price.model_dump(exclude_none=True) if config.price is not None else None,
        "input_modalities": config.input_modalities,
        "output_modalities": config.output_modalities,
        "capabilities": config.capabilities,
        "endpoints": endpoints_of(entry),
    }
    return {
        "id": config.name,
        "object": "model",
        "created": config.created,
        "owned_by": config.owned_by,
        "sluice": extra,
    }
