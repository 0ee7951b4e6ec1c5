"""The limiter's Lua files on a Redis of Python dicts: fifty times as fast as fakeredis, which compiles at every call.

Only the commands that they use, as Redis answers them. `test_rate.py` runs the same files on fakeredis, and
`tests/integration/test_store.py` on Redis.
"""

from bisect import bisect_left, bisect_right, insort
from collections.abc import Callable, Sequence
from typing import Any

from lupa import lua51

from common.store.link import Link, Value, source


class Scores:
    """A sorted set."""

    def __init__(self) -> None:
        self.of: dict[str, float] = {}
        self._order: list[tuple[float, str]] = []

    def put(self, score: float, member: str) -> None:
        self.drop(member)
        self.of[member] = score
        insort(self._order, (score, member))

    def drop(self, member: str) -> int:
        score = self.of.pop(member, None)
        if score is None:
            return 0
        del self._order[bisect_left(self._order, (score, member))]
        return 1

    def between(self, least: str, most: str) -> list[str]:
        low = bisect_left(self._order, (float(least), ""))
        if most.startswith("("):
            high = bisect_left(self._order, (float(most[1:]), ""))
        else:
            high = bisect_right(self._order, (float(most), chr(0x10FFFF)))
        return [member for _, member in self._order[low:high]]


class InProcess(Link):
    """In place of the way to a Redis."""

    def __init__(self, now: Callable[[], float]) -> None:
        self._now = now
        self._hashes: dict[str, dict[str, str]] = {}
        self._sets: dict[str, Scores] = {}
        self._lua: Any = lua51.LuaRuntime()
        self._compiled: dict[str, Any] = {}
        self._lua.globals().redis = self._lua.table_from({"call": self._command})

    def script(
        self, name: str, keys: Sequence[str], args: Sequence[Value] = (), *, repeat: bool = True, after: str = ""
    ) -> Any:
        if name not in self._compiled:
            text = (source(after) if after else "") + source(name)
            self._compiled[name] = self._lua.execute(f"return function(KEYS, ARGV)\n{text}\nend")
        answer = self._compiled[name](self._lua.table_from(keys), self._lua.table_from([str(arg) for arg in args]))
        return list(answer.values()) if lua51.lua_type(answer) == "table" else answer

    def transaction(self, commands: Any) -> list[Any]:
        return [self._read(*map(str, parts)) for parts in commands]

    def _read(self, name: str, key: str, *fields: str) -> Any:
        if name == "ZCARD":
            return len(self._sets.get(key, Scores()).of)
        found = self._hashes.get(key, {})
        return [found[field].encode() if field in found else None for field in fields]

    def _command(self, name: str, *raw: Any) -> Any:
        key, *args = map(str, raw or ("",))
        match name:
            case "TIME":
                whole, part = divmod(self._now(), 1)
                return self._lua.table_from([str(int(whole)), str(int(part * 1e6))])
            case "HGETALL":
                return self._lua.table_from([part for pair in self._hashes.get(key, {}).items() for part in pair])
            case "HGET":
                return self._hashes.get(key, {}).get(args[0], False)
            case "HSET":
                self._hashes.setdefault(key, {}).update(zip(args[::2], args[1::2], strict=True))
            case "HDEL":
                return int(self._hashes.get(key, {}).pop(args[0], None) is not None)
            case "ZADD":
                self._sets.setdefault(key, Scores()).put(float(args[0]), args[1])
            case "ZREM":
                return self._sets.setdefault(key, Scores()).drop(args[0])
            case "ZSCORE":
                score = self._sets.setdefault(key, Scores()).of.get(args[0])
                return False if score is None else repr(score)
            case "ZCARD":
                return len(self._sets.setdefault(key, Scores()).of)
            case "ZCOUNT":
                return len(self._sets.setdefault(key, Scores()).between(*args))
            case "ZRANGEBYSCORE":
                return self._lua.table_from(self._sets.setdefault(key, Scores()).between(*args))
            case "PEXPIRE" | "EXPIRE":
                return 1
            case _:
                raise NotImplementedError(name)
        return 1
