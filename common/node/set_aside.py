"""A ledger that cannot be understood: it is set aside, people are emitted, and the node is adopted anew.

Nothing but the record is lost by it. Interfaces and addresses are found in EC2 by their tags, and whose they are in the
annotations of pods and by the API server, as after a loss of Redis.
"""

from common.model.ids import NodeName
from common.model.ledger import Backoff, Ledger, Trunk
from common.model.notice import EventReason, NodeNotice, Severity
from common.node.retry import grown

SUBJECT = "ledger"
FIRST_SECONDS, LONGEST_SECONDS = 5.0, 300.0
"""Between one setting aside and the adoption after the next one: what comes back is not met by spinning."""
FORGOTTEN_SECONDS = 3600.0
"""After so long without another, a setting aside counts as the first."""


def set_aside(ledger: Ledger | None, node: NodeName, fault: str, now: float) -> tuple[Ledger, NodeNotice]:
    """The ledger to begin anew with in place of `ledger` (None: not even read), and the event about it."""
    before = ledger or Ledger(node=node)
    last = before.backoffs.get(SUBJECT, Backoff())
    attempts = last.attempts if now - last.not_before < FORGOTTEN_SECONDS else 0
    wait = grown(FIRST_SECONDS, LONGEST_SECONDS, attempts - 1) if attempts else 0.0
    fresh = Ledger(
        node=node,
        # No outcome that is still to come of the old ledger's trunk is taken for the next one's.
        trunk=Trunk(generation=before.trunk.generation + 1),
        cninode_spec=before.cninode_spec,
        gone_since=before.gone_since,
        cooldown_seen=before.cooldown_seen,
        emitted=before.emitted,
        backoffs={SUBJECT: Backoff(not_before=now + wait, attempts=attempts + 1, code="LedgerSetAside", message=fault)},
        snapshot_after=now + wait,
    )
    notice = NodeNotice(
        node=node,
        reason=EventReason.LEDGER_SET_ASIDE,
        severity=Severity.WARNING,
        message=f"The record of this node could not be understood ({fault}) and was set aside; what the node has is "
        "found again in EC2",
    )
    return fresh, notice


def run_failed(node: NodeName, fault: Exception) -> NodeNotice:
    """The event about a run that raised what nobody foresaw."""
    return NodeNotice(
        node=node,
        reason=EventReason.RECONCILE_FAILED,
        severity=Severity.WARNING,
        message=f"The node could not be worked on ({type(fault).__name__}): see the worker's log; it is tried again",
    )
