"""One run at a time on a node, with a fencing token that makes a stale run's writes refusable.

A lock counts while the process lives that took it (heartbeats.py), and no longer than its own lifetime, which bounds a
run that hangs. Its run does not prolong it.

Tokens rise strictly for each node: the greater of the stored one plus one and Redis' time in microseconds, so that they
rise across the loss of Redis, too. Time is Redis' own: the replicas' clocks do not matter.
"""

from datetime import timedelta

from common.model.ids import NodeName
from common.store import keys
from common.store.heartbeats import GONE_SECONDS
from common.store.link import Link, Value, text
from common.store.milliseconds import milliseconds

FENCE_SECONDS = timedelta(days=7).total_seconds()


def holder(owner: str, token: int) -> str:
    """The lock's value."""
    return f"{owner} {token}"


class NodeLock:
    """Thread-safe. `owner` names one run, `<incarnation>/<run>`: two runs never share it, also in one process. Every
    method raises StoreUnavailable."""

    def __init__(self, link: Link, prefix: keys.KeyPrefix) -> None:
        self._link = link
        self._prefix = prefix

    def acquire(self, name: NodeName, owner: str, ttl: float, message: str = "") -> int | None:
        """Take the lock, for `ttl` seconds at most. The fencing token, or None while another owner holds it and its
        process is not known to be dead, or where `message`
        (its id) is spent. The same owner gets it again, with a new token (a repeated call whose first answer was lost).
        Either way the message waits no more (wakeups.py)."""
        p = self._prefix
        spots = [keys.lock(p, name), keys.fence(p, name), keys.waiting(), keys.running(p)]
        spots += [keys.heartbeats(p), keys.heard(p)]
        args: list[Value] = [name, owner, milliseconds(ttl), milliseconds(FENCE_SECONDS), message]
        args.append(milliseconds(GONE_SECONDS))
        token = self._link.script("acquire", spots, args, after="life")
        return None if token is None else int(token)

    def holds(self, name: NodeName, owner: str, token: int) -> bool:
        """False: it is not ours any more."""
        held = self._link.command("GET", keys.lock(self._prefix, name))
        return bool(held == holder(owner, token).encode())

    def held_by(self, incarnation: str) -> dict[NodeName, str]:
        """Nodes that a process' runs hold, and the owner of each lock."""
        p = self._prefix
        names = sorted(NodeName(text(raw)) for raw in self._link.command("SMEMBERS", keys.running(p)))
        if not names:
            return {}
        locks = self._link.command("MGET", *(keys.lock(p, name) for name in names))
        owners = {name: text(raw).rpartition(" ")[0] for name, raw in zip(names, locks, strict=True) if raw}
        return {name: owner for name, owner in owners.items() if owner.rpartition("/")[0] == incarnation}

    def release(self, name: NodeName, owner: str, token: int | None = None) -> bool:
        """Give it up. True: the node is dirty and nobody else is going to look: publish a message. Harmless where it is
        not ours any more. `token` None: whichever this owner, of one run only, was given."""
        p = self._prefix
        spots = [keys.lock(p, name), keys.running(p), keys.dirty(p), keys.waiting()]
        held = f"{owner} " if token is None else holder(owner, token)
        return bool(self._link.script("release", spots, [name, held]))
