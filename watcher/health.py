"""`/healthz` (a restart would help), `/readyz` (knows the cluster) and `/metrics` over HTTP."""

import threading
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from socket import AF_INET6

from prometheus_client import CONTENT_TYPE_LATEST, generate_latest

from common.metrics import REGISTRY

REQUEST_SECONDS = 10.0
_TEXT = "text/plain; charset=utf-8"

Problem = Callable[[], str | None]
"""What is wrong, None: nothing."""


class HealthServer:
    """Serves from a thread of its own from its construction until `close`. Raises OSError where the port is taken."""

    def __init__(self, address: str, port: int, *, unhealthy: Problem, unready: Problem) -> None:
        """`port` 0 takes a free one."""

        class Handler(BaseHTTPRequestHandler):
            timeout = REQUEST_SECONDS

            def do_GET(self) -> None:
                path = self.path.partition("?")[0]
                if path == "/metrics":
                    self._answer(200, CONTENT_TYPE_LATEST, generate_latest(REGISTRY))
                elif path in ("/healthz", "/readyz"):
                    problem = unhealthy() if path == "/healthz" else unready()
                    self._answer(503 if problem else 200, _TEXT, f"{problem or 'ok'}\n".encode())
                else:
                    self._answer(404, _TEXT, b"not found\n")

            def _answer(self, status: int, content_type: str, body: bytes) -> None:
                self.send_response(status)
                self.send_header("Content-Type", content_type)
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, format: str, *args: object) -> None:  # noqa: A002  # the base class' name
                """Probes come every few seconds: not logged."""

        class Listener(ThreadingHTTPServer):
            daemon_threads = True
            address_family = AF_INET6 if ":" in address else ThreadingHTTPServer.address_family

        self._listener = Listener((address, port), Handler)
        self.port: int = self._listener.server_address[1]
        self._thread = threading.Thread(target=self._listener.serve_forever, name=f"http-{self.port}", daemon=True)
        self._thread.start()

    def close(self) -> None:
        self._listener.shutdown()
        self._listener.server_close()
        self._thread.join()
