"""Events on pods of a node that cannot serve them: why they wait."""

from common.model.ledger import TrunkState
from common.model.notice import EventReason, Severity
from common.model.pod import is_live
from common.node.state import Planning
from common.node.trunk.place import branch_limit
from common.node.trunk.subject import SUBJECT as TRUNK
from common.node.trunk.subject import UNDONE


def emit_waiting(state: Planning) -> None:
    """Where there is more to say than `soon`."""
    why = _why_not(state)
    for pod in state.desired.pods.values() if why else ():
        unserved = (pod.branches and pod.eni_annotation is None) or (pod.addresses and pod.ip_annotation is None)
        if unserved and is_live(pod):
            state.emit_pod_once(
                pod, EventReason.WAITING_FOR_NODE, f"The pod waits for its node: {why}", Severity.WARNING
            )


def _why_not(state: Planning) -> str:
    instance, emitted = state.ledger.instance, state.ledger.emitted
    if instance is None:
        return emitted.get("instance", "")
    if instance.instance_type not in state.options.limits:
        return f"its instance type {instance.instance_type} is not known"
    if branch_limit(state) == 0:
        return f"its instance type {instance.instance_type} has no trunk interface"
    failing = (state.ledger.backoffs.get(subject) for subject in (TRUNK, UNDONE))
    code = next((backoff.code for backoff in failing if backoff is not None and backoff.code), "")
    if code:
        return f"its trunk interface could not be made yet: {code}"
    if state.ledger.trunk.state is TrunkState.ABSENT and "index" in emitted:
        return "its instance has no free device index for a trunk interface"
    return emitted.get("eniconfig", "")
