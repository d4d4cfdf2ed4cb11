"""`sluice responses` and `sluice conversations`: what /v1/responses keeps, of the API key's tenant; and its erasure by an administrator."""

from typing import Annotated, Any

import typer

from sluice_cli.client import Gateway, every, path_of
from sluice_cli.moments import moment
from sluice_cli.output import say, show_json
from sluice_cli.platform.errors import CommandFailed
from sluice_cli.settings import CliSettings

responses = typer.Typer(help="Kept responses, and the erasure of all that is kept.", no_args_is_help=True)
conversations = typer.Typer(help="Conversations that requests to /v1/responses add to.", no_args_is_help=True)
_WHEN = "a day or time such as 2027-01-01 or 2027-01-01T08:00+01:00 (UTC without a zone), or unix seconds"
ResponseId = Annotated[str, typer.Argument(help="the response's id")]
ConversationId = Annotated[str, typer.Argument(help="the conversation's id")]


@responses.command("show")
def show_response(response_id: ResponseId) -> None:
    """Show a response as it was answered, or how far one in the background is, as JSON."""
    show_json(_gateway().user("GET", path_of("/v1/responses", response_id)))


@responses.command("input")
def show_input(response_id: ResponseId) -> None:
    """Show the items that a response answers, with the conversation before it, oldest first, as JSON."""
    show_json(list(every(_gateway().user, path_of("/v1/responses", response_id, "input_items"), {"order": "asc"})))


@responses.command("delete")
def delete_response(response_id: ResponseId) -> None:
    """Erase a response with its input."""
    _gateway().user("DELETE", path_of("/v1/responses", response_id))
    say(f"{response_id} is deleted.")


@responses.command("cancel")
def cancel_response(response_id: ResponseId) -> None:
    """Cancel a response in the background; one that has ended stays as it is."""
    found = _gateway().user("POST", path_of("/v1/responses", response_id, "cancel"))
    say(f"{response_id} is {found['status']}.")


@responses.command()
def erase(
    tenant: Annotated[str | None, typer.Option(help="of this tenant only")] = None,
    key: Annotated[str | None, typer.Option(help="of this key only, by its id")] = None,
    since: Annotated[str | None, typer.Option("--from", help=f"from then on: {_WHEN}")] = None,
    until: Annotated[str | None, typer.Option("--to", help=f"before then: {_WHEN}")] = None,
) -> None:
    """Erase all kept responses and conversations that match (administrator)."""
    query: dict[str, Any] = {name: value for name, value in (("tenant", tenant), ("key_id", key)) if value is not None}
    for name, option, text in (("from", "--from", since), ("to", "--to", until)):
        if text is not None:
            query[name] = moment(option, text)
    if not query:
        raise CommandFailed("Say which: --tenant, --key, --from or --to.")
    gone = _gateway().admin("DELETE", "/admin/responses", params=query)
    say(f"{gone['deleted']} responses and {gone['conversations']} conversations are deleted.")


@conversations.command("show")
def show_conversation(conversation_id: ConversationId) -> None:
    """Show a conversation with its items, oldest first, as JSON."""
    path = path_of("/v1/conversations", conversation_id)
    found = _gateway().user("GET", path)
    show_json({**found, "items": list(every(_gateway().user, f"{path}/items", {"order": "asc"}))})


@conversations.command("delete")
def delete_conversation(conversation_id: ConversationId) -> None:
    """Erase a conversation with its items; responses that were kept beside it stay."""
    _gateway().user("DELETE", path_of("/v1/conversations", conversation_id))
    say(f"{conversation_id} is deleted.")


def _gateway() -> Gateway:
    return Gateway.from_settings(CliSettings())
