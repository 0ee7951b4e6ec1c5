"""The spans of one run: in the trace of each pod that waits on the node, and in the node's own."""

from collections.abc import Iterator
from dataclasses import dataclass, field

from common import spans
from common.clock import Clock
from common.model import actions as act
from common.model.desired import Desired
from common.model.ids import NodeName, PodUid
from common.model.ledger import Ledger
from common.model.pod import PodRequest
from common.model.reservation import Urgency
from common.spans import NODE, Finished, Scope, Value
from common.trace_ids import Place, node_trace, pod_root

RUN, QUEUE, POD = "reconcile run", "wait in the queue", "pod"
FAILED = frozenset({"lost", "failed", "abandoned"})
"""Endings of a run that are errors."""


@dataclass(frozen=True, slots=True, kw_only=True)
class _Waiting:
    """A pod's part of the run."""

    pod: PodRequest
    root: Place
    run: Place
    since: float
    """Epoch seconds at which the run read it first."""

    @property
    def attributes(self) -> dict[str, Value]:
        pod = self.pod
        return {"k8s.pod.uid": pod.uid, "k8s.pod.name": pod.name, "k8s.namespace.name": pod.namespace}


@dataclass(slots=True, kw_only=True)
class RunTrace:
    """Used by the run's thread. Does nothing where no spans are sent. Times in epoch seconds."""

    node: NodeName
    run: str
    """The run's name, as its lock has it."""
    clock: Clock
    sent: float | None = None
    """When the message that led here was published, if it says so."""
    began: float = 0.0
    _pods: dict[PodUid, _Waiting] = field(default_factory=dict)
    _seen: set[PodUid] = field(default_factory=set)
    """Also those that were given what they asked for."""
    _looked: bool = False
    """What was desired when the run began has been read."""
    _instance: str = ""
    _own: Place | None = None
    """The node's own span, once something was done for the node as a whole."""

    def __post_init__(self) -> None:
        self.began = self.clock.now()

    def read(self, desired: Desired, ledger: Ledger) -> None:
        """The run has read this: pods that wait and are new to it are its pods from now on."""
        if not spans.on():
            return
        now, facts = self.clock.now(), desired.view.node
        self._instance = (facts.instance_id if facts is not None else None) or self._instance
        for pod in waiting(desired, ledger):
            root = pod_root(pod.uid)
            if pod.uid in self._seen or not spans.samples(root):
                continue
            self._seen.add(pod.uid)
            # By the clocks of two processes, which differ by milliseconds: it was seen before it was read.
            since = max(now if self._looked else self.began, pod.seen_at)
            mine = _Waiting(pod=pod, root=root, run=spans.new_span(root.trace), since=since)
            self._pods[pod.uid] = mine
            if self.sent is not None and not self._looked:
                sent = min(since, max(self.sent, pod.seen_at))
                self._record(QUEUE, spans.new_span(root.trace), root.span, sent, since, mine)
        self._looked = True

    def scope(self, action: act.Action, ledger: Ledger) -> Scope | None:
        """Below what the action's spans hang. None: it is in no trace; nobody waits for it."""
        if not spans.on():
            return None
        uid = pod_of(action, ledger)
        if uid is not None:
            mine = self._pods.get(uid)
            return None if mine is None else self._below(mine.root, mine.run, mine.since, mine.attributes)
        if action.terms.urgency is Urgency.RELEASE or isinstance(action, act.BranchAction):
            return None
        trace = node_trace(self.node, self._instance)
        if self._own is None:
            self._own = spans.new_span(trace.trace)
        return self._below(trace, self._own, self.began, {})

    def annotated(self, pod: PodRequest) -> None:
        """The pod has what it asked for: its trace ends here."""
        mine = self._pods.pop(pod.uid, None)
        if mine is None:
            return
        now = self.clock.now()
        self._record_run(mine, now, "annotated")
        before = max(0.0, pod.seen_at - pod.scheduled_at)
        self._record(POD, mine.root, 0, pod.seen_at, now, mine, {"vpc_rc.scheduled_before_seconds": round(before, 3)})

    def ended(self, ending: str) -> None:
        """The run is over; pods that wait still are another's."""
        now = self.clock.now()
        for mine in self._pods.values():
            self._record_run(mine, now, ending)
        self._pods.clear()
        if self._own is not None:
            code = ending if ending in FAILED else ""
            self._record(RUN, self._own, 0, self.began, now, None, {"vpc_rc.ending": ending}, code=code)

    def _record_run(self, mine: _Waiting, now: float, ending: str) -> None:
        told: dict[str, Value] = {"vpc_rc.ending": ending, "vpc_rc.run": self.run}
        code = ending if ending in FAILED else ""
        self._record(RUN, mine.run, mine.root.span, mine.since, now, mine, told, code=code)

    def _record(
        self,
        name: str,
        place: Place,
        parent: int,
        began: float,
        ended: float,
        mine: _Waiting | None,
        told: dict[str, Value] | None = None,
        code: str = "",
    ) -> None:
        attributes = {NODE: self.node, **(mine.attributes if mine is not None else {}), **(told or {})}
        own = self._own if mine is not None and name == RUN else None
        link = own if own is not None and spans.samples(own) else None
        spans.record(
            Finished(
                name=name,
                place=place,
                parent=parent,
                began=began,
                ended=max(began, ended),
                attributes=attributes,
                link=link,
                code=code,
            )
        )

    def _below(self, root: Place, place: Place, began: float, more: dict[str, Value]) -> Scope:
        return Scope(root=root, place=place, began=began, clock=self.clock, attributes={NODE: self.node, **more})


def pod_of(action: act.Action, ledger: Ledger) -> PodUid | None:
    """The pod that the action is about; None: it is about the node, or an interface that is no pod's."""
    match action:
        case act.ResolvePod(pod=pod):
            return pod.uid
        case act.Annotate(pod_uid=uid) | act.ConfirmGone(pod_uid=uid) | act.CreateBranch(pod_uid=uid):
            return uid
        case act.PermitBranch(key=key) | act.AssociateBranch(key=key) | act.SetBranchGroups(key=key):
            branch = ledger.branches.get(key)
            return branch.pod_uid if branch is not None else None
        case _:
            return None


def waiting(desired: Desired, ledger: Ledger) -> Iterator[PodRequest]:
    """Pods that ask for something and, as far as is known, have no annotation that names it."""
    addresses = ledger.pool.addresses.values() if ledger.pool is not None else ()
    has_address = {address.pod_uid for address in addresses if address.annotated}
    for uid, pod in desired.pods.items():
        claim = ledger.claims.get(uid)
        branches = pod.branches and pod.eni_annotation is None and not (claim is not None and claim.annotated)
        address = pod.addresses and pod.ip_annotation is None and uid not in has_address
        if (branches or address) and not pod.finished:
            yield pod
