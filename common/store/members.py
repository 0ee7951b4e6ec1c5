"""Which processes are alive, by role: for status and metrics, never for decisions about interfaces."""

from collections.abc import Mapping
from contextlib import suppress

import msgspec

from common.store import keys
from common.store.link import Link, text
from common.store.lock import milliseconds

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
        self._link.transaction(
            [
                ("SADD", keys.members(p, role), member),
                ("SET", keys.member(p, role, member), _encode(dict(info)), "PX", milliseconds(ttl)),
            ]
        )
        if dead := [name for name, body in self._listed(role) if body is None]:
            self._link.command("SREM", keys.members(p, role), *dead)

    def alive(self, role: str) -> dict[str, dict[str, str]]:
        """What each living process of the role says of itself, by id. Only reads: people may ask."""
        found = {}
        for member, body in self._listed(role):
            # Another's word, of another version perhaps.
            with suppress(msgspec.DecodeError, UnicodeDecodeError):
                if body is not None:
                    found[member] = _decoder.decode(body)
        return found

    def _listed(self, role: str) -> list[tuple[str, bytes | None]]:
        """None: dead."""
        p = self._prefix
        ids = sorted(text(raw) for raw in self._link.command("SMEMBERS", keys.members(p, role)))
        if not ids:
            return []
        return list(zip(ids, self._link.command("MGET", *(keys.member(p, role, each) for each in ids)), strict=True))
