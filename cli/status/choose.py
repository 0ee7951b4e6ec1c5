"""Which nodes are shown, and in which order."""

import re
from collections.abc import Callable, Mapping
from typing import Any

import msgspec

from cli.status.summary import ClusterStatus, NodeStatus

ONLY: Mapping[str, Callable[[NodeStatus], bool]] = {
    "waiting": lambda node: bool(node.waiting),
    "trouble": lambda node: bool(node.problem),
    "full": lambda node: node.pool is None and node.trunk == "ready" and node.free == 0,
    "linux": lambda node: node.pool is None,
    "windows": lambda node: node.pool is not None,
}
SORT: Mapping[str, Callable[[NodeStatus], Any]] = {
    "name": lambda node: 0,
    "waiting": lambda node: -len(node.waiting),
    "free": lambda node: node.free,
    "used": lambda node: -(node.pool.used if node.pool else node.used),
    "cooling": lambda node: -(node.pool.cooling if node.pool else node.cooling),
    "pods": lambda node: -node.pods,
}
"""By these, then by name. Numbers that ask for attention come first: most used, least free."""


def choose(status: ClusterStatus, only: tuple[str, ...], sort: str) -> ClusterStatus:
    """The same with those nodes that satisfy each of `only`, sorted."""
    nodes = [node for node in status.nodes if all(ONLY[name](node) for name in only)]
    nodes.sort(key=lambda node: (SORT[sort](node), by_numbers(node.node)))
    return msgspec.structs.replace(status, nodes=tuple(nodes))


def by_numbers(name: str) -> tuple[str | int, ...]:
    """To sort by: `ip-10-0-0-9` comes before `ip-10-0-0-10`."""
    return tuple(int(part) if part.isdecimal() else part for part in re.split(r"([0-9]+)", name))
