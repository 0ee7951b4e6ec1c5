"""Ledgers of nodes: written only by the run that holds the node's lock at that very moment."""

import msgspec
import structlog

from common.model.errors import LedgerUnreadable, StaleToken
from common.model.ids import NodeName
from common.model.ledger import Ledger
from common.model.misfit import misfit
from common.store import keys
from common.store.link import Link, text
from common.store.lock import holder

LEDGERS_A_CALL = 100
"""A ledger of 120 branches is some 50 kB."""

_log = structlog.get_logger(__name__)
_encode = msgspec.msgpack.Encoder().encode
_decoder = msgspec.msgpack.Decoder(Ledger)


class Ledgers:
    """Thread-safe. Every method raises StoreUnavailable."""

    def __init__(self, link: Link, prefix: keys.KeyPrefix) -> None:
        self._link = link
        self._prefix = prefix

    def load(self, name: NodeName) -> Ledger | None:
        """None: there is none. Raises LedgerUnreadable where it cannot be read (written by another version) or
        cannot be this node's (model/misfit.py)."""
        return decoded(name, self._link.command("GET", keys.ledger(self._prefix, name)))

    def save(self, name: NodeName, ledger: Ledger | None, owner: str, token: int) -> None:
        """Replace it, or delete it (None). Raises StaleToken unless that owner and token hold the lock now, also where
        nobody does (expired, or Redis was emptied)."""
        p = self._prefix
        spots = [keys.lock(p, name), keys.ledger(p, name), keys.ledgers(p), keys.view(p, name), keys.instances(p)]
        body = b"" if ledger is None else _encode(ledger)
        if not self._link.script("save_ledger", spots, [name, holder(owner, token), body, keys.names_of(p, "")]):
            raise StaleToken(name)

    def all(self) -> dict[NodeName, Ledger]:
        """Every ledger that can be read, for people (`vpc-rc status`, introspection). Not one consistent read."""
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
                    _log.warning("ledger_unreadable", node=name, error=str(error))
        return found


def decoded(name: NodeName, body: bytes | None) -> Ledger | None:
    """None: there is none. Raises LedgerUnreadable."""
    try:
        ledger = None if body is None else _decoder.decode(body)
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise LedgerUnreadable(str(error)) from error
    if ledger is not None and (found := misfit(ledger, name)):
        raise LedgerUnreadable(found)
    return ledger
