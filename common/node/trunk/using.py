"""A trunk in use: the capacity that it gives its node, and its security groups."""

from common.model.actions import SetTrunkGroups
from common.model.errors import OutsideError
from common.model.names import POD_ENI
from common.model.node import NodeFacts
from common.model.notice import EventReason, Severity
from common.node.capacity import advertise
from common.node.retry import PASSING
from common.node.state import NodeState, Planning
from common.node.trunk.place import branch_limit, place
from common.node.trunk.subject import SUBJECT
from common.rules.managed import LINUX, eni_config_name


def had_trunk(node: NodeFacts) -> bool:
    """By its capacity: without a record, what EC2 has of it is to be found out."""
    return node.os == LINUX and node.instance_id is not None and POD_ENI in node.capacity


def use(state: Planning, node: NodeFacts) -> None:
    trunk = state.ledger.trunk
    assert trunk.eni_id is not None
    advertise(state, node, POD_ENI, branch_limit(state))
    state.emit_node_once(
        f"trunk/{node.uid}",
        EventReason.NODE_TRUNK_INITIATED,
        "The node has trunk interface initialized successfully",
    )
    if eni_config_name(node, state.ledger.cninode_spec) is None:
        return
    where = place(state, node)
    if where is None:
        return
    subnet, groups = where
    if subnet != trunk.subnet_id:
        state.emit_node_once(
            "subnet",
            EventReason.TRUNK_SUBNET_DIFFERS,
            f"The trunk interface {trunk.eni_id} stays in subnet {trunk.subnet_id}: a trunk cannot move to the "
            f"ENIConfig's subnet {subnet}; branch interfaces are made there, replace the node to move its trunk",
            Severity.WARNING,
        )
    elif groups != trunk.groups and state.may(SUBJECT):
        state.start(SetTrunkGroups(subject=SUBJECT, eni_id=trunk.eni_id, groups=groups))


def groups_set(state: NodeState, action: SetTrunkGroups) -> None:
    state.set_trunk(groups=action.groups)


def groups_not_set(state: NodeState, error: OutsideError) -> None:
    if not isinstance(error, PASSING):
        state.emit_node(
            EventReason.TRUNK_GROUPS_NOT_CHANGED,
            f"The trunk interface keeps its security groups, the ENIConfig's were refused: {error}",
            Severity.WARNING,
        )
