"""Which messages exist: at most one for each subject (a node, or a kind of maintenance) waits, whatever happens.

`waiting` names the message of a subject from the moment at which it is put into the queue, in one step with it, to the
moment at which its task begins: as long as it can lead to anything. Putting another one meanwhile does nothing, so a
publisher may repeat itself. A message that `waiting` does not name is spent: it is neither put back into the queue nor
run (a worker that died after its run had begun; one that slept while its message was replaced).

A message can be lost: its worker died after taking it off the queue, somebody emptied the queue, it could not be
decoded. That is seen, not timed. `taken` says who took what: what a dead worker has not begun is given up at once
(`forget`). And `absent` compares `waiting` with what the queues hold: what a worker took begins within milliseconds, so
one that was off the queue and not begun at two looks some seconds apart is given up, too.
"""

from typing import Any, NamedTuple

import msgspec

from common.store import keys
from common.store.broker import LOAD_INSTANCES, MAINTENANCE, NODES, SWEEP_LEAKS
from common.store.heartbeats import Heartbeats
from common.store.link import Link, text
from common.store.milliseconds import milliseconds
from common.store.snapshots import LOADING_SECONDS
from common.store.transport import MESSAGE, SUBJECT, TAKER


class Absent(NamedTuple):
    """A message that is in no queue and has not begun."""

    subject: str
    message: str
    """Its id."""
    tag: str
    """Kombu's delivery tag where a worker took it, else empty."""


class Messages:
    """Thread-safe. Every method raises StoreUnavailable."""

    def __init__(self, link: Link, heartbeats: Heartbeats, prefix: keys.KeyPrefix) -> None:
        self._link = link
        self._heartbeats = heartbeats
        self._prefix = prefix

    def begin_load(self, message: str) -> bool:
        """The task that reads instances begins. `message`: its id, empty where an older version put it. False: it is
        spent."""
        return self._begin(LOAD_INSTANCES, message, keys.loading(self._prefix), LOADING_SECONDS)

    def begin_sweep(self, message: str) -> bool:
        """As `begin_load`, of the task that searches for leaked interfaces."""
        return self._begin(SWEEP_LEAKS, message)

    def _begin(self, subject: str, message: str, flag: str | None = None, seconds: float = 0) -> bool:
        """The key `flag` is set for so long in the same step."""
        spots = [keys.waiting()] if flag is None else [keys.waiting(), flag]
        return bool(self._link.script("begin_message", spots, [subject, message, milliseconds(seconds)]))

    def absent(self) -> frozenset[Absent]:
        """Messages that wait for their task, and are in no queue."""
        if not self._link.command("HLEN", keys.waiting()):
            return frozenset()
        waiting, nodes, maintenance, unacked = self._link.transaction(
            [
                ("HGETALL", keys.waiting()),
                ("LRANGE", NODES, 0, -1),
                ("LRANGE", MAINTENANCE, 0, -1),
                ("HGETALL", keys.unacked()),
            ]
        )
        queued = {_id(raw) for raw in (*nodes, *maintenance)}
        tags = {_id(raw): text(tag) for tag, raw in unacked.items()}
        named = ((text(subject), text(message)) for subject, message in waiting.items())
        return frozenset(
            Absent(subject, message, tags.get(message, "")) for subject, message in named if message not in queued
        )

    def taken(self) -> dict[str, list[Absent]]:
        """Messages of ours that workers have taken, and that are not acknowledged, by the taker's incarnation. Most
        have begun."""
        found: dict[str, list[Absent]] = {}
        for tag, raw in self._link.command("HGETALL", keys.unacked()).items():
            headers = _headers(raw)
            if headers.taker:
                found.setdefault(headers.taker, []).append(Absent(headers.subject, headers.number, tag.decode()))
        return found

    def orphaned(self, seen_by: str) -> list[Absent]:
        """Those that workers took that are dead now (as Heartbeats.is_dead). Some may have begun: `forget` tells."""
        taken = self.taken()
        dead = [taker for taker in taken if self._heartbeats.is_dead(taker, seen_by)]
        return [one for taker in dead for one in taken[taker]]

    def forget(self, one: Absent) -> bool:
        """Another message may be put for its subject. False: it has begun after all."""
        spots = [keys.waiting(), keys.unacked(), keys.unacked_index()]
        return bool(self._link.script("forget_message", spots, [one.subject, one.message, one.tag]))


class _Headers(msgspec.Struct):
    number: str = msgspec.field(default="", name=MESSAGE)
    subject: str = msgspec.field(default="", name=SUBJECT)
    taker: str = msgspec.field(default="", name=TAKER)


class _Message(msgspec.Struct):
    headers: _Headers


_message = msgspec.json.Decoder(_Message)
_taken = msgspec.json.Decoder(tuple[_Message, Any, Any])


def _id(raw: bytes) -> str:
    return _headers(raw).number


def _headers(raw: bytes) -> _Headers:
    """The id of a message in a queue, or of one that a worker took (with exchange and routing key). Empty: not one of
    ours."""
    try:
        message = _taken.decode(raw)[0] if raw.startswith(b"[") else _message.decode(raw)
    except (msgspec.DecodeError, UnicodeDecodeError):
        return _Headers()
    return message.headers
