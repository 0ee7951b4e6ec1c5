"""What a Linux node's trunk may be: what its instance type allows, subnet and groups that the node names."""

from common.model.ids import GroupId, SubnetId
from common.model.ledger import InstanceFacts, TrunkState
from common.model.node import NodeFacts
from common.model.notice import EventReason, Severity
from common.node.state import Planning
from common.rules.managed import eni_config_name


def branch_limit(state: Planning) -> int:
    """Branch interfaces that the node's trunk can carry; 0 where the type has none or is unknown."""
    instance = state.ledger.instance
    limits = state.options.limits.get(instance.instance_type) if instance is not None else None
    return limits.max_branch_interfaces if limits is not None else 0


def is_supported(state: Planning, instance: InstanceFacts) -> bool:
    """Whether the instance type has trunks; an event where it has none."""
    if branch_limit(state) > 0:
        if "unsupported" in state.ledger.emitted and state.ledger.trunk.state is TrunkState.ABSENT:
            # Its limits came later than its snapshot: only now a device index can be looked for.
            state.change(snapshot_after=state.now)
            state.look_at(state.now)
        state.forget_emitted("unsupported")
        return True
    kind = instance.instance_type
    if kind in state.options.limits:
        message = f"The instance type {kind} is not supported for trunk interface (Security Group for Pods)"
    else:
        message = f"The instance type {kind} is not supported yet by the vpc resource controller"
    state.emit_node_once("unsupported", EventReason.UNSUPPORTED, message, Severity.WARNING)
    return False


def place(state: Planning, node: NodeFacts) -> tuple[SubnetId, tuple[GroupId, ...]] | None:
    """Subnet and groups of the node's trunk; None (and an event) where its ENIConfig is not there."""
    instance = state.ledger.instance
    assert instance is not None
    name = eni_config_name(node, state.ledger.cninode_spec)
    if name is None:
        state.forget_emitted("eniconfig")
        return instance.subnet.subnet_id, instance.groups
    config = state.desired.view.eni_config
    if name and config is not None and config.name == name:
        state.forget_emitted("eniconfig")
        return config.subnet, config.groups or instance.groups
    message = (
        f"The ENIConfig {name} that the node names does not exist"
        if name
        else "The CNINode's feature CustomNetworking names no ENIConfig, and the node has no label that does"
    )
    state.emit_node_once("eniconfig", EventReason.ENI_CONFIG_NAME_NOT_FOUND, message, Severity.WARNING)
    return None
