"""`sluice embeddings`: the embedding models, and how far a change from one to another is."""

from datetime import UTC, datetime
from typing import Annotated

import typer

from sluice_cli.client import Gateway
from sluice_cli.output import say, show_json, show_table

_COLUMNS = ("model", "numbers", "status", "since", "documents")


def embeddings(
    url: Annotated[str, typer.Option(help="the retrieval service; else that of the platform of this machine")] = "",
    as_json: Annotated[bool, typer.Option("--json", help="print JSON")] = False,
) -> None:
    """Show the embedding models, whose vectors answer searches, and how far a change to another model is."""
    found = Gateway.of_service("retrieval", url).admin("GET", "/v1/embedding_models")
    if as_json:
        show_json(found)
        return
    show_table(
        _COLUMNS,
        [
            (
                one["id"],
                one["dimensions"],
                one["status"],
                datetime.fromtimestamp(one["since"], UTC).strftime("%Y-%m-%d %H:%M:%SZ") if one["since"] else "",
                "" if one["documents"] is None else f"{one['documents']} of {one['documents_total']}",
            )
            for one in found["data"]
        ],
    )
    for one in found["data"]:
        if one["error"]:
            say(f"{one['id']}: {one['error']}")
