"""The small HTTP side of worker processes: /healthz, /readyz and /metrics."""

import json
import threading
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

from sluice import __version__
from sluice.telemetry.metrics import MetricRegistry


class WorkerStatusServer:
    """Answers health questions of a worker from a thread; `ready` returns what is wrong, or an empty mapping."""

    def __init__(
        self, service: str, host: str, port: int, registry: MetricRegistry, ready: Callable[[], dict[str, str]]
    ) -> None:
        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                if self.path == "/metrics":
                    body, content_type = registry.render()
                    self._answer(200, body, content_type)
                elif self.path == "/healthz":
                    self._json(200, {"status": "ok", "service": service, "version": __version__})
                elif self.path == "/readyz":
                    wrong = ready()
                    status = "not_ready" if wrong else "ready"
                    self._json(503 if wrong else 200, {"status": status, "service": service, "checks": wrong})
                else:
                    self._json(404, {"title": "Not found", "status": 404})

            def _json(self, status: int, body: dict[str, object]) -> None:
                self._answer(status, json.dumps(body).encode(), "application/json")

            def _answer(self, status: int, body: bytes, content_type: str) -> None:
                self.send_response(status)
                self.send_header("content-type", content_type)
                self.send_header("content-length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, format: str, *args: object) -> None:
                """Stay silent: probes come every few seconds."""

        self._server = ThreadingHTTPServer((host, port), Handler)
        self._server.daemon_threads = True
        self._thread = threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 2.0}, daemon=True)

    def start(self) -> None:
        """Begin to answer."""
        self._thread.start()

    def close(self) -> None:
        """Stop answering."""
        self._server.shutdown()
        self._server.server_close()
