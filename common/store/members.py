"""Which processes are alive, by role: for status and metrics, never for decisions about interfaces."""

from collections.abc import Mapping
from contextlib import suppress

import msgspec

from common.store import keys
from common.store.link import Link, text
from common.store.milliseconds import milliseconds

AGE = "age"
_TTL = "ttl"

_encode = msgspec.msgpack.Encoder().encode
_decoder = msgspec.msgpack.Decoder(dict[str, str])


class Members:
    """Thread-safe. Every method raises StoreUnavailable."""

    def __init__(self, link: Link, prefix: keys.KeyPrefix) -> None:
        self._link = link
        self._prefix = prefix

    def beat(self, role: str, member: str, info: Mapping[str, str], ttl: float) -> None:
        """This process is alive for `ttl` seconds more. Takes the role's dead off the list."""
        p = self._prefix
        body = _encode({**info, _TTL: f"{ttl:g}"})
        self._link.transaction(
            [
                ("SADD", keys.members(p, role), member),
                ("SET", keys.member(p, role, member), body, "PX", milliseconds(ttl)),
            ]
        )
        if dead := [name for name, body, _ in self._listed(role) if body is None]:
            self._link.command("SREM", keys.members(p, role), *dead)

    def alive(self, role: str) -> dict[str, dict[str, str]]:
        """What each living process of the role says of itself, by id, with `age`: seconds since it last said so. Only
        reads: people may ask."""
        found = {}
        for member, body, remaining in self._listed(role):
            # Another's word, of another version perhaps.
            with suppress(msgspec.DecodeError, UnicodeDecodeError, ValueError):
                if body is not None:
                    found[member] = _about(body, remaining)
        return found

    def _listed(self, role: str) -> list[tuple[str, bytes | None, int]]:
        """Id, body (None: dead) and milliseconds that it has left."""
        p = self._prefix
        ids = sorted(text(raw) for raw in self._link.command("SMEMBERS", keys.members(p, role)))
        if not ids:
            return []
        names = [keys.member(p, role, member) for member in ids]
        bodies, *left = self._link.transaction([("MGET", *names), *(("PTTL", name) for name in names)])
        return list(zip(ids, bodies, left, strict=True))


def _about(body: bytes, remaining: int) -> dict[str, str]:
    """`remaining`: milliseconds that the entry has left."""
    about = _decoder.decode(body)
    if (ttl := about.pop(_TTL, "")) and remaining >= 0:
        about[AGE] = f"{max(0.0, float(ttl) - remaining / 1000):.1f}"
    return about
