"""A way to Redis on which what one process sends can be held back, and arrive late."""

import contextlib
import socket
import threading

ANSWER_SECONDS = 10.0


class Delayed:
    """A TCP proxy to `target`, a port of this host; a context manager."""

    def __init__(self, target: int) -> None:
        self._target = target
        self._listener = socket.create_server(("127.0.0.1", 0))
        self._open: list[socket.socket] = []
        self._wanted: tuple[bytes, ...] = ()
        self._go_on, self._answered = threading.Event(), threading.Event()
        self.held = threading.Event()
        """Something is held back."""
        threading.Thread(target=self._accept, daemon=True).start()

    @property
    def url(self) -> str:
        return f"redis://127.0.0.1:{self._listener.getsockname()[1]}/0"

    def hold(self, *parts: bytes) -> None:
        """The next thing sent that contains all of these waits for `release`, and with it what its connection sends
        then; other connections go on."""
        self._wanted = parts

    def release(self) -> None:
        """What was held back arrives, and is answered, even where its sender has given up."""
        assert self.held.is_set()
        self._go_on.set()
        assert self._answered.wait(ANSWER_SECONDS), "Redis did not answer"

    def __enter__(self) -> "Delayed":
        return self

    def __exit__(self, *_: object) -> None:
        self._go_on.set()
        for each in (self._listener, *self._open):
            each.close()

    def _accept(self) -> None:
        with contextlib.suppress(OSError):
            while True:
                near, _ = self._listener.accept()
                far = socket.create_connection(("127.0.0.1", self._target))
                self._open += [near, far]
                waits = threading.Event()
                threading.Thread(target=self._there, args=(near, far, waits), daemon=True).start()
                threading.Thread(target=self._back, args=(far, near, waits), daemon=True).start()

    def _there(self, near: socket.socket, far: socket.socket, waits: threading.Event) -> None:
        with contextlib.suppress(OSError):
            while data := near.recv(1 << 16):
                if self._wanted and not self.held.is_set() and all(part in data for part in self._wanted):
                    waits.set()
                    self.held.set()
                    self._go_on.wait()
                far.sendall(data)
            far.shutdown(socket.SHUT_WR)

    def _back(self, far: socket.socket, near: socket.socket, waits: threading.Event) -> None:
        with contextlib.suppress(OSError):
            while data := far.recv(1 << 16):
                if waits.is_set():
                    self._answered.set()
                near.sendall(data)
            near.shutdown(socket.SHUT_WR)
