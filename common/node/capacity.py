"""The extended resource by which the scheduler knows how many pods a node can serve."""

from common.model.actions import Advertise
from common.model.node import NodeFacts
from common.node.state import NodeState, Planning

SUBJECT = "capacity"


def advertise(state: Planning, node: NodeFacts, resource: str, amount: int) -> None:
    """Write the node's capacity where it differs."""
    if node.capacity.get(resource) != str(amount) and state.may(SUBJECT):
        state.start(Advertise(subject=SUBJECT, node=node.name, node_uid=node.uid, resource=resource, amount=amount))


def advertised(state: NodeState) -> None:
    state.wait_for_watch(SUBJECT)
