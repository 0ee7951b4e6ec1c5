"""What Kubernetes wants of each node: written by the watcher, read by workers.

The completeness mark says that a full list of everything was written since Redis was last empty; it is what makes
absence mean something. It lives beside what it speaks of, so that emptying Redis takes both. A list that was under way
when Redis was emptied, or that another leader overtook, does not set it: its random name is gone from Redis then.
"""

import secrets
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

import msgspec
import structlog

from common.model.config import ClusterConfig
from common.model.desired import Desired, Sharer
from common.model.errors import LedgerUnreadable
from common.model.ids import InstanceId, NodeName, PodUid, instance_id_of
from common.model.ledger import Ledger
from common.model.names import INSTANCE_TAG
from common.model.node import NodeView
from common.model.pod import PodRequest
from common.store import keys
from common.store.ledger import decoded
from common.store.link import Link, Script, Value, text
from common.store.server import Server
from common.store.term import Term
from common.store.wakeups import WakeUps

PODS_A_CALL = 500
"""So that one script stays well under a millisecond or two of Redis' single thread."""
SCRIPTS_A_CALL = 100
UNKNOWN_RUN = "1"
"""The completeness mark where an ACL keeps the run of Redis from the watcher, and that of the release before."""

_log = structlog.get_logger(__name__)
_encode = msgspec.msgpack.Encoder().encode
_view = msgspec.msgpack.Decoder(NodeView)
_pod = msgspec.msgpack.Decoder(PodRequest)
_config = msgspec.msgpack.Decoder(ClusterConfig)


class NodeWrite(msgspec.Struct, frozen=True, kw_only=True):
    """What changes of a node."""

    name: NodeName
    replaces_view: bool = False
    view: NodeView | None = None
    """Replaces what is known of the node, its pods apart, where `replaces_view`. None removes it."""
    upserts: tuple[PodRequest, ...] = ()
    removals: tuple[PodUid, ...] = ()
    """Pods to write and to remove; the others stay."""


class DesiredState:
    """Thread-safe. Every method raises StoreUnavailable, and a leader's StaleTerm where it writes."""

    def __init__(self, link: Link, term: Term, wakeups: WakeUps, server: Server, prefix: keys.KeyPrefix) -> None:
        self._link = link
        self._term = term
        self._wakeups = wakeups
        self._server = server
        self._prefix = prefix
        self._listing = ""

    def write_all(self, writes: Iterable["NodeWrite"]) -> None:
        """With few round trips. Where it raises, some of it may be written."""
        scripts: list[Script] = []
        for write in writes:
            if write.replaces_view:
                scripts.append(self._writing_view(write.name, write.view))
            scripts += self._writing_pods(write.name, write.upserts, write.removals)
        for start in range(0, len(scripts), SCRIPTS_A_CALL):
            self._term.scripts(scripts[start : start + SCRIPTS_A_CALL])

    def write_node(self, name: NodeName, view: NodeView | None) -> None:
        """Replace what is known of a node, its pods apart; None removes it."""
        self.write_all([NodeWrite(name=name, replaces_view=True, view=view)])

    def write_pods(self, name: NodeName, upserts: Iterable[PodRequest], removals: Iterable[PodUid]) -> None:
        """Write and remove pods of a node; the others stay."""
        self.write_all([NodeWrite(name=name, upserts=tuple(upserts), removals=tuple(removals))])

    def _writing_view(self, name: NodeName, view: NodeView | None) -> Script:
        p, node = self._prefix, view.node if view is not None else None
        instance = node.instance_id if node is not None and node.instance_id is not None and not node.auto else ""
        body = b"" if view is None else _encode(view)
        spots = [*self._of(name), keys.ledger(p, name), keys.instances(p)]
        return Script("write_view", spots, [name, body, instance, keys.names_of(p, "")])

    def _writing_pods(
        self, name: NodeName, upserts: Sequence[PodRequest], removals: Sequence[PodUid]
    ) -> Iterator[Script]:
        for start in range(0, max(len(upserts), len(removals)), PODS_A_CALL):
            pods = upserts[start : start + PODS_A_CALL]
            args: list[Value] = [name, len(pods)]
            for pod in pods:
                args += [pod.uid, _encode(pod)]
            yield Script("write_pods", self._of(name), args + list(removals[start : start + PODS_A_CALL]))

    def write_config(self, config: ClusterConfig) -> None:
        """Replace it."""
        self._term.script("write_config", [keys.config(self._prefix)], [_encode(config)])

    def config(self) -> ClusterConfig | None:
        """None: none is written, or it cannot be decoded."""
        body = self._link.command("GET", keys.config(self._prefix))
        try:
            return None if body is None else _config.decode(body)
        except msgspec.DecodeError:
            return None

    def begin_full_list(self) -> None:
        """A full list begins: until `finish_full_list` absence means nothing."""
        self._listing = secrets.token_hex(8)
        spots = [keys.listing(self._prefix), keys.complete(self._prefix)]
        self._term.script("begin_list", spots, [self._listing])

    def finish_full_list(self, run: str | None = None) -> bool:
        """Everything that was listed is written, and what was not listed is removed; `run` of Redis, None: not known.
        False: Redis was emptied since `begin_full_list`, or another leader began a list; list again."""
        names = [keys.listing(self._prefix), keys.complete(self._prefix)]
        return bool(self._term.script("finish_list", names, [self._listing, run or UNKNOWN_RUN]))

    def mark_compared(self, run: str | None) -> None:
        """Everything that is written was compared with the cluster in this run of Redis; None: it is not known."""
        self._term.script("mark_compared", [keys.complete(self._prefix)], [run or UNKNOWN_RUN])

    def compared_in(self) -> str | None:
        """In which run of Redis everything was compared last; None where that is not known."""
        mark = self._link.command("GET", keys.complete(self._prefix))
        return None if mark is None or text(mark) == UNKNOWN_RUN else text(mark)

    def epoch(self) -> str | None:
        """The run of Redis that answers, where everything was compared with the cluster since it began; "" where one of
        both is not known; None: it was not, and what is read may be as old as the copy that Redis began with."""
        # In this order: a Redis that is started in between is another run than its copy's mark tells.
        compared, now = self.compared_in(), self._server.run_id()
        if compared is None or now is None:
            return ""
        return now if compared == now else None

    def is_complete(self) -> bool:
        return bool(self._link.command("EXISTS", keys.complete(self._prefix)))

    def known_nodes(self) -> set[NodeName]:
        """Nodes that have desired state or a ledger."""
        names = self._link.command("SUNION", keys.desired_nodes(self._prefix), keys.ledgers(self._prefix))
        return {NodeName(text(name)) for name in names}

    def read(self, name: NodeName, ledger: Ledger | None = None) -> Desired:
        """As `read_many`, of one node. With its ledger: and of the other node names of its instances."""
        return self._read_after([], name, ledger)

    def look(self, name: NodeName, ledger: Ledger) -> Desired:
        """As `read`, and the node's dirty mark is cleared in the same step: what is written later marks it again."""
        return self._read_after([self._wakeups.clearing(name)], name, ledger)

    def _read_after(self, first: Iterable[Sequence[Value]], name: NodeName, ledger: Ledger | None) -> Desired:
        """`first`: commands that are carried out in the same step, before anything is read."""
        before = list(first)
        known = sorted(instances_of(NodeView(), ledger)) if ledger is not None else []
        asked = [("SMEMBERS", keys.names_of(self._prefix, one)) for one in known]
        answers = self._link.transaction([*before, *self._reading([name]), *asked])[len(before) :]
        found = self._read([name], answers[: len(answers) - len(asked)])[name]
        if ledger is None:
            return found
        names = {NodeName(text(each)) for some in answers[len(answers) - len(asked) :] for each in some}
        if unknown := sorted(instances_of(found.view, ledger) - set(known)):
            names |= self._names_of(unknown)
        sharers, whole = self._sharers(sorted(names - {name}))
        return msgspec.structs.replace(found, sharers=sharers, complete=found.complete and whole)

    def names_of(self, instance: InstanceId) -> set[NodeName]:
        """Node names whose Node objects name the instance, or whose ledgers are about it."""
        return self._names_of([instance])

    def _names_of(self, instances: Iterable[InstanceId]) -> set[NodeName]:
        found = self._link.transaction([("SMEMBERS", keys.names_of(self._prefix, one)) for one in instances])
        return {NodeName(text(name)) for names in found for name in names}

    def _sharers(self, others: Sequence[NodeName]) -> tuple[tuple[Sharer, ...], bool]:
        """What is known of these, and whether all could be read."""
        if not others:
            return (), True
        desired = self.read_many(others)
        bodies = self._link.transaction([("GET", keys.ledger(self._prefix, other)) for other in others])
        found: list[Sharer] = []
        whole = all(desired[other].complete for other in others)
        for other, body in zip(others, bodies, strict=True):
            try:
                theirs = decoded(other, body)
            except LedgerUnreadable:
                # Its own run sets it aside; until then nothing is known of what it claims.
                theirs, whole = None, False
            found.append(Sharer(name=other, view=desired[other].view, pods=desired[other].pods, ledger=theirs))
        return tuple(found), whole

    def read_many(self, names: Sequence[NodeName]) -> dict[NodeName, Desired]:
        """One consistent read. Where a value cannot be decoded (written by another version) it is left out and the
        answer is not `complete`, so that nothing is released for it."""
        return self._read(names, self._link.transaction(self._reading(names)))

    def _reading(self, names: Iterable[NodeName]) -> list[Sequence[Value]]:
        commands: list[Sequence[Value]] = [("GET", keys.config(self._prefix)), ("EXISTS", keys.complete(self._prefix))]
        for name in names:
            view_key, pods_key, _ = self._of(name)
            commands += [("GET", view_key), ("HGETALL", pods_key)]
        return commands

    def _read(self, names: Sequence[NodeName], answers: Sequence[Any]) -> dict[NodeName, Desired]:
        """What the answers to `_reading` say."""
        raw_config, marked, *raws = answers
        found = zip(names, raws[::2], raws[1::2], strict=True)
        return {name: _decoded(name, view, pods, raw_config, bool(marked)) for name, view, pods in found}

    def _of(self, name: NodeName) -> list[str]:
        p = self._prefix
        return [keys.view(p, name), keys.pods(p, name), keys.desired_nodes(p)]


def instances_of(view: NodeView, ledger: Ledger) -> set[InstanceId]:
    """Instances that a node's object, CNINode or ledger is about."""
    named = [view.node.instance_id if view.node is not None else None]
    if view.cninode is not None:
        named.append(instance_id_of(view.cninode.spec.tags.get(INSTANCE_TAG, "")))
    if ledger.instance is not None:
        named.append(ledger.instance.instance_id)
    named += [branch.instance_id for branch in ledger.branches.values()]
    return {one for one in named if one is not None}


def _decoded(
    name: NodeName, raw_view: bytes | None, raw_pods: Mapping[bytes, bytes], raw_config: bytes | None, complete: bool
) -> Desired:
    view, config = NodeView(), None
    pods: dict[PodUid, PodRequest] = {}
    try:
        view = _view.decode(raw_view) if raw_view is not None else view
        config = _config.decode(raw_config) if raw_config is not None else None
        for uid, raw in raw_pods.items():
            pods[PodUid(uid.decode())] = _pod.decode(raw)
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        _log.warning("desired_state_unreadable", node=name, error=str(error))
        complete = False
    return Desired(view=view, pods=pods, config=config, complete=complete)
