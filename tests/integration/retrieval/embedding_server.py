"""A provider of embeddings that speaks OpenAI's wire format: each word of a text has a direction, and a text points along its words."""

import json
import re
import threading
import zlib
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import numpy as np

DIMENSIONS = 64
KEY = "sk-embeddings"


def vector_of(text: str) -> list[float]:
    """Return what the provider says of a text; it is not of length 1."""
    total = np.full(DIMENSIONS, 1e-3)
    for word in re.findall(r"\w+", text.casefold()):
        total += np.random.default_rng(zlib.crc32(word.encode())).normal(size=DIMENSIONS)
    return [float(value) for value in total]


@dataclass
class Provider:
    """Where it is, what it was asked, and how it behaves: statuses to give first, and of how many texts it waits for `released`."""

    url: str
    texts: list[str] = field(default_factory=list)
    hold_at: int = 1_000_000
    released: threading.Event = field(default_factory=threading.Event)
    first: list[int] = field(default_factory=list)


@contextmanager
def embedding_provider() -> Iterator[Provider]:
    """Serve on a free port."""

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_POST(self) -> None:
            asked = json.loads(self.rfile.read(int(self.headers["content-length"])))
            if len(provider.texts) >= provider.hold_at:
                provider.released.wait(60)
                self.answer(503, {"error": {"message": "too late"}})
            elif self.headers["authorization"] != f"Bearer {KEY}" or self.path != "/v1/embeddings":
                self.answer(401, {"error": {"message": "no such key"}})
            elif provider.first:
                self.answer(provider.first.pop(0), {"error": {"message": "later"}})
            else:
                provider.texts += asked["input"]
                vectors = [vector_of(text) for text in asked["input"]]
                data = [{"object": "embedding", "index": at, "embedding": one} for at, one in enumerate(vectors)]
                usage = {"prompt_tokens": len(vectors), "total_tokens": len(vectors)}
                self.answer(200, {"object": "list", "model": asked["model"], "data": data[::-1], "usage": usage})

        def answer(self, status: int, body: object) -> None:
            raw = json.dumps(body).encode()
            self.send_response(status)
            self.send_header("content-type", "application/json")
            self.send_header("content-length", str(len(raw)))
            self.end_headers()
            with suppress(BrokenPipeError, ConnectionResetError):  # the asker was killed
                self.wfile.write(raw)

        def log_message(self, format: str, *args: object) -> None:
            """Say nothing."""

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        server.daemon_threads = True
        provider = Provider(f"http://127.0.0.1:{server.server_port}/v1")
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
        thread.start()
        try:
            yield provider
        finally:
            provider.released.set()
            server.shutdown()
            thread.join()
