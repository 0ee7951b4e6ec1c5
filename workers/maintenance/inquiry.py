"""Asking everybody who may know an owner of an idle interface, right before it is deleted."""

from collections.abc import Iterable, Mapping
from typing import Protocol

from common.clock import Clock
from common.ec2.api import Ec2
from common.logging import get_logger
from common.model.ec2 import Interface
from common.model.errors import LedgerUnreadable, NotFound, OutsideError, Throttled, Unsure
from common.model.ids import EniId, InstanceId, NodeName, PodUid
from common.model.ledger import Ledger
from common.model.names import INSTANCE_TAG, POD_UID_TAG
from common.model.node import NodeFacts
from common.model.pod import PodRequest
from common.model.warrant import Warrant
from common.rules.leaks import claimed_by_ledgers, claimed_by_pods, unchanged
from common.rules.release_gate import Evidence, Refusal, warrant
from common.store import Store

_log = get_logger(__name__)


class InquiryKube(Protocol):
    def get_node(self, name: NodeName) -> NodeFacts | None: ...
    def list_pods_on(self, node: NodeName, now: float) -> Iterable[PodRequest]: ...


class Inquiry:
    """One per pass. Every method raises OutsideError and StoreUnavailable: nothing is deleted then."""

    def __init__(self, store: Store, ec2: Ec2, kube: InquiryKube, clock: Clock) -> None:
        self._store, self._ec2, self._kube, self._clock = store, ec2, kube, clock
        self._associated: frozenset[EniId] | None = None
        self._ledgers: Mapping[NodeName, Ledger] | None = None
        self._unreadable: set[NodeName] = set()

    def about(self, seen: Interface, *, idle_since: float, rest: float = 0.0, ended: NodeName | None = None) -> (
        Warrant | Refusal
    ):  # fmt: skip
        """Whether the interface may be deleted that was `seen` idle, and idle since (epoch seconds). `ended`: a node
        that is gone by the API server's word, whose pods went with it. Raises NotFound where EC2 shows it no more."""
        began = self._clock.now()
        shown = next(iter(self._ec2.describe_interfaces(ids=[seen.eni_id])), None)
        if shown is None:
            raise NotFound("InvalidNetworkInterfaceID.NotFound", f"The interface {seen.eni_id} is not shown")
        claimed = (
            not unchanged(seen, shown)
            or seen.eni_id in self._associations()
            or self._claimed_in_kubernetes(shown, began, ended)
        )
        evidence = Evidence(
            eni_id=seen.eni_id,
            complete=self._store.desired.is_complete(),
            claimed=claimed,
            made=False,
            owner=PodUid(shown.tags.get(POD_UID_TAG, "")),
            in_use_at=idle_since,
            rest=rest,
            word_at=began,
            looked_at=began,
        )
        return warrant(evidence, self._clock.now())

    def lives_on(self, instance: InstanceId, gone: NodeName) -> bool:
        """Whether another Node object names the instance, by the API server's word."""
        others = (self._kube.get_node(name) for name in sorted(self._store.desired.names_of(instance) - {gone}))
        return any(node is not None and node.instance_id == instance for node in others)

    def _claimed_in_kubernetes(self, shown: Interface, now: float, ended: NodeName | None) -> bool:
        """By a ledger, by a pod, or by a node of the instance whose ledger does not know the instance yet."""
        if self._ledgers is None:
            self._ledgers = self._store.ledgers.all(self._not_read)
        if self._unreadable - {ended}:
            return True  # What they claim is not known; a run of their nodes sets them aside.
        others = (ledger for name, ledger in self._ledgers.items() if name != ended)
        if claimed_by_ledgers(shown, others):
            return True
        instance = InstanceId(shown.tags.get(INSTANCE_TAG, ""))
        for name in sorted(self._store.desired.names_of(instance) - {ended}):
            try:
                ledger = self._store.ledgers.load(name)
            except LedgerUnreadable:
                return True  # What it claims is not known.
            view = self._store.desired.read(name).view
            lives = view.node is not None and view.node.instance_id == instance
            if ledger is None and lives:
                return True
            if ledger is not None and claimed_by_ledgers(shown, [ledger]):
                return True
            if claimed_by_pods(shown, self._kube.list_pods_on(name, now)):
                return True
        return False

    def _not_read(self, name: NodeName, error: LedgerUnreadable) -> None:
        _log.warning("nothing is deleted beside a ledger that cannot be read", node=name, error=str(error))
        self._unreadable.add(name)

    def _associations(self) -> frozenset[EniId]:
        """Branches on trunks, as far as EC2 shows them: to assumed roles it does not."""
        if self._associated is None:
            try:
                self._associated = frozenset(branch for branch, *_ in self._ec2.trunk_associations())
            except (Throttled, Unsure):
                raise
            except OutsideError:
                self._associated = frozenset()
        return self._associated
