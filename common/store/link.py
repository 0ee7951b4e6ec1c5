"""The way to Redis that all of the store's parts share: commands, transactions and Lua files, with our errors."""

from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from functools import cache
from importlib.resources import files
from typing import Any

import redis

from common.model.errors import StoreUnavailable

Value = str | bytes | int | float


@contextmanager
def store_errors() -> Iterator[None]:
    """Whatever Redis or the way to it throws becomes StoreUnavailable: refused, timed out, loading, read-only after a
    failover, out of memory."""
    try:
        yield
    except (redis.exceptions.RedisError, OSError) as error:
        raise StoreUnavailable(f"{type(error).__name__}: {error}") from error


@cache
def _source(name: str) -> str:
    return (files("common.store") / "lua" / f"{name}.lua").read_text(encoding="utf-8")


class Link:
    """Thread-safe. Answers are bytes, int, None and lists of these, as Redis gives them."""

    def __init__(self, client: redis.Redis) -> None:
        self._client: Any = client
        """Partly untyped in redis-py."""
        self._scripts: dict[str, Callable[..., Any]] = {}

    def command(self, *parts: Value) -> Any:
        """One command. Raises StoreUnavailable."""
        with store_errors():
            return self._client.execute_command(*parts)

    def transaction(self, commands: Iterable[Sequence[Value]]) -> list[Any]:
        """MULTI, these commands, EXEC: one consistent read or write. Raises StoreUnavailable."""
        with store_errors(), self._client.pipeline(transaction=True) as pipe:
            for parts in commands:
                pipe.execute_command(*parts)
            return list(pipe.execute())

    def script(self, name: str, keys: Sequence[str], args: Sequence[Value] = ()) -> Any:
        """Run lua/<name>.lua by its hash, sending the text where Redis does not know it. Raises StoreUnavailable."""
        with store_errors():
            script = self._scripts.get(name)
            if script is None:
                script = self._scripts.setdefault(name, self._client.register_script(_source(name)))
            return script(keys=list(keys), args=list(args))
