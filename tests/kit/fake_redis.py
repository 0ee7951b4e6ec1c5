"""fakeredis without what only a network needs. Simulations spend most of their time in it.

A command goes to the server as values, not through a connection's bytes, pool and retries; how its arguments are read
is looked up once; a script is compiled once, where fakeredis compiles it and collects Lua's garbage at every call.
Commands, scripts and expiry are fakeredis's own.
"""

import pickle
import threading
import time
from collections.abc import Callable, Mapping
from typing import Any

import fakeredis
import redis
from fakeredis import _msgs
from fakeredis._commands import Key, Signature
from fakeredis._core._database import CommandItem, Item
from fakeredis._helpers import SimpleError
from fakeredis._socket._resp import convert_to_resp2
from fakeredis.commands_mixins.scripting_mixin import LUA_MODULE, _convert_redis_arg


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
                if name == "evalsha":
                    answer = _scripts_of(self._socket, self._server).run(self._socket, args[0], int(args[1]), args[2:])
                else:
                    function, signature = self._socket._name_to_func(name)
                    answer = _run(self._socket, function, signature, args)
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


class _Arguments:
    """How a command's arguments are read, for one number of them."""

    def __init__(self, signature: Signature, count: int) -> None:
        fixed, repeated = list[Any](signature.fixed), list[Any](signature.repeat)
        types = fixed + [repeated[at % len(repeated)] for at in range(count - len(fixed))]
        self.keys = [(at, kind) for at, kind in enumerate(types) if isinstance(kind, Key)]
        self.missing = [
            (at, kind.missing_return) for at, kind in self.keys if kind.missing_return is not Key.UNSPECIFIED
        ]
        self.values = [(at, kind) for at, kind in enumerate(types) if not isinstance(kind, Key) and kind is not bytes]
        self.creates = _msgs.FLAG_DO_NOT_CREATE not in signature.flags
        self.removes_empty = _msgs.FLAG_LEAVE_EMPTY_VAL not in signature.flags
        self.converts = _msgs.FLAG_SKIP_CONVERT_TO_RESP2 not in signature.flags


_arguments: dict[tuple[Signature, int], _Arguments] = {}


def _run(socket: Any, function: Callable[..., Any], signature: Signature, given: list[bytes]) -> Any:
    """What `_run_command` does, without subscribers and other servers than Redis."""
    how = _arguments.get((signature, len(given)))
    if how is None:
        try:
            signature.check_arity(given, socket.version)
        except SimpleError as error:
            return error
        how = _arguments[signature, len(given)] = _Arguments(signature, len(given))
    database, args, items = socket._db, list[Any](given), list[CommandItem]()
    try:
        for at, answer in how.missing:
            if given[at] not in database:
                return answer
        for at, kind in how.values:
            args[at] = kind.decode(given[at])
        for at, key in how.keys:
            item, default = database.get(given[at]), None
            if key.type_ is not None:
                if item is None:
                    default = key.type_() if how.creates and key.type_ is not bytes else None
                elif type(item.value) is not key.type_:
                    raise SimpleError(_msgs.WRONGTYPE_MSG)
            args[at] = CommandItem(given[at], database, item, default=default)
            items.append(args[at])
        result = function(*args)
        if how.converts and socket._resp_version == 2:
            result = convert_to_resp2(result)
    except SimpleError as error:
        result = error
    for item in items:
        item.writeback(remove_empty_val=how.removes_empty)
    return result


def _caller(socket: Any) -> Callable[..., Any]:
    """What `redis.call` does. That a script sets no globals is looked at when it has ended."""
    known: dict[bytes, tuple[Any, Any]] = {}

    def call(runtime: Any, _globals: Any, operation: bytes, *args: Any) -> Any:
        found = known.get(operation)
        if found is None:
            found = known[operation] = socket._name_to_func(operation.decode().lower())
        function, signature = found
        answer = _run(socket, function, signature, [_convert_redis_arg(arg) for arg in args])
        return socket._convert_redis_result(runtime, answer)

    return call


class _Scripts:
    """Scripts of one server as Lua functions. What fakeredis does at every run it does here at the first one: it looks
    whether the script is known, and whether it set globals."""

    def __init__(self, runtime: Any, server: Any) -> None:
        self._runtime, self._server = runtime, server
        self._functions: dict[bytes, Callable[[Any, Any], Any]] = {}

    def run(self, socket: Any, sha: bytes, keys: int, given: list[bytes]) -> Any:
        function, script = self._functions.get(sha), self._server.script_cache.get(sha)
        if function is None or script is None:
            if script is not None:
                self._functions[sha] = self._runtime.eval(b"function(KEYS, ARGV) " + script + b"\nend")
            return socket.evalsha(sha, keys, *given)
        self._server._lua_current_socket[0] = socket
        socket._script_resp = 2
        try:
            result = function(self._runtime.table_from(given[:keys]), self._runtime.table_from(given[keys:]))
        except LUA_MODULE.LuaError as error:
            raise SimpleError(_msgs.SCRIPT_ERROR_MSG.format(sha.decode(), error)) from error
        finally:
            socket._script_resp = None
        return socket._convert_lua_result(result, nested=False)


def _scripts_of(socket: Any, server: Any) -> _Scripts:
    found = getattr(server, "scripts_as_functions", None)
    if found is None:
        found = server.scripts_as_functions = _Scripts(socket._get_server_runtime(server), server)
    return found
