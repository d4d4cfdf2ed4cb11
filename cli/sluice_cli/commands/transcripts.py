"""`sluice transcripts`: what was asked and answered, where a policy keeps it."""

from datetime import UTC, datetime
from itertools import islice
from typing import Annotated, Any

import typer

from sluice_cli.client import Gateway, every, path_of
from sluice_cli.moments import moment
from sluice_cli.output import say, show_json, show_table
from sluice_cli.platform.errors import CommandFailed
from sluice_cli.settings import CliSettings

app = typer.Typer(help="What was asked and answered, where a policy keeps it (administrator).", no_args_is_help=True)
_COLUMNS = ("id", "at", "tenant", "key_id", "end_user", "endpoint", "model", "status", "redacted")
_WHEN = "a day or time such as 2027-01-01 or 2027-01-01T08:00+01:00 (UTC without a zone), or unix seconds"
Tenant = Annotated[str | None, typer.Option(help="of this tenant only")]
Key = Annotated[str | None, typer.Option(help="of this key only, by its id")]
EndUser = Annotated[str | None, typer.Option(help="of this end user only")]
Model = Annotated[str | None, typer.Option(help="of this model only")]
From = Annotated[str | None, typer.Option("--from", help=f"from then on: {_WHEN}")]
To = Annotated[str | None, typer.Option("--to", help=f"before then: {_WHEN}")]


@app.command("list")
def list_transcripts(
    tenant: Tenant = None,
    key: Key = None,
    end_user: EndUser = None,
    model: Model = None,
    since: From = None,
    until: To = None,
    count: Annotated[int, typer.Option("--limit", min=1, help="how many at most")] = 50,
    as_json: Annotated[bool, typer.Option("--json", help="print JSON")] = False,
) -> None:
    """List transcripts, newest first, without what was said."""
    query = _query(tenant, key, end_user, model, since, until)
    found = list(islice(every(_gateway().admin, "/admin/transcripts", query), count))
    if as_json:
        show_json(found)
        return
    for row in found:
        row["at"] = datetime.fromtimestamp(row["at"], UTC).isoformat(sep=" ", timespec="seconds")
    show_table(_COLUMNS, [[row.get(column) for column in _COLUMNS] for row in found])


@app.command()
def show(
    transcript_id: Annotated[str, typer.Argument(help="the transcript's id, or its request's x-request-id")],
) -> None:
    """Show what was asked and answered, as JSON."""
    show_json(_gateway().admin("GET", path_of("/admin/transcripts", transcript_id)))


@app.command()
def delete(
    tenant: Tenant = None,
    key: Key = None,
    end_user: EndUser = None,
    model: Model = None,
    since: From = None,
    until: To = None,
) -> None:
    """Delete all transcripts that match, such as those of an end user."""
    query = _query(tenant, key, end_user, model, since, until)
    if not query:
        raise CommandFailed("Say which transcripts: --tenant, --key, --end-user, --model, --from or --to.")
    say(f"{_gateway().admin('DELETE', '/admin/transcripts', params=query)['deleted']} transcripts are deleted.")


def _gateway() -> Gateway:
    return Gateway.from_settings(CliSettings())


def _query(
    tenant: str | None, key: str | None, end_user: str | None, model: str | None, since: str | None, until: str | None
) -> dict[str, Any]:
    given = {"tenant": tenant, "key_id": key, "end_user": end_user, "model": model}
    found: dict[str, Any] = {name: value for name, value in given.items() if value is not None}
    times = (("from", "--from", since), ("to", "--to", until))
    return found | {name: moment(option, text) for name, option, text in times if text is not None}
