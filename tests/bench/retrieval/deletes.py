"""How soon a deleted document is gone: python -m tests.bench.retrieval.deletes [--documents 100]

Documents are deleted one by one through the gateway while a worker ingests others. Each is looked for before and after, in every
way in which its text could come back: a search with a filter and one without, evidence of a chat, and `file_search`. What counts is how
long after the deletion's answer a request began that still found it; the bar is a second.
"""

import argparse
import json
import tempfile
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import httpx
from tests.bench.retrieval.parts import running
from tests.bench.retrieval.scale import Words, ingesting, judged, percentiles

BAR_S = 1.0
LOOKS = 20
Look = Callable[[int], bool]


class _Echo(BaseHTTPRequestHandler):
    """A model that answers with the messages that it was given."""

    protocol_version = "HTTP/1.1"

    def do_POST(self) -> None:
        asked = json.loads(self.rfile.read(int(self.headers["content-length"])))
        message = {"role": "assistant", "content": json.dumps(asked["messages"])}
        body = {
            "id": "echo",
            "object": "chat.completion",
            "created": 1,
            "model": asked["model"],
            "choices": [{"index": 0, "message": message, "finish_reason": "stop"}],
            "usage": {"prompt_tokens": 1, "completion_tokens": 1, "total_tokens": 2},
        }
        raw = json.dumps(body).encode()
        self.send_response(200)
        self.send_header("content-type", "application/json")
        self.send_header("content-length", str(len(raw)))
        self.end_headers()
        self.wfile.write(raw)

    def log_message(self, *_: object) -> None:
        """Say nothing."""


@contextmanager
def echo() -> Iterator[str]:
    """Serve the model, and give its base URL."""
    server = ThreadingHTTPServer(("127.0.0.1", 0), _Echo)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_port}/v1"
    server.shutdown()


def looks(client: httpx.Client, store: str) -> Mapping[str, Look]:
    """Return the ways to find a document by its number."""

    def found(path: str, body: Mapping[str, Any], number: int) -> bool:
        return f"zebra{number}quux is" in client.post(path, json=body).raise_for_status().text

    def question(number: int) -> str:
        return f"zebra{number}quux secret"

    search, chat = f"/v1/vector_stores/{store}/search", "/v1/chat/completions"
    evidence = {"retrieval": {"vector_store_ids": [store]}}
    tools = [{"type": "file_search", "vector_store_ids": [store]}]
    return {
        "filtered search": lambda n: found(
            search, {"query": question(n), "filters": {"type": "eq", "key": "team", "value": n % 3}}, n
        ),
        "search": lambda n: found(search, {"query": question(n)}, n),
        "chat": lambda n: found(
            chat, {"model": "echo", "messages": [{"role": "user", "content": question(n)}], "sluice": evidence}, n
        ),
        "file_search": lambda n: found("/v1/responses", {"model": "echo", "input": question(n), "tools": tools}, n),
    }


def seen_after(look: Look, number: int, deleted_at: float) -> float:
    """Return how long after the deletion a request began that found the document; 0 for none."""
    last = 0.0
    for _ in range(LOOKS):
        began = time.monotonic()
        if not look(number):
            break
        last = began - deleted_at
        time.sleep(BAR_S / LOOKS)
    return last


def measure(client: httpx.Client, store: str, documents: list[str]) -> None:
    ways = looks(client, store)
    late = dict.fromkeys(ways, 0.0)
    took: list[float] = []
    for number, document in enumerate(documents):
        if missing := [name for name, look in ways.items() if not look(number)]:
            raise SystemExit(f"document {number} is not found before it is deleted: {missing}")
        began = time.monotonic()
        client.delete(f"/v1/vector_stores/{store}/documents/{document}").raise_for_status()
        deleted_at = time.monotonic()
        took.append(1000 * (deleted_at - began))
        for name, look in ways.items():
            late[name] = max(late[name], seen_after(look, number, deleted_at))
    for name, seconds in late.items():
        shown = f"last seen {seconds:.2f} s after its deletion" if seconds else "never seen after its deletion"
        judged(f"{len(documents)} deleted documents, {name}", shown, seconds <= BAR_S, "1 s")
    spent = percentiles(took)
    print(f"  a deletion took {spent.p50:.0f} ms (p95 {spent.p95:.0f}, at most {spent.worst:.0f})")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--documents", type=int, default=100)
    count = parser.parse_args().documents
    words = Words()
    with (
        tempfile.TemporaryDirectory() as folder,
        echo() as model,
        running(Path(folder), worker_niceness="5") as retrieval,
    ):
        retrieval.serve()
        gateway = retrieval.gateway(model, "echo")
        headers = {"authorization": f"Bearer {gateway.key}"}
        with httpx.Client(base_url=gateway.url, headers=headers, timeout=60, trust_env=False) as client:
            store = str(client.post("/v1/vector_stores", json={"name": "deletes"}).raise_for_status().json()["id"])
            documents = []
            for number in range(count):
                text = f"The secret of zebra{number}quux is {words.paragraph()}"
                body = {"name": f"zebra-{number}.txt", "text": text, "metadata": {"team": number % 3}}
                made = client.post(f"/v1/vector_stores/{store}/documents", json=body).raise_for_status()
                documents.append(str(made.json()["id"]))
            with ingesting(retrieval, store, words):
                for document in documents:
                    retrieval.wait_for(store, document, seconds=120)
                measure(client, store, documents)


if __name__ == "__main__":
    main()
