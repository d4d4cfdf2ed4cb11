"""A proxy that passes everything on to the real engine and remembers the bodies that went through.

Runs in a thread beside a platform that the test starts, or as a program of its own beside containers:
`python e2e_recorder.py 0.0.0.0:9000 http://inference:8090`. It needs nothing but Python.
Both ways `GET /recorded` returns what was posted, as a JSON list of texts.
"""

import http.client
import json
import sys
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, Self
from urllib.parse import urlsplit

# A client names its own framing; what follows is ours.
NOT_PASSED_ON = ("host", "connection", "content-length")


class RecordingServer(ThreadingHTTPServer):
    """Listens, passes on to `target`, and keeps the bodies."""

    daemon_threads = True

    def __init__(self, address: tuple[str, int], target: str) -> None:
        super().__init__(address, _Handler)
        self.target = urlsplit(target)
        self.bodies: list[str] = []


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: RecordingServer

    def do_GET(self) -> None:
        if self.path == "/recorded":
            self._answer(200, json.dumps(self.server.bodies).encode())
        else:
            self._pass_on(b"")

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers.get("content-length", 0)))
        self.server.bodies.append(body.decode())
        self._pass_on(body)

    def _pass_on(self, body: bytes) -> None:
        upstream = http.client.HTTPConnection(self.server.target.hostname or "", self.server.target.port, timeout=120)
        headers = {name: value for name, value in self.headers.items() if name.lower() not in NOT_PASSED_ON}
        try:
            upstream.request(self.command, self.path, body=body or None, headers=headers)
            answer = upstream.getresponse()
        except OSError as error:  # the engine is away, as when a test killed it
            self._answer(502, json.dumps({"error": {"message": f"the engine is away: {error}"}}).encode())
        else:
            self._start(answer.status, answer.getheader("content-type", "application/json"))
            while chunk := answer.read1(65536):
                self.wfile.write(chunk)
                self.wfile.flush()
        finally:
            upstream.close()

    def _answer(self, status: int, body: bytes) -> None:
        self._start(status, "application/json")
        self.wfile.write(body)

    def _start(self, status: int, content_type: str) -> None:
        self.send_response(status)
        self.send_header("content-type", content_type)
        self.send_header("connection", "close")
        self.end_headers()
        self.close_connection = True

    def log_message(self, *args: Any) -> None:
        """Stay silent."""


class Recorder:
    """The proxy in a thread, on a free port of this machine."""

    def __init__(self, target: str) -> None:
        self._server = RecordingServer(("127.0.0.1", 0), target)
        self.url = f"http://127.0.0.1:{self._server.server_address[1]}"
        self._thread = threading.Thread(target=self._server.serve_forever, daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._server.shutdown()
        self._server.server_close()


if __name__ == "__main__":
    host, _, port = sys.argv[1].rpartition(":")
    RecordingServer((host, int(port)), sys.argv[2]).serve_forever()
