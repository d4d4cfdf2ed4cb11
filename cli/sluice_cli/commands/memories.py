"""`sluice memories`: what is remembered of an end user of the API key's tenant."""

from typing import Annotated, Any

import typer

from sluice.contracts.memories import MemoryKind
from sluice_cli.client import Gateway, every, path_of
from sluice_cli.documents import details_of
from sluice_cli.output import say, show_json, show_table
from sluice_cli.settings import CliSettings

app = typer.Typer(help="What is remembered of end users, from one conversation to the next.", no_args_is_help=True)
MemoryId = Annotated[str, typer.Argument(help="the memory's id")]
User = Annotated[str, typer.Argument(help="the end user, as your application names them")]
Kind = Annotated[MemoryKind | None, typer.Option(help="only of this kind")]
Metadata = Annotated[list[str] | None, typer.Option("--metadata", help="key=value; may be repeated")]
Days = Annotated[float | None, typer.Option("--days", help="forget it after so many days")]
_PATH = "/v1/memories"
_COLUMNS = ("id", "kind", "status", "content")


@app.command("list")
def list_memories(user: User, kind: Kind = None) -> None:
    """List what is remembered of a user, newest first."""
    query = {"user": user} | ({"kind": kind} if kind else {})
    rows = [[row[column] for column in _COLUMNS] for row in every(_gateway().user, _PATH, query)]
    show_table(_COLUMNS, rows, folded="content")


@app.command()
def add(
    user: User,
    content: Annotated[str, typer.Argument(help="what to remember, worded as a fact")],
    kind: Annotated[
        MemoryKind, typer.Option(help="facts; what was done and how it came out; how the user wants it")
    ] = "knowledge",
    metadata: Metadata = None,
    days: Days = None,
) -> None:
    """Remember something of a user; the same text of the same kind is remembered once."""
    body: dict[str, Any] = {"user": user, "content": content, "kind": kind, "metadata": details_of(metadata or [])}
    made = _gateway().user("POST", _PATH, json=body | ({"expires_after_days": days} if days is not None else {}))
    say(f"{made['id']} is remembered.")


@app.command()
def search(
    user: User,
    query: Annotated[str, typer.Argument(help="what to look for, by meaning and words")],
    kind: Annotated[
        list[str] | None, typer.Option(help="only of this kind (knowledge, experience, preference); may be repeated")
    ] = None,
    top_k: Annotated[int, typer.Option(min=1, max=20, help="how many at most")] = 5,
) -> None:
    """Find what is remembered of a user that fits a question best."""
    body: dict[str, Any] = {"user": user, "query": query, "top_k": top_k} | ({"kinds": kind} if kind else {})
    found = _gateway().user("POST", f"{_PATH}/search", json=body)["data"]
    rows = [[f"{one['score']:.4f}", *(one["memory"][name] for name in ("id", "kind", "content"))] for one in found]
    show_table(("score", "id", "kind", "content"), rows, folded="content")


@app.command()
def show(memory_id: MemoryId) -> None:
    """Show a memory, as JSON."""
    show_json(_gateway().user("GET", path_of(_PATH, memory_id)))


@app.command()
def change(
    memory_id: MemoryId,
    content: Annotated[str | None, typer.Option(help="what to remember in its place")] = None,
    kind: Annotated[MemoryKind | None, typer.Option(help="another kind")] = None,
    metadata: Metadata = None,
    days: Days = None,
) -> None:
    """Change a memory; what is left out stays as it is."""
    given = {
        "content": content,
        "kind": kind,
        "metadata": details_of(metadata) if metadata else None,
        "expires_after_days": days,
    }
    body = {name: value for name, value in given.items() if value is not None}
    show_json(_gateway().user("POST", path_of(_PATH, memory_id), json=body))


@app.command()
def forget(memory_id: MemoryId) -> None:
    """Forget one memory."""
    _gateway().user("DELETE", path_of(_PATH, memory_id))
    say(f"{memory_id} is forgotten.")


@app.command()
def purge(
    user: User,
    yes: Annotated[bool, typer.Option("--yes", help="do not ask")] = False,
) -> None:
    """Forget all that is remembered of a user, for good."""
    if not yes:
        typer.confirm(f"Forget all that is remembered of {user}?", abort=True)
    gone = _gateway().user("DELETE", _PATH, params={"user": user})
    say(f"{gone['deleted']} memories of {user} are forgotten.")


def _gateway() -> Gateway:
    return Gateway.from_settings(CliSettings())
