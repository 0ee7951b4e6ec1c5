"""A small HTTP server for GET requests, on a thread of its own."""

import threading
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from socket import AF_INET6
from typing import NamedTuple

REQUEST_SECONDS = 10.0
"""A client that sends nothing for so long is hung up on."""


class Answer(NamedTuple):
    status: int
    content_type: str
    body: bytes


Respond = Callable[[str], Answer]
"""From a path without query to the answer."""


class Server:
    """Serves from its construction until `close`. Raises OSError where the port is taken."""

    def __init__(self, address: str, port: int, respond: Respond) -> None:
        """`port` 0 takes a free one."""

        class Handler(BaseHTTPRequestHandler):
            timeout = REQUEST_SECONDS

            def do_GET(self) -> None:
                answer = respond(self.path.partition("?")[0])
                self.send_response(answer.status)
                self.send_header("Content-Type", answer.content_type)
                self.send_header("Content-Length", str(len(answer.body)))
                self.end_headers()
                self.wfile.write(answer.body)

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
