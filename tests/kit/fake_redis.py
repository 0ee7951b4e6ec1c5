"""fakeredis without what only a network needs. Simulations spend most of their time in it.

A command goes to the server as values, not through a connection's bytes, pool and retries; a script is compiled once,
where fakeredis compiles it and collects Lua's garbage at every call. Commands, scripts and expiry are fakeredis's own.
"""

import threading
from collections.abc import Callable, Mapping
from typing import Any

import fakeredis
import redis

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
            if name.startswith("EVAL"):
                _compile_once(self._socket, self._server)
            encoded = [value.encode() if type(value) is str else self._encode(value) for value in values]
            self._socket._process_command([*name.encode().split(), *encoded])
            answer = self._answers.pop()
        if isinstance(answer, Exception):
            raise answer
        options.pop("keys", None)
        callbacks: Mapping[str, Callable[..., Any]] = self.response_callbacks
        shape = callbacks.get(name)
        return answer if shape is None else shape(answer, **options)


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
