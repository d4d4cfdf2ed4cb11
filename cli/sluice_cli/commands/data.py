"""`sluice search` and `feedback`."""

from typing import Annotated, Any

import typer

from sluice.contracts.searching import RerankMethod, SearchMode
from sluice_cli.client import Gateway, path_of
from sluice_cli.documents import details_of
from sluice_cli.output import show_json, show_table
from sluice_cli.platform.errors import CommandFailed
from sluice_cli.settings import CliSettings


def search(
    store_id: Annotated[str, typer.Argument(help="the vector store's id")],
    query: Annotated[str, typer.Argument(help="what to look for")],
    top_k: Annotated[int, typer.Option(min=1, max=50, help="how many chunks")] = 5,
    mode: Annotated[SearchMode, typer.Option(help="how to rank")] = "hybrid",
    rerank: Annotated[RerankMethod, typer.Option(help="rank the best anew")] = "none",
    parent_tokens: Annotated[
        int | None, typer.Option("--parent", min=16, max=4096, help="give up to so many tokens around each chunk")
    ] = None,
    where: Annotated[
        list[str] | None, typer.Option("--where", help="key=value that the metadata must have; may be repeated")
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="print the answer as JSON, explained")] = False,
) -> None:
    """Find the chunks of a vector store that match best."""
    gateway = Gateway.from_settings(CliSettings())
    asked: dict[str, Any] = {"query": query, "top_k": top_k, "mode": mode, "rerank": rerank, "explain": as_json}
    if parent_tokens is not None:
        asked["parent"] = {"max_tokens": parent_tokens}
    equal = [{"type": "eq", "key": key, "value": value} for key, value in details_of(where or [], "--where").items()]
    if equal:
        asked["filters"] = {"type": "and", "filters": equal}
    found = gateway.user("POST", path_of("/v1/vector_stores", store_id, "search"), json=asked)
    if as_json:
        show_json(found)
        return
    show_table(
        ("score", "source", "heading", "text"),
        [
            (f"{hit['score']:.4f}", hit["source"], hit.get("heading"), " ".join(hit["text"].split())[:200])
            for hit in found["data"]
        ],
        folded="text",
    )


def feedback(
    interaction_id: Annotated[str, typer.Argument(help="the request id of the answer")],
    thumbs: Annotated[str | None, typer.Option(help="up or down")] = None,
    rating: Annotated[int | None, typer.Option(min=1, max=5, help="1 to 5")] = None,
    text: Annotated[str | None, typer.Option(help="what you think of it")] = None,
    correction: Annotated[str | None, typer.Option(help="what the answer should have been")] = None,
) -> None:
    """Say something about an answer."""
    given = {"thumbs": thumbs, "rating": rating, "text": text, "correction": correction}
    chosen = {name: value for name, value in given.items() if value is not None}
    if len(chosen) != 1:
        raise CommandFailed("Give exactly one of --thumbs, --rating, --text and --correction.")
    body: dict[str, Any] = {"interaction_id": interaction_id, "feedback_type": next(iter(chosen)), **chosen}
    show_json(Gateway.from_settings(CliSettings()).user("POST", "/v1/feedback", json=body))
