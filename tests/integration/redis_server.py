"""The real Redis of integration tests: the sandbox's."""

from sandbox.redis import RedisServer, free_port

__all__ = ["RedisServer", "free_port"]
