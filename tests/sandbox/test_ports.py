"""Ports of servers that tests and demos start side by side."""

import socket
import subprocess
import sys
from pathlib import Path

import pytest

from sandbox.ports import Ports, free_port

TAKE = """
import sys
from pathlib import Path
from sandbox.ports import Ports
ports = Ports(Path(sys.argv[1]), range(20_000, 20_400))
print(*(ports.take() for _ in range(40)), flush=True)
sys.stdin.read()
"""


def test_processes_that_live_are_given_different_ports(tmp_path: Path) -> None:
    command = [sys.executable, "-c", TAKE, str(tmp_path / "ports")]
    given: list[int] = []
    processes = [subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) for _ in range(4)]
    for process in processes:
        assert process.stdout is not None
        given += map(int, process.stdout.readline().split())
    for process in processes:
        process.communicate()
    assert len(given) == len(set(given)) == 4 * 40
    again = Ports(tmp_path / "ports", range(20_000, 20_400))
    assert {again.take() for _ in range(300)} & set(given), "they are free when those have ended"


def test_a_port_on_which_somebody_listens_is_not_given(tmp_path: Path) -> None:
    port = free_port()
    with socket.create_server(("127.0.0.1", port)):
        few = Ports(tmp_path / "ports", range(port, port + 1))
        with pytest.raises(OSError, match=f"no port from {port} to {port} is free"):
            few.take()
