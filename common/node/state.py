"""The ledger of one node while it is worked on: by planning, and by the outcome of an action."""

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field

import msgspec

from common.model import actions as act
from common.model.actions import Action
from common.model.desired import Desired
from common.model.ec2 import InstanceSnapshot
from common.model.ids import BranchKey
from common.model.ledger import Backoff, Branch, Claim, Ledger, Pool
from common.model.limits import InstanceLimits
from common.model.notice import EventReason, NodeNotice, Notice, PodNotice, Severity
from common.model.pod import PodRequest
from common.node.made_for import made_for
from common.rules import subjects

IDLE = Backoff()
NEVER = float("inf")
ANNOTATION_SEEN_SECONDS = 60.0
"""An annotation that is not seen for so long after it was written has been taken away."""
WATCH_SECONDS = 1.0
"""The watch shows within so long what was written."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Options:
    """What planning depends on besides the state of the world. Times in seconds."""

    cluster: str
    version: str
    limits: Mapping[str, InstanceLimits]
    release_delay: float = 60.0
    """Between a node's confirmed absence and the release of what it had."""
    audit_first: float = 60.0
    audit_longest: float = 900.0
    in_flight: int = 24
    """Calls of one node under way at a time."""
    disabled: bool = False
    """Serve nothing; only departed nodes are cleaned up."""


@dataclass(slots=True, kw_only=True)
class NodeState:
    """A node's ledger as it changes, and the events about it. What outcomes work on; planning sees more."""

    ledger: Ledger
    now: float
    """Epoch seconds."""
    jitter: float
    """In [0, 1): spreads what must not happen on all nodes at once."""
    notices: list[Notice] = field(default_factory=list)

    def change(self, **fields: object) -> None:
        self.ledger = msgspec.structs.replace(self.ledger, **fields)

    def set_trunk(self, **fields: object) -> None:
        self.change(trunk=msgspec.structs.replace(self.ledger.trunk, **fields))

    def set_branch(self, key: BranchKey, **fields: object) -> None:
        """Nothing, where the ledger has it no more."""
        branch = self.ledger.branches.get(key)
        if branch is not None:
            changed: Branch = msgspec.structs.replace(branch, **fields)
            self.change(branches={**self.ledger.branches, key: changed})

    def drop_branch(self, key: BranchKey) -> None:
        self.change(branches={k: b for k, b in self.ledger.branches.items() if k != key})

    def set_claim(self, claim: Claim) -> None:
        self.change(claims={**self.ledger.claims, claim.pod_uid: claim})

    def set_pool(self, pool: Pool) -> None:
        if pool is not self.ledger.pool:
            self.change(pool=pool)

    def backoff(self, subject: str) -> Backoff:
        return self.ledger.backoffs.get(subject, IDLE)

    def set_backoff(self, subject: str, backoff: Backoff | None) -> None:
        """None: the subject has failed at nothing, and waits for nothing."""
        if backoff is None and subject not in self.ledger.backoffs:
            return
        backoffs = {k: v for k, v in self.ledger.backoffs.items() if k != subject}
        self.change(backoffs=backoffs if backoff is None else {**backoffs, subject: backoff})

    def wait_for_watch(self, subject: str) -> None:
        """What was written about it is not seen yet: until then the old is no reason to do it again."""
        self.set_backoff(subject, Backoff(not_before=self.now + WATCH_SECONDS))

    def emit_node(self, reason: EventReason, message: str, severity: Severity = Severity.NORMAL) -> None:
        self.notices.append(NodeNotice(node=self.ledger.node, reason=reason, message=message, severity=severity))

    def emit_node_once(self, key: str, reason: EventReason, message: str, severity: Severity = Severity.NORMAL) -> None:
        """Emit it unless the last event under `key` was the same."""
        if self.first_time(key, message):
            self.emit_node(reason, message, severity)

    def emit_pod(
        self,
        pod: PodRequest | act.Annotate | Branch | Claim,
        reason: EventReason,
        message: str,
        severity: Severity = Severity.NORMAL,
    ) -> None:
        if isinstance(pod, Branch):
            namespace, name, uid = pod.pod_namespace, pod.pod_name, pod.pod_uid
        else:
            uid = pod.uid if isinstance(pod, PodRequest) else pod.pod_uid
            namespace, name = pod.namespace, pod.name
        self.notices.append(
            PodNotice(namespace=namespace, name=name, uid=uid, reason=reason, message=message, severity=severity)
        )

    def emit_pod_once(
        self, pod: PodRequest, reason: EventReason, message: str, severity: Severity = Severity.NORMAL
    ) -> None:
        """Emit why a pod waits, unless its last event had the same reason."""
        if self.first_time(subjects.pod(pod.uid), reason):
            self.emit_pod(pod, reason, message, severity)

    def first_time(self, key: str, what: str) -> bool:
        if self.ledger.emitted.get(key) == what:
            return False
        self.change(emitted={**self.ledger.emitted, key: what})
        return True

    def forget_emitted(self, key: str) -> None:
        if key in self.ledger.emitted:
            self.change(emitted={k: v for k, v in self.ledger.emitted.items() if k != key})


@dataclass(slots=True, kw_only=True)
class Planning(NodeState):
    """The same, with all that planning sees, and what it comes to."""

    desired: Desired
    snapshot: InstanceSnapshot | None
    busy: frozenset[str]
    options: Options
    unavailable: frozenset[str] = frozenset()
    """Scopes that fail for all, and are not this node's to ask about now."""
    held: frozenset[str] = frozenset()
    """Subjects of actions for which this process has no thread now."""
    burst_left: float = 1.0
    """Share of what EC2 allows of the calls that are made ahead of pods that is left, 0 to 1."""
    lacking: int = 0
    """Branch interfaces for which pods wait, without a place on the trunk."""
    actions: list[Action] = field(default_factory=list)
    look_again: float = NEVER
    node_ended: bool = False
    """The node has been gone for long enough, and the API server confirmed it again."""
    done_with: bool = False
    """Nothing is left to keep: the ledger goes."""

    def look_at(self, moment: float) -> None:
        """Ask to be planned again at `moment`."""
        self.look_again = min(self.look_again, moment)

    def unseen_for_long(self, written_at: float) -> bool:
        """Whether an annotation written then would be seen by now: watches lag, by far less."""
        due = written_at + ANNOTATION_SEEN_SECONDS
        if due > self.now:
            self.look_at(due)
        return due <= self.now

    def may(self, subject: str, scopes: Collection[str] = ()) -> bool:
        """Whether a step about `subject` may start now: none is under way, its backoff allows it, and there is room.
        `scopes`: of the step, where it may be another one than the one that failed."""
        if subject in self.busy or subject in self.held:
            return False
        if (due_at := self.due_at(subject, scopes)) > self.now:
            self.look_at(due_at)
            return False
        return len(self.busy) < self.options.in_flight

    def due_at(self, subject: str, scopes: Collection[str] = ()) -> float:
        """When a step about `subject` may start. What waits for a scope is due when that works, or is this node's to
        ask about, or does not concern the step any more."""
        backoff = self.backoff(subject)
        waits = backoff.scope in self.unavailable and (not scopes or backoff.scope in scopes)
        return backoff.not_before if waits or not backoff.scope else 0.0

    def start(self, action: Action) -> None:
        """Add an action whose subject `may` start; the caller records its intent in the ledger."""
        backoff = self.ledger.backoffs.get(action.subject)
        if backoff is not None and backoff.reserved:
            action = msgspec.structs.replace(action, reserved=True)
            self.set_backoff(action.subject, msgspec.structs.replace(backoff, reserved=False))
        action = msgspec.structs.replace(action, made_for=made_for(self.ledger, action))
        self.actions.append(action)
        self.busy |= {action.subject}

    def forget_attempts(self, subject: str) -> None:
        """What was tried has come true: the next failure is the first again."""
        backoff = self.backoff(subject)
        if backoff.attempts:
            self.set_backoff(subject, msgspec.structs.replace(backoff, attempts=0, code="", message=""))

    def forget_ended_subjects(self) -> None:
        """Backoffs and emitted events of what is no more."""
        ledger, pods = self.ledger, self.desired.pods
        branches = {str(key) for key in ledger.branches}
        in_use = {b.pod_uid for b in ledger.branches.values()}
        if ledger.pool is not None:
            in_use |= {a.pod_uid for a in ledger.pool.addresses.values()}

        def current(subject: str) -> bool:
            kind, rest = subjects.parts(subject)
            match kind:
                case subjects.BRANCH:
                    return rest in branches
                case _ if kind in subjects.OF_PODS:
                    return rest in pods or rest in in_use
                case _:
                    return True

        backoffs = {k: v for k, v in ledger.backoffs.items() if current(k)}
        emitted = {k: v for k, v in ledger.emitted.items() if current(k)}
        if len(backoffs) != len(ledger.backoffs) or len(emitted) != len(ledger.emitted):
            self.change(backoffs=backoffs, emitted=emitted)
