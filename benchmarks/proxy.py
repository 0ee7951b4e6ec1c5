"""A TCP proxy before a server that can be away: what a dependency looks like from a process when it fails."""

import contextlib
import socket
import threading
from typing import Literal

Mode = Literal["works", "refused", "silent", "slow", "wrong", "half-open"]
"""`half-open`: what is open then never carries anything again, and neither end learns of it; new connections work."""
SLOW_SECONDS = 0.5
WRONG = b"HTTP/1.1 200 OK\r\nContent-Type: text/html\r\nContent-Length: 24\r\n\r\n<html>Welcome!</html>\r\n\r\n"
"""What a captive portal or a load balancer without targets answers."""


class Proxy:
    """To `port` of this host, on a port of its own."""

    def __init__(self, port: int) -> None:
        self._target = port
        self.mode: Mode = "works"
        self._works = threading.Condition()
        self._open: set[socket.socket] = set()
        self._lost: set[socket.socket] = set()
        """Held open for good: an end that closes must not be noticed at the other."""
        self._listener: socket.socket | None = socket.create_server(("127.0.0.1", 0))
        self.port: int = self._listener.getsockname()[1]
        self._serve()

    def set(self, mode: Mode) -> None:
        if mode == "refused" and self._listener is not None:
            with contextlib.suppress(OSError):
                self._listener.shutdown(socket.SHUT_RDWR)
            self._listener.close()
            self._listener = None
            self._cut()
        elif mode != "refused" and self._listener is None:
            self._listener = socket.create_server(("127.0.0.1", self.port))
            self._serve()
        with self._works:
            self.mode = mode
            if mode == "half-open":
                self._lost |= self._open
            self._works.notify_all()

    def _cut(self) -> None:
        for each in list(self._open):
            with contextlib.suppress(OSError):
                each.shutdown(socket.SHUT_RDWR)

    def _serve(self) -> None:
        threading.Thread(target=self._accept, args=(self._listener,), daemon=True).start()

    def _accept(self, listener: socket.socket) -> None:
        with contextlib.suppress(OSError):
            while True:
                client, _ = listener.accept()
                threading.Thread(target=self._connect, args=(client,), daemon=True).start()

    def _connect(self, client: socket.socket) -> None:
        with contextlib.suppress(OSError), client, socket.create_connection(("127.0.0.1", self._target)) as server:
            self._open |= {client, server}
            back = threading.Thread(target=self._pump, args=(server, client, False), daemon=True)
            back.start()
            self._pump(client, server, True)
            back.join()
            self._open -= {client, server}

    def _pump(self, source: socket.socket, sink: socket.socket, request: bool) -> None:
        with contextlib.suppress(OSError):
            while data := source.recv(65536):
                with self._works:
                    self._works.wait_for(lambda: self.mode != "silent")
                if source in self._lost:
                    continue
                if self.mode == "slow" and not request:
                    threading.Event().wait(SLOW_SECONDS)
                if self.mode == "wrong" and request:
                    source.sendall(WRONG)
                    continue
                sink.sendall(data)
        if source in self._lost:
            return
        for each in (source, sink):
            with contextlib.suppress(OSError):
                each.shutdown(socket.SHUT_RDWR)
