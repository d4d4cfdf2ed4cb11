"""`sluice reviews`: what people should look at, and what they decide."""

from datetime import UTC, datetime
from itertools import islice
from typing import Annotated, Literal

import typer

from sluice_cli.client import Gateway, every, path_of
from sluice_cli.output import show_json, show_table
from sluice_cli.settings import CliSettings

app = typer.Typer(
    help="What people should look at: bad feedback, and answers that a guard policy calls critical.",
    no_args_is_help=True,
)
_COLUMNS = ("id", "at", "reason", "issues", "interaction_id", "status", "decision", "reviewer")
Reason = Literal["negative_thumbs", "low_rating", "critical_answer"]
Decision = Literal["approved", "rejected", "corrected"]
Cause = Literal["missing_context", "interpolation", "overconfidence", "training_bias", "undetermined"]


@app.command("list")
def list_reviews(
    status: Annotated[Literal["open", "done", "all"], typer.Option(help="open, done or all")] = "open",
    reason: Annotated[Reason | None, typer.Option(help="of this reason only")] = None,
    count: Annotated[int, typer.Option("--limit", min=1, help="how many at most")] = 50,
    as_json: Annotated[bool, typer.Option("--json", help="print JSON")] = False,
) -> None:
    """List reviews, newest first."""
    query = {"status": None if status == "all" else status, "reason": reason}
    wanted = {name: value for name, value in query.items() if value is not None}
    found = list(islice(every(Gateway.from_settings(CliSettings()).user, "/v1/feedback/reviews", wanted), count))
    if as_json:
        show_json(found)
        return
    for row in found:
        row["at"] = datetime.fromtimestamp(row["created_at"], UTC).isoformat(sep=" ", timespec="seconds")
        row["issues"] = ", ".join(row.get("issues", ()))
    show_table(_COLUMNS, [[row.get(column) for column in _COLUMNS] for row in found])


@app.command()
def close(
    review_id: Annotated[str, typer.Argument(help="the review's id")],
    decision: Annotated[Decision | None, typer.Option(help="what becomes of the answer")] = None,
    cause: Annotated[Cause | None, typer.Option(help="of a hallucination: whence it comes")] = None,
    note: Annotated[str | None, typer.Option(help="what was found")] = None,
) -> None:
    """Say that a person has looked at it, and what was found."""
    said = {"decision": decision, "cause": cause, "note": note}
    body = {name: value for name, value in said.items() if value is not None}
    show_json(
        Gateway.from_settings(CliSettings()).user(
            "POST", path_of("/v1/feedback/reviews", review_id, "close"), json=body
        )
    )
