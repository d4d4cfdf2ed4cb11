"""`sluice chat` and `trace`, and the list of `sluice models`."""

from typing import Annotated

import typer
from openai import OpenAI, OpenAIError

from sluice_cli.client import Gateway
from sluice_cli.output import say, show_json, show_table, visible
from sluice_cli.platform.errors import CommandFailed
from sluice_cli.platform.home import Home
from sluice_cli.settings import CliSettings
from sluice_cli.traces import load, tree


def chat(
    message: Annotated[str, typer.Argument(help="what to say")],
    model: Annotated[str, typer.Option(help="a model's or route's name")] = "auto",
    store: Annotated[
        list[str] | None, typer.Option(help="id of a vector store to answer from; repeat for several")
    ] = None,
    max_tokens: Annotated[int, typer.Option(min=1, help="longest answer in tokens")] = 256,
) -> None:
    """Ask one question and print the answer as it comes, with its sources."""
    gateway = Gateway.from_settings(CliSettings())
    extra = {"sluice": {"retrieval": {"vector_store_ids": store}}} if store else {}
    client = OpenAI(base_url=f"{gateway.url}/v1", api_key=gateway.api_key or "none", max_retries=0)
    try:
        with client.chat.completions.with_streaming_response.create(
            model=model,
            messages=[{"role": "user", "content": message}],
            stream=True,
            max_tokens=max_tokens,
            extra_body=extra,
        ) as raw:
            request_id = raw.headers.get("x-request-id", "")
            citations: list[dict[str, object]] = []
            for chunk in raw.parse():
                if chunk.choices and chunk.choices[0].delta.content:
                    print(visible(chunk.choices[0].delta.content), end="", flush=True)
                citations = ((chunk.model_extra or {}).get("sluice") or {}).get("citations", citations)
    except OpenAIError as exc:
        raise CommandFailed(f"The gateway refused: {exc}") from exc
    print()
    for citation in citations:
        say(f"[{citation['index']}] {citation['source']} ({citation['chunk_id']})")
    say(f"request {request_id}")


def list_models(*, as_json: bool) -> None:
    """List the models and routes that the key may use."""
    page = Gateway.from_settings(CliSettings()).user("GET", "/v1/models")
    if as_json:
        show_json(page)
        return
    show_table(("model", "owned by"), [(row["id"], row.get("owned_by")) for row in page["data"]])


def trace(trace_id: Annotated[str, typer.Argument(help="a trace's id, as `sluice usage` shows it")]) -> None:
    """Show one trace of this machine's platform as a tree of spans."""
    spans = load(Home(CliSettings().home).traces, trace_id)
    if not spans:
        raise CommandFailed(f"No span of trace {trace_id} was written here; traces appear within a few seconds.")
    for line in tree(spans):
        say(line)
