"""The way to Redis that all of the store's parts share: commands, transactions and Lua files, with our errors.

Where a pooled connection broke, a call is made once more on a fresh one: Redis was restarted, or a Service leads to
another server now. Not after a time-out, which would double the wait of whoever holds a lock.
"""

from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from functools import cache
from importlib.resources import files
from typing import Any, NamedTuple

import redis

from common.model.errors import StaleTerm, StoreUnavailable
from common.store.connection import Demoted, code_of

Value = str | bytes | int | float

STALE_TERM = "STALETERM"
"""Error code of lua/fenced.lua."""
DEMOTED_TRIES = 3
"""Of a call that a demoted server refused, each over another connection: those that other threads had in hand come back
to the pool one by one."""


@contextmanager
def store_errors() -> Iterator[None]:
    """Whatever Redis or the way to it throws becomes StoreUnavailable: refused, timed out, loading, read-only after a
    failover, out of memory. What lua/fenced.lua refuses becomes StaleTerm."""
    try:
        yield
    except (redis.exceptions.RedisError, OSError) as error:
        if isinstance(error, redis.exceptions.ResponseError) and code_of(error) == STALE_TERM:
            raise StaleTerm(str(error)) from error
        raise StoreUnavailable(f"{type(error).__name__}: {error}") from error


def text(raw: bytes) -> str:
    """A name or id in Redis. Whatever somebody wrote there becomes one, which finds nothing."""
    return raw.decode(errors="replace")


@cache
def source(name: str) -> str:
    """The text of lua/<name>.lua."""
    return (files("common.store") / "lua" / f"{name}.lua").read_text(encoding="utf-8")


class Script(NamedTuple):
    """One run of lua/<name>.lua."""

    name: str
    keys: Sequence[str]
    args: Sequence[Value] = ()


class Link:
    """Thread-safe. Answers are bytes, int, None and lists of these, as Redis gives them."""

    def __init__(self, client: redis.Redis) -> None:
        self._client: Any = client
        """Partly untyped in redis-py."""
        self._scripts: dict[str, Any] = {}

    def command(self, *parts: Value) -> Any:
        """One command, which may be repeated. Raises StoreUnavailable."""
        return self._call(lambda: self._client.execute_command(*parts))

    def transaction(self, commands: Iterable[Sequence[Value]]) -> list[Any]:
        """MULTI, these commands, EXEC: one consistent read or write, which may be repeated. Raises StoreUnavailable."""
        listed = list(commands)

        def execute() -> list[Any]:
            with self._client.pipeline(transaction=True) as pipe:
                for parts in listed:
                    pipe.execute_command(*parts)
                return list(pipe.execute())

        found: list[Any] = self._call(execute)
        return found

    def script(
        self, name: str, keys: Sequence[str], args: Sequence[Value] = (), *, repeat: bool = True, after: str = ""
    ) -> Any:
        """Run lua/<name>.lua by its hash, sending the text where Redis does not know it. Not `repeat`: a second run
        would do more than one. `after`: a Lua file that defines what it uses. Raises StoreUnavailable."""
        return self._run(name, (source(after) if after else "") + source(name), keys, args, repeat=repeat)

    def fenced(
        self, name: str, keys: Sequence[str], args: Sequence[Value], term_key: str, term: int, *, after: str = ""
    ) -> Any:
        """As `script`, unless a later leader than that of `term` has written: then nothing is done. Raises
        StaleTerm and StoreUnavailable."""
        text = source("fenced") + (source(after) if after else "") + source(name)
        return self._run(f"fenced {name}", text, [*keys, term_key], [*args, term], repeat=True)

    def fenced_all(self, scripts: Sequence[Script], term_key: str, term: int) -> None:
        """As `fenced`, several in this order with one round trip; all of them may be repeated. Where it raises, the
        first of them may have been run."""
        fenced = [(self._registered(f"fenced {one.name}", source("fenced") + source(one.name)), one) for one in scripts]

        def run() -> None:
            with self._client.pipeline(transaction=False) as pipe:
                for script, one in fenced:
                    pipe.evalsha(script.sha, len(one.keys) + 1, *one.keys, term_key, *one.args, term)
                refused = [answer for answer in pipe.execute(raise_on_error=False) if isinstance(answer, Exception)]
            if any(isinstance(each, redis.exceptions.NoScriptError) for each in refused):
                for script, one in fenced:
                    script(keys=[*one.keys, term_key], args=[*one.args, term])
            elif refused:
                raise refused[0]

        self._call(run)

    def _run(self, name: str, text: str, keys: Sequence[str], args: Sequence[Value], *, repeat: bool) -> Any:
        script = self._registered(name, text)
        return self._call(lambda: script(keys=list(keys), args=list(args)), repeat=repeat)

    def _registered(self, name: str, text: str) -> Any:
        script = self._scripts.get(name)
        if script is None:
            script = self._scripts.setdefault(name, self._client.register_script(text))
        return script

    def _call(self, call: Callable[[], Any], *, repeat: bool = True) -> Any:
        with store_errors():
            for _ in range(DEMOTED_TRIES):
                try:
                    return call()
                except Demoted:
                    # It refused, so nothing was done. The other pooled connections lead there, too; one that another
                    # thread has in hand comes back to the pool later.
                    self._client.connection_pool.disconnect(inuse_connections=False)
                except redis.exceptions.ConnectionError:
                    if not repeat:
                        raise
                    break
            return call()
