"""A multimodal embedding model that knows colours, and a vision model: Jina's and vLLM's wire formats, and OpenAI's chat completions."""

import base64
import io
import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from PIL import Image

DIMENSIONS = 4
KEY = "sk-images"
_WORDS = {"red": (255, 0, 0), "green": (0, 128, 0), "blue": (0, 0, 255)}


@dataclass
class Provider:
    """Where it is, what it was asked, and whether it answers."""

    url: str
    asked: list[dict[str, Any]] = field(default_factory=list)
    broken: bool = False


def of_text(text: str) -> list[float]:
    """Return the colours that a text names; the last number is what all things share."""
    total = [0.0, 0.0, 0.0, 20.0]
    for word, colour in _WORDS.items():
        if word in text.casefold():
            total = [have + one for have, one in zip(total, (*colour, 0.0), strict=True)]
    return total


def of_picture(raw: bytes) -> list[float]:
    """Return an image's mean colour."""
    with Image.open(io.BytesIO(raw)) as picture:
        small = picture.convert("RGB").resize((1, 1)).getpixel((0, 0))
    assert isinstance(small, tuple)
    return [*(float(one) for one in small), 20.0]


def vector_of(asked: dict[str, Any]) -> list[float]:
    """Read a question as Jina or vLLM would."""
    if "messages" in asked:
        (part,) = asked["messages"][0]["content"]
        head, _, data = part["image_url"]["url"].partition(",")
        assert (part["type"], head) == ("image_url", "data:image/webp;base64")
        return of_picture(base64.b64decode(data))
    given = asked["input"]
    if isinstance(given, str):
        return of_text(given)
    (one,) = given
    return of_text(one["text"]) if "text" in one else of_picture(base64.b64decode(one["image"]))


@contextmanager
def image_provider() -> Iterator[Provider]:
    """Serve on a free port."""

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_POST(self) -> None:
            asked = json.loads(self.rfile.read(int(self.headers["content-length"])))
            if provider.broken or self.headers["authorization"] != f"Bearer {KEY}":
                self.answer(503, {"error": {"message": "away"}})
            elif self.path == "/v1/chat/completions":
                self.answer(200, {"choices": [{"message": {"role": "assistant", "content": "A described thing."}}]})
            else:
                provider.asked.append(asked)
                data = [{"object": "embedding", "index": 0, "embedding": vector_of(asked)}]
                self.answer(200, {"object": "list", "model": asked["model"], "data": data, "usage": {}})

        def answer(self, status: int, body: object) -> None:
            raw = json.dumps(body).encode()
            self.send_response(status)
            self.send_header("content-type", "application/json")
            self.send_header("content-length", str(len(raw)))
            self.end_headers()
            with suppress(BrokenPipeError, ConnectionResetError):
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
            server.shutdown()
            thread.join()
