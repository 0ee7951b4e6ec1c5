"""What Kubernetes wants of each node: written by the watcher, read by workers.

The completeness mark says that a full list of everything was written since Redis was last empty; it is what makes
absence mean something. It lives beside what it speaks of, so that emptying Redis takes both. A list that was under way
when Redis was emptied, or that another leader overtook, does not set it: its random name is gone from Redis then.
"""

import secrets
from collections.abc import Iterable, Mapping, Sequence

import msgspec
import structlog

from common.model.config import ClusterConfig
from common.model.desired import Desired
from common.model.ids import NodeName, PodUid
from common.model.node import NodeView
from common.model.pod import PodWish
from common.store import keys
from common.store.link import Link, Value
from common.store.term import Term

PODS_A_CALL = 500
"""So that one script stays well under a millisecond or two of Redis' single thread."""

_log = structlog.get_logger(__name__)
_encode = msgspec.msgpack.Encoder().encode
_view = msgspec.msgpack.Decoder(NodeView)
_pod = msgspec.msgpack.Decoder(PodWish)
_config = msgspec.msgpack.Decoder(ClusterConfig)


class DesiredState:
    """Thread-safe. Every method raises StoreUnavailable, and a leader's StaleTerm where it writes."""

    def __init__(self, link: Link, term: Term, prefix: keys.KeyPrefix) -> None:
        self._link = link
        self._term = term
        self._prefix = prefix
        self._listing = ""

    def write_node(self, name: NodeName, view: NodeView | None) -> None:
        """Replace what is known of a node, its pods apart; None removes it."""
        self._term.script("write_view", self._of(name), [name, b"" if view is None else _encode(view)])

    def write_pods(self, name: NodeName, upserts: Iterable[PodWish], removals: Iterable[PodUid]) -> None:
        """Write and remove pods of a node; the others stay."""
        written, removed = list(upserts), list(removals)
        for start in range(0, max(len(written), len(removed)), PODS_A_CALL):
            pods = written[start : start + PODS_A_CALL]
            args: list[Value] = [name, len(pods)]
            for pod in pods:
                args += [pod.uid, _encode(pod)]
            self._term.script("write_pods", self._of(name), args + list(removed[start : start + PODS_A_CALL]))

    def write_config(self, config: ClusterConfig) -> None:
        self._term.script("write_config", [keys.config(self._prefix)], [_encode(config)])

    def begin_full_list(self) -> None:
        """A full list begins: until `finish_full_list` absence means nothing."""
        self._listing = secrets.token_hex(8)
        spots = [keys.listing(self._prefix), keys.complete(self._prefix)]
        self._term.script("begin_list", spots, [self._listing])

    def finish_full_list(self) -> bool:
        """Everything that was listed is written, and what was not listed is removed. False: Redis was emptied since
        `begin_full_list`, or another leader began a list; list again."""
        names = [keys.listing(self._prefix), keys.complete(self._prefix)]
        return bool(self._term.script("finish_list", names, [self._listing]))

    def is_complete(self) -> bool:
        return bool(self._link.command("EXISTS", keys.complete(self._prefix)))

    def known_nodes(self) -> set[NodeName]:
        """Nodes that have desired state or a ledger."""
        names = self._link.command("SUNION", keys.wished(self._prefix), keys.ledgers(self._prefix))
        return {NodeName(name.decode()) for name in names}

    def desired(self, name: NodeName) -> Desired:
        """As `desired_of`, of one node."""
        return self.desired_of([name])[name]

    def desired_of(self, names: Sequence[NodeName]) -> dict[NodeName, Desired]:
        """One consistent read. Where a value cannot be decoded (written by another version) it is left out and the
        answer is not `complete`, so that nothing is released for it."""
        commands = [("GET", keys.config(self._prefix)), ("EXISTS", keys.complete(self._prefix))]
        for name in names:
            view_key, pods_key, _ = self._of(name)
            commands += [("GET", view_key), ("HGETALL", pods_key)]
        raw_config, marked, *raws = self._link.transaction(commands)
        found = zip(names, raws[::2], raws[1::2], strict=True)
        return {name: _decoded(name, view, pods, raw_config, bool(marked)) for name, view, pods in found}

    def _of(self, name: NodeName) -> list[str]:
        p = self._prefix
        return [keys.view(p, name), keys.pods(p, name), keys.wished(p)]


def _decoded(
    name: NodeName, raw_view: bytes | None, raw_pods: Mapping[bytes, bytes], raw_config: bytes | None, complete: bool
) -> Desired:
    view, config = NodeView(), None
    pods: dict[PodUid, PodWish] = {}
    try:
        view = _view.decode(raw_view) if raw_view is not None else view
        config = _config.decode(raw_config) if raw_config is not None else None
        for uid, raw in raw_pods.items():
            pods[PodUid(uid.decode())] = _pod.decode(raw)
    except msgspec.DecodeError as error:
        _log.warning("desired_state_unreadable", node=name, error=str(error))
        complete = False
    return Desired(view=view, pods=pods, config=config, complete=complete)
