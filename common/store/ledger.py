"""Ledgers of nodes: written only by the run that holds the node's lock at that very moment."""

from collections.abc import Callable
from typing import Any

import msgspec
import structlog

from common.model.errors import LedgerNewer, LedgerUnreadable, StaleToken
from common.model.ids import NodeName
from common.model.ledger import LEDGER_VERSION, Ledger
from common.model.ledger_check import ledger_problem
from common.store import keys
from common.store.link import Link, text
from common.store.lock import holder
from common.store.older_ledgers import as_now

LEDGERS_A_CALL = 100
"""A ledger of 120 branches is some 50 kB."""

OnUnreadable = Callable[[NodeName, LedgerUnreadable], None]

_log = structlog.get_logger(__name__)
_encode = msgspec.msgpack.Encoder().encode
_decoder = msgspec.msgpack.Decoder(Ledger)


def log_unreadable(name: NodeName, error: LedgerUnreadable) -> None:
    _log.warning("ledger_unreadable", node=name, error=str(error))


class Ledgers:
    """Thread-safe. Every method raises StoreUnavailable."""

    def __init__(self, link: Link, prefix: keys.KeyPrefix) -> None:
        self._link = link
        self._prefix = prefix

    def load(self, name: NodeName) -> Ledger | None:
        """None: there is none. Raises LedgerNewer where a newer version wrote it, LedgerUnreadable where it cannot be
        read or cannot be this node's (model/ledger_check.py)."""
        return decoded(name, self._link.command("GET", keys.ledger(self._prefix, name)))

    def save(self, name: NodeName, ledger: Ledger | None, owner: str, token: int) -> None:
        """Replace it, or delete it (None). Raises StaleToken unless that owner and token hold the lock now, also where
        nobody does (expired, or Redis was emptied)."""
        p = self._prefix
        spots = [keys.lock(p, name), keys.ledger(p, name), keys.ledgers(p), keys.view(p, name), keys.instances(p)]
        body = b"" if ledger is None else _encode(msgspec.structs.replace(ledger, version=LEDGER_VERSION))
        if not self._link.script("save_ledger", spots, [name, holder(owner, token), body, keys.names_of(p, "")]):
            raise StaleToken(name)

    def all(self, on_unreadable: OnUnreadable = log_unreadable) -> dict[NodeName, Ledger]:
        """Every ledger that can be read, for people (`vpc-rc status`, introspection); `on_unreadable` is called with
        each other one. Not one consistent read."""
        names = sorted(NodeName(text(raw)) for raw in self._link.command("SMEMBERS", keys.ledgers(self._prefix)))
        found = {}
        for start in range(0, len(names), LEDGERS_A_CALL):
            some = names[start : start + LEDGERS_A_CALL]
            bodies = self._link.command("MGET", *(keys.ledger(self._prefix, name) for name in some))
            for name, body in zip(some, bodies, strict=True):
                try:
                    if (ledger := decoded(name, body)) is not None:
                        found[name] = ledger
                except LedgerUnreadable as error:
                    on_unreadable(name, error)
        return found


class _Version(msgspec.Struct):
    version: int = 0


_version = msgspec.msgpack.Decoder(_Version)


def decoded(name: NodeName, body: bytes | None) -> Ledger | None:
    """None: there is none. Raises LedgerUnreadable."""
    if body is None:
        return None
    try:
        # First this: the rest of a newer ledger need not be what a field is here.
        if (version := _version.decode(body).version) > LEDGER_VERSION:
            raise LedgerNewer(f"it has version {version}, this program knows {LEDGER_VERSION}")
        if version == LEDGER_VERSION:
            ledger = _decoder.decode(body)
        else:
            ledger = msgspec.convert(as_now(msgspec.msgpack.decode(body, type=dict[str, Any]), version), Ledger)
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise LedgerUnreadable(str(error)) from error
    if found := ledger_problem(ledger, name):
        raise LedgerUnreadable(found)
    return ledger
