"""Chapter: a Linux node's trunk, from nothing to `attached`, and the capacity that it gives."""

from common.model.actions import (
    Advertise,
    AttachTrunk,
    AwaitTrunk,
    CreateTrunk,
    FinishTrunk,
    PermitInterface,
    SetTrunkGroups,
    UndoTrunk,
)
from common.model.ids import GroupId, SubnetId
from common.model.ledger import InstanceFacts, Pace, Trunk, TrunkState
from common.model.names import POD_ENI
from common.model.node import NodeFacts
from common.model.notice import Severity
from common.model.warrant import Warrant
from common.node.state import Planning
from common.node.tokens import trunk_token
from common.rules.managed import eni_config_name, interface_tags
from common.rules.release_gate import Evidence, Lack, warrant
from common.rules.scopes import scopes_of

SUBJECT = "trunk"
CAPACITY = "capacity"
INDEX = "index"
INDEX_SECONDS, LONGEST_INDEX_SECONDS, SOON_LOOKS = 6.0, 24.0, 100
"""A device index gets free when somebody detaches an interface, which only a look at EC2 shows. After so many looks the
intervals grow, so that a node that never gets one costs little."""
LOOK_ANEW_SECONDS = 10.0
"""More than EC2's Describe calls lag: what was wrong with the last look is right in the next."""


def branch_limit(state: Planning) -> int:
    """Branch interfaces that the node's trunk can carry; 0 where the type has none or is unknown."""
    instance = state.ledger.instance
    limits = state.options.limits.get(instance.instance_type) if instance is not None else None
    return limits.max_branch_interfaces if limits is not None else 0


def keep_trunk(state: Planning, node: NodeFacts) -> bool:
    """One step nearer to a trunk in use; True when it is ready."""
    instance = state.ledger.instance
    assert instance is not None
    if not _supported(state, instance):
        return False
    reached = state.ledger.trunk.state
    if reached is TrunkState.READY:
        _use(state, node)
        return True
    if reached in (TrunkState.ABSENT, TrunkState.CREATING):
        _create(state, node, instance)
    elif state.may(SUBJECT):
        _go_on(state, instance)
    return False


def _supported(state: Planning, instance: InstanceFacts) -> bool:
    if branch_limit(state) > 0:
        if "unsupported" in state.ledger.told and state.ledger.trunk.state is TrunkState.ABSENT:
            # Its limits came later than its snapshot: only now a device index can be looked for.
            state.change(snapshot_after=state.now)
            state.look_at(state.now)
        state.forget_told("unsupported")
        return True
    kind = instance.instance_type
    if kind in state.options.limits:
        message = f"The instance type {kind} is not supported for trunk interface (Security Group for Pods)"
    else:
        message = f"The instance type {kind} is not supported yet by the vpc resource controller"
    state.tell_node_once("unsupported", "Unsupported", message, Severity.WARNING)
    return False


def place(state: Planning, node: NodeFacts) -> tuple[SubnetId, tuple[GroupId, ...]] | None:
    """Subnet and groups of the node's trunk; None (and an event) where its ENIConfig is not there."""
    instance = state.ledger.instance
    assert instance is not None
    name = eni_config_name(node, state.ledger.cninode_spec)
    if name is None:
        state.forget_told("eniconfig")
        return instance.subnet.subnet_id, instance.groups
    config = state.desired.view.eni_config
    if name and config is not None and config.name == name:
        state.forget_told("eniconfig")
        return config.subnet, config.groups or instance.groups
    message = (
        f"The ENIConfig {name} that the node names does not exist"
        if name
        else "The CNINode's feature CustomNetworking names no ENIConfig, and the node has no label that does"
    )
    state.tell_node_once("eniconfig", "EniConfigNameNotFound", message, Severity.WARNING)
    return None


def _create(state: Planning, node: NodeFacts, instance: InstanceFacts) -> None:
    trunk = state.ledger.trunk
    if trunk.state is TrunkState.CREATING and trunk.subnet_id is not None:
        where: tuple[SubnetId, tuple[GroupId, ...]] | None = (trunk.subnet_id, trunk.groups)
    else:
        where = place(state, node)
    if where is None or state.ledger.snapshot_after is not None:
        return
    if trunk.device_index is None:
        _no_index(state)
        return
    _index_found(state)
    subnet, groups = where
    extra, bad = interface_tags(state.ledger.cninode_spec)
    action = CreateTrunk(
        subject=SUBJECT,
        instance_id=instance.instance_id,
        subnet_id=subnet,
        groups=groups,
        token=trunk_token(state.options.cluster, instance.instance_id, trunk.generation),
        extra_tags=extra,
        again=trunk.state is TrunkState.CREATING,
    )
    if not state.may(SUBJECT, scopes_of(action)):
        return
    if bad:
        state.tell_node_once("tags", "InvalidTag", "Tags of the CNINode left out: " + "; ".join(bad), Severity.WARNING)
    state.set_trunk(state=TrunkState.CREATING, subnet_id=subnet, groups=groups)
    state.start(action)


def _no_index(state: Planning) -> None:
    if state.first_time(INDEX, "none"):
        state.tell_node("NodeTrunkFailedInit", "The node failed initializing trunk interface")
        state.tell_node(
            "NoFreeDeviceIndex",
            "The instance has no free device index for a trunk interface: detach an interface, or lower the number "
            "that the VPC CNI attaches (MAX_ENI, WARM_ENI_TARGET)",
            Severity.WARNING,
        )
    looks = state.pace(INDEX).attempts
    wait = min(LONGEST_INDEX_SECONDS, INDEX_SECONDS * max(1.0, looks / SOON_LOOKS))
    state.change(
        snapshot_after=state.now + wait, paces={**state.ledger.paces, INDEX: Pace(attempts=looks + 1, code="NoIndex")}
    )
    state.look_at(state.now + wait)


def _index_found(state: Planning) -> None:
    if INDEX in state.ledger.paces:
        state.change(paces={subject: pace for subject, pace in state.ledger.paces.items() if subject != INDEX})
        state.forget_told(INDEX)


def _go_on(state: Planning, instance: InstanceFacts) -> None:
    trunk = state.ledger.trunk
    assert trunk.eni_id is not None
    match trunk.state:
        case TrunkState.CREATED:
            state.start(PermitInterface(subject=SUBJECT, eni_id=trunk.eni_id))
        case TrunkState.PERMITTED | TrunkState.ATTACHING if trunk.attachment_id is None:
            if trunk.device_index is None:
                state.set_trunk(state=TrunkState.UNDOING)
                _no_index(state)
                return
            again = trunk.state is TrunkState.ATTACHING
            state.set_trunk(state=TrunkState.ATTACHING)
            state.start(
                AttachTrunk(
                    subject=SUBJECT,
                    eni_id=trunk.eni_id,
                    instance_id=instance.instance_id,
                    device_index=trunk.device_index,
                    again=again,
                )
            )
        case TrunkState.ATTACHING if trunk.attachment_id is not None:
            state.start(FinishTrunk(subject=SUBJECT, eni_id=trunk.eni_id, attachment_id=trunk.attachment_id))
        case TrunkState.ATTACHED:
            state.start(AwaitTrunk(subject=SUBJECT, eni_id=trunk.eni_id, instance_id=instance.instance_id))
        case TrunkState.UNDOING:
            _undo(state, instance)
        case _:
            pass


def _undo(state: Planning, instance: InstanceFacts) -> None:
    """Take back a trunk that was made here and never carried anything. One that was found may carry what is not known:
    it is looked at anew instead."""
    trunk = state.ledger.trunk
    assert trunk.eni_id is not None
    leave = warrant(
        Evidence(
            eni_id=trunk.eni_id,
            complete=state.desired.complete,
            claimed=any(b.trunk_id == trunk.eni_id for b in state.ledger.branches.values()),
            made=not trunk.adopted,
            used=False,
        ),
        state.now,
    )
    if isinstance(leave, Warrant):
        state.start(UndoTrunk(subject=SUBJECT, eni_id=trunk.eni_id, instance_id=instance.instance_id, warrant=leave))
    elif leave.lack is not Lack.LISTS:
        again = state.now + LOOK_ANEW_SECONDS
        state.change(trunk=Trunk(generation=trunk.generation + 1), snapshot_after=again)
        state.look_at(again)


def _use(state: Planning, node: NodeFacts) -> None:
    trunk, limit = state.ledger.trunk, branch_limit(state)
    assert trunk.eni_id is not None
    if node.capacity.get(POD_ENI) != str(limit) and state.may(CAPACITY):
        state.start(Advertise(subject=CAPACITY, node=node.name, node_uid=node.uid, resource=POD_ENI, amount=limit))
    state.tell_node_once(
        f"trunk/{node.uid}",
        "NodeTrunkInitiated",
        "The node has trunk interface initialized successfully",
    )
    if eni_config_name(node, state.ledger.cninode_spec) is None:
        return
    where = place(state, node)
    if where is None:
        return
    subnet, groups = where
    if subnet != trunk.subnet_id:
        state.tell_node_once(
            "subnet",
            "TrunkSubnetDiffers",
            f"The trunk interface {trunk.eni_id} stays in subnet {trunk.subnet_id}: a trunk cannot move to the "
            f"ENIConfig's subnet {subnet}; branch interfaces are made there, replace the node to move its trunk",
            Severity.WARNING,
        )
    elif groups != trunk.groups and state.may(SUBJECT):
        state.start(SetTrunkGroups(subject=SUBJECT, eni_id=trunk.eni_id, groups=groups))
