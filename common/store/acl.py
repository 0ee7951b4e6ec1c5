"""What each role may do in Redis, as users of an ACL file (Redis 7 and later, Valkey).

A user reads and writes only the keys of its role: a stolen watcher writes no ledger, a stolen worker no desired state,
and Flower and the operator change nothing of ours. Commands are whole categories without what is dangerous: keys are
what separates data, and a client library may change its commands.
"""

import hashlib
import re
from collections.abc import Callable, Iterable, Mapping
from enum import StrEnum
from inspect import signature
from typing import Any, NamedTuple

from common.store import keys


class Role(StrEnum):
    WATCHER = "watcher"
    WORKER = "worker"
    FLOWER = "flower"
    OPERATOR = "operator"
    """People's `vpc-rc status` and `vpc-rc doctor`: reads."""
    PROBE = "probe"
    """PING, for the kubelet."""


WATCHER, WORKER, FLOWER, OPERATOR = Role.WATCHER, Role.WORKER, Role.FLOWER, Role.OPERATOR
RUNNERS = (WATCHER, WORKER)


class Access(NamedTuple):
    """Roles with rights on a key. Write includes read."""

    write: tuple[Role, ...]
    read: tuple[Role, ...] = ()


_WATCHERS_OWN = Access(write=(WATCHER,), read=(WORKER, OPERATOR))
_WORKERS_OWN = Access(write=(WORKER,))
_SHARED = Access(write=RUNNERS)

OURS: Mapping[str, Access] = {
    "view": _WATCHERS_OWN,
    "pods": _WATCHERS_OWN,
    "desired_nodes": _WATCHERS_OWN,
    "config": _WATCHERS_OWN,
    "complete": _WATCHERS_OWN,
    "listing": Access(write=(WATCHER,)),
    "term": Access(write=(WATCHER,)),
    "instances": _SHARED,
    "names_of": _SHARED,
    "dirty": _SHARED,
    "parked": _SHARED,
    "woken": _SHARED,
    "running": _SHARED,
    "waiting": _SHARED,
    # The watcher reads which process holds a node, and drops messages that were lost with their worker.
    "lock": Access(write=(WORKER,), read=(WATCHER,)),
    "heartbeats": _SHARED,
    "heard": _SHARED,
    "unacked": _SHARED,
    "unacked_index": _SHARED,
    "fence": _WORKERS_OWN,
    # The watcher asks whether there is one, which Redis cannot allow without its content.
    "ledger": Access(write=(WORKER,), read=(WATCHER, OPERATOR)),
    "ledgers": Access(write=(WORKER,), read=(WATCHER, OPERATOR)),
    "wanted": _WORKERS_OWN,
    "wanted_by": _WORKERS_OWN,
    "loading": _WORKERS_OWN,
    "snapshot": _WORKERS_OWN,
    "rate": Access(write=(WORKER,), read=(OPERATOR,)),
    "rate_line": Access(write=(WORKER,), read=(OPERATOR,)),
    "rate_due": _WORKERS_OWN,
    "places": _WORKERS_OWN,
    "outages": Access(write=(WORKER,), read=(OPERATOR,)),
    "outage": Access(write=(WORKER,), read=(OPERATOR,)),
    "waiting_for": Access(write=(WORKER,), read=(OPERATOR,)),
    "failed_for": _WORKERS_OWN,
    "seen_available": _WORKERS_OWN,
}
"""By function of common.store.keys; `members` and `member` are below."""

MEMBERS: Mapping[str, Role] = {"watcher": WATCHER, "worker": WORKER, "sweep": WORKER}
"""The role that writes each of `members`."""

KOMBUS: Mapping[str, Access] = {
    # Queues, with kombu's suffixes for priorities. Flower and status count.
    "nodes*": Access(write=RUNNERS, read=(FLOWER, OPERATOR)),
    "maintenance*": Access(write=RUNNERS, read=(FLOWER, OPERATOR)),
    "unacked_mutex": _WORKERS_OWN,
    "_kombu.binding*.nodes*": _SHARED,
    "_kombu.binding*.maintenance*": _SHARED,
    # Events of workers, questions to workers and their answers: for Flower.
    "_kombu.binding*.celeryev*": Access(write=(WORKER, FLOWER), read=(WATCHER,)),
    "_kombu.binding*.celery.pidbox*": Access(write=(WORKER, FLOWER)),
    "_kombu.binding*.reply.celery.pidbox*": Access(write=(WORKER, FLOWER)),
    "_kombu.binding_deadlines": Access(write=(WORKER, FLOWER)),
    "celeryev.*": Access(write=(WORKER, FLOWER)),
    "*.celery.pidbox*": Access(write=(WORKER, FLOWER)),
}
"""Keys of Celery's transport, by pattern."""

CHANNELS: Mapping[str, tuple[Role, ...]] = {
    "celeryev/*": (WATCHER, WORKER, FLOWER),
    "celery.pidbox": (WORKER, FLOWER),
}
"""Published and listened to, after `/<database>.`. Redis cannot allow only one of both."""

_ANYBODY = ("+@read", "+@connection", "+@transaction", "+time")
_WRITERS = ("+@write", "+@pubsub", *_ANYBODY)
_BUT = ("-@admin", "-@dangerous", "-@scripting", "-scan", "-randomkey", "+info")
"""FUNCTION counts as writing, too; SCAN and RANDOMKEY name keys of others. INFO counts as dangerous, but tells which
server answers, and how full it is."""
COMMANDS: Mapping[Role, tuple[str, ...]] = {
    WATCHER: (*_WRITERS, *_BUT),
    WORKER: (*_WRITERS, *_BUT),
    FLOWER: (*_WRITERS, *_BUT),
    OPERATOR: (*_ANYBODY, *_BUT),
    Role.PROBE: ("+ping",),
}

SCRIPTS = "(+eval +evalsha +script|load +script|exists ~*)"
"""Redis wants keys that a script is given to be writable. What the script then does with them is checked command by
command, against the keys above, so a script can do no more than its caller."""

_GLOB = re.compile(r"[*?\[\]\\]")
_PLAIN = re.compile(r"[!-~]+")


def user_name(role: Role) -> str:
    return f"vpc-rc-{role}"


def acl_file(cluster: str, passwords: Mapping[Role, str], database: int = 0) -> str:
    """The file's text, with a user for each role that has a password, and nobody else: the default user is off.
    Passwords are in it as hashes. Raises ValueError for a cluster's name that Redis' syntax cannot hold."""
    if not _PLAIN.fullmatch(cluster):
        raise ValueError("a cluster's name is of visible ASCII characters without spaces")
    lines = ["user default off resetpass resetkeys resetchannels -@all"]
    for role, password in passwords.items():
        digest = hashlib.sha256(password.encode()).hexdigest()
        lines.append(" ".join((f"user {user_name(role)} on #{digest}", *rules(role, cluster, database))))
    return "".join(f"{line}\n" for line in lines)


def rules(role: Role, cluster: str, database: int = 0) -> Iterable[str]:
    """What the role may do, in Redis' syntax."""
    yield from ("resetkeys", "resetchannels", "-@all")
    for pattern, access in _patterns(cluster):
        if role in access.write:
            yield f"~{pattern}"
        elif role in access.read:
            yield f"%R~{pattern}"
    for channel, roles in CHANNELS.items():
        if role in roles:
            yield f"&/{database}.{channel}"
    yield from COMMANDS[role]
    if role in (WATCHER, WORKER, FLOWER):
        yield SCRIPTS


def _patterns(cluster: str) -> Iterable[tuple[str, Access]]:
    prefix = keys.KeyPrefix(_GLOB.sub(r"\\\g<0>", keys.prefix(cluster)))
    for name, access in OURS.items():
        yield _pattern(getattr(keys, name), prefix), access
    for name, writer in MEMBERS.items():
        access = Access(write=(writer,), read=(*RUNNERS, OPERATOR))
        yield keys.members(prefix, name), access
        yield keys.member(prefix, name, "*"), access
    yield from KOMBUS.items()


def _pattern(key: Callable[..., str], prefix: keys.KeyPrefix) -> str:
    """The pattern of all keys that the function makes with this prefix."""
    given: list[Any] = [prefix if name == "p" else "*" for name in signature(key).parameters]
    return key(*given)
