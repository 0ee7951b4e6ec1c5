"""Ports for servers that are about to be started."""

import fcntl
import os
import random
import socket
import tempfile
from pathlib import Path
from typing import BinaryIO

SPAN = range(10_000, 32_768)
"""Below the ports that Linux gives to outgoing connections (net.ipv4.ip_local_port_range): one of those may be taken by
a connection before the server listens."""


class Ports:
    """Gives each port to one living process: what it gave is locked, a byte for each port, until the process ends."""

    def __init__(self, path: Path, span: range = SPAN) -> None:
        self._path, self._span = path, span
        self._file: BinaryIO | None = None
        self._owner = 0
        self._given: set[int] = set()

    def take(self) -> int:
        """A loopback port that nobody listens on and that nobody else was given. Raises OSError where there is none."""
        if self._owner != os.getpid():
            # Locks are not inherited.
            self._file, self._owner, self._given = self._path.open("ab"), os.getpid(), set()
        start = random.randrange(len(self._span))
        ports: list[int] = [*self._span[start:], *self._span[:start]]
        for port in ports:
            if port not in self._given and self._lock(port):
                self._given.add(port)
                if _is_free(port):
                    return port
        raise OSError(f"no port from {self._span[0]} to {self._span[-1]} is free")

    def _lock(self, port: int) -> bool:
        assert self._file is not None
        try:
            fcntl.lockf(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB, 1, port)
        except OSError:
            return False
        return True


def _is_free(port: int) -> bool:
    with socket.socket() as probe:
        try:
            probe.bind(("127.0.0.1", port))
        except OSError:
            return False
    return True


_ports = Ports(Path(tempfile.gettempdir()) / f"vpc-rc-ports-{os.getuid()}")


def free_port() -> int:
    """A loopback port for a server to be started. Raises OSError where none is free."""
    return _ports.take()
