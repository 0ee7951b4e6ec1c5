"""What EC2 says of instances, read in batches for many nodes at once and kept a short time."""

from collections.abc import Mapping

import msgspec
import structlog

from common.model.ec2 import InstanceSnapshot
from common.model.ids import InstanceId, NodeName
from common.store import keys
from common.store.broker import LOAD_INSTANCES
from common.store.link import Link, Value, text
from common.store.milliseconds import milliseconds

LOADING_SECONDS = 15.0
"""What a task that died costs; a load takes a second or two."""
QUEUE_SECONDS = 600.0
"""Requests that nobody took for so long are forgotten: nodes that still need them ask again."""

_log = structlog.get_logger(__name__)
_encode = msgspec.msgpack.Encoder().encode
_decoder = msgspec.msgpack.Decoder(InstanceSnapshot)


class Snapshots:
    """Thread-safe. Every method raises StoreUnavailable."""

    def __init__(self, link: Link, prefix: keys.KeyPrefix) -> None:
        self._link = link
        self._prefix = prefix

    def request(self, instance: InstanceId, node: NodeName, now: float) -> bool:
        """Queue an instance for loading. True: publish a `load_instances` message (one that waits already is not
        doubled)."""
        args: list[Value] = [instance, node, now, milliseconds(QUEUE_SECONDS), LOAD_INSTANCES]
        return bool(self._link.script("request_snapshot", [*self._queue(), keys.waiting()], args))

    def requests(self) -> int:
        """How many instances are asked for and not taken yet."""
        return int(self._link.command("ZCARD", keys.wanted(self._prefix)))

    def take_requests(self, limit: int) -> list[tuple[InstanceId, NodeName]]:
        """The oldest requests, off the queue. Take until it answers nothing: a request made while others are left has
        no message published. A process that dies with requests in hand loses them; the nodes ask again."""
        args: list[Value] = [limit, milliseconds(LOADING_SECONDS)]
        raw = self._link.script("take_requests", self._queue(), args, repeat=False)
        return [
            (InstanceId(text(instance)), NodeName(text(node)))
            for instance, node in zip(raw[::2], raw[1::2], strict=True)
        ]

    def write(self, snapshots: Mapping[InstanceId, InstanceSnapshot], ttl: float) -> None:
        """Keep them for `ttl` seconds. One that was begun later than ours stays."""
        for instance, snapshot in snapshots.items():
            args: list[Value] = [snapshot.taken_at, _encode(snapshot), milliseconds(ttl)]
            self._link.script("write_snapshot", [keys.snapshot(self._prefix, instance)], args)

    def read(self, instance: InstanceId) -> InstanceSnapshot | None:
        """None: not loaded, too old, or unreadable (written by another version)."""
        body = self._link.command("HGET", keys.snapshot(self._prefix, instance), "body")
        if body is None:
            return None
        try:
            return _decoder.decode(body)
        except msgspec.DecodeError as error:
            _log.warning("snapshot_unreadable", instance=instance, error=str(error))
            return None

    def _queue(self) -> list[str]:
        return [keys.wanted(self._prefix), keys.wanted_by(self._prefix), keys.loading(self._prefix)]
