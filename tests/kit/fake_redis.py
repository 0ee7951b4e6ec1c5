"""fakeredis without what only a network needs. Simulations spend most of their time in it.

A command goes to the server as values, not through a connection's bytes, pool and retries; a script is compiled once,
where fakeredis compiles it and collects Lua's garbage at every call. Commands, scripts and expiry are fakeredis's own.
"""

import pickle
import threading
import time
from collections.abc import Callable, Mapping
from typing import Any

import fakeredis
import redis
from fakeredis._core._database import Item
from fakeredis._helpers import SimpleError
from fakeredis.commands_mixins.scripting_mixin import _convert_redis_arg

COLLECT = "collectgarbage()"
"""What fakeredis runs after each script. Lua collects by itself, too."""


class FakeRedis(fakeredis.FakeRedis):
    """Answers in bytes. Pipelines go the long way; blocking commands are not for it."""

    def __init__(self, server: fakeredis.FakeServer | None = None) -> None:
        self._server = server or fakeredis.FakeServer()
        super().__init__(server=self._server)
        self._lock = threading.Lock()
        self._socket: Any = None
        self._encode: Any = None
        self._answers: list[Any] = []

    def execute_command(self, *args: Any, **options: Any) -> Any:
        name, *values = args
        if not self._server.connected:
            raise redis.exceptions.ConnectionError
        with self._lock:
            if self._socket is None:
                connection = self.connection_pool.get_connection()
                self._socket, self._encode = connection._sock, connection.encoder.encode
                self._socket.put_response = self._answers.append
                self._socket._lua_redis_call = _caller(self._socket)
            if name.startswith("EVAL"):
                _compile_once(self._socket, self._server)
            encoded = [value.encode() if type(value) is str else self._encode(value) for value in values]
            if " " in name or name in _OF_CONNECTIONS:
                self._socket._process_command([*name.encode().split(), *encoded])
                answer = self._answers.pop()
            else:
                answer = self._answer(name.lower(), encoded)
        if isinstance(answer, Exception):
            raise answer
        options.pop("keys", None)
        callbacks: Mapping[str, Callable[..., Any]] = self.response_callbacks
        shape = callbacks.get(name)
        return answer if shape is None else shape(answer, **options)

    def _answer(self, name: str, args: list[bytes]) -> Any:
        """What `_process_command` does of a command outside of a transaction, without users and replies."""
        with self._server.lock:
            now = time.time()
            for database in self._server.dbs.values():
                database.time = now
            try:
                function, signature = self._socket._name_to_func(name)
                answer = self._socket._run_command(function, signature, args, False)
            except SimpleError as error:
                answer = error
        return self._socket._decode_result(answer)

    def copied(self) -> bytes:
        """All keys, with what is left of their lives."""
        database, now = self._server.dbs[0], time.time()
        items = [(key, database[key]) for key in list(database)]
        return pickle.dumps([(key, item.value, item.expireat and item.expireat - now) for key, item in items])

    def put_back(self, copied: bytes) -> None:
        """All keys as they were `copied`; others go."""
        database, now = self._server.dbs[0], time.time()
        with self._server.lock:
            database.clear()
            for key, value, left in pickle.loads(copied):
                item = Item(value)
                item.expireat = None if left is None else now + max(0.0, left)
                database[key] = item


_OF_CONNECTIONS = frozenset({"DISCARD", "EXEC", "MULTI", "PSUBSCRIBE", "SCRIPT", "SUBSCRIBE", "UNWATCH", "WATCH"})
"""Commands that depend on more than the keys, or have commands of their own."""


def _caller(socket: Any) -> Callable[..., Any]:
    """What `redis.call` does. That a script sets no globals is looked at when it has ended."""
    known: dict[bytes, tuple[Any, Any]] = {}

    def call(runtime: Any, _globals: Any, operation: bytes, *args: Any) -> Any:
        found = known.get(operation)
        if found is None:
            found = known[operation] = socket._name_to_func(operation.decode().lower())
        answer = socket._run_command(*found, [_convert_redis_arg(arg) for arg in args], True)
        return socket._convert_redis_result(runtime, answer)

    return call


class _CompiledOnce:
    """fakeredis's Lua runtime, with functions in place of scripts."""

    def __init__(self, runtime: Any) -> None:
        self._runtime = runtime
        self._compiled: dict[bytes, Callable[[], Any]] = {}

    def execute(self, script: bytes | str) -> Any:
        if isinstance(script, str):
            return None if script == COLLECT else self._runtime.execute(script)
        compiled = self._compiled.get(script)
        if compiled is None:
            compiled = self._compiled[script] = self._runtime.eval(b"function() " + script + b"\nend")
        return compiled()

    def __getattr__(self, name: str) -> Any:
        return getattr(self._runtime, name)


def _compile_once(socket: Any, server: Any) -> None:
    runtime = socket._get_server_runtime(server)
    if not isinstance(runtime, _CompiledOnce):
        server._lua_runtime = _CompiledOnce(runtime)
