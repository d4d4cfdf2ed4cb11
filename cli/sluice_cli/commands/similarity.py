"""`sluice similarity`: how alike texts are."""

from pathlib import Path
from typing import Annotated, Any

import typer

from sluice.contracts.vector_ranking import VectorMetric
from sluice_cli.client import Gateway
from sluice_cli.output import show_table
from sluice_cli.platform.errors import CommandFailed
from sluice_cli.settings import CliSettings

_MOST = 1000


def similarity(
    source: Annotated[str, typer.Argument(help="the text to compare with")],
    targets: Annotated[list[str] | None, typer.Argument(help="the texts to compare")] = None,
    file: Annotated[
        Path | None, typer.Option("--file", exists=True, dir_okay=False, help="a file with a text on each line, too")
    ] = None,
    metric: Annotated[VectorMetric, typer.Option(help="how vectors are compared")] = "cosine",
    model: Annotated[str | None, typer.Option(help="an embedding model; without it the one in use")] = None,
) -> None:
    """Say how alike texts are by meaning, the most alike first."""
    texts = [*(targets or ()), *(_lines(file) if file is not None else ())]
    if not texts:
        raise CommandFailed("Name the texts to compare after the first one, or a file of them with --file.")
    gateway = Gateway.from_settings(CliSettings())
    found: list[dict[str, Any]] = []
    for at in range(0, len(texts), _MOST):
        body = {"source": source, "targets": texts[at : at + _MOST], "metric": metric, "model": model}
        answer = gateway.user("POST", "/v1/similarity", json=body)["data"]
        found += [{**one, "text": texts[at + one["index"]]} for one in answer]
    found.sort(key=lambda one: -one["score"])
    show_table(("score", "text"), [[f"{one['score']:.4f}", one["text"]] for one in found], folded="text")


def _lines(file: Path) -> list[str]:
    try:
        return [line for line in file.read_text(encoding="utf-8").splitlines() if line.strip()]
    except UnicodeDecodeError as exc:
        raise CommandFailed(f"{file} is not UTF-8 text.") from exc
