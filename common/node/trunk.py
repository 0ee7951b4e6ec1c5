"""Chapter: a Linux node's trunk, from nothing to `attached`, and the capacity that it gives."""

import msgspec

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
from common.node.state import IDLE, Draft
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


def branch_limit(draft: Draft) -> int:
    """Branch interfaces that the node's trunk can carry; 0 where the type has none or is unknown."""
    instance = draft.ledger.instance
    limits = draft.options.limits.get(instance.instance_type) if instance is not None else None
    return limits.max_branch_interfaces if limits is not None else 0


def keep_trunk(draft: Draft, node: NodeFacts) -> bool:
    """One step nearer to a trunk in use; True when it is ready."""
    instance = draft.ledger.instance
    assert instance is not None
    if not _supported(draft, instance):
        return False
    state = draft.ledger.trunk.state
    if state is TrunkState.READY:
        _use(draft, node)
        return True
    if state in (TrunkState.ABSENT, TrunkState.CREATING):
        _create(draft, node, instance)
    elif draft.may(SUBJECT):
        _go_on(draft, instance)
    return False


def _supported(draft: Draft, instance: InstanceFacts) -> bool:
    if branch_limit(draft) > 0:
        if "unsupported" in draft.ledger.told and draft.ledger.trunk.state is TrunkState.ABSENT:
            # Its limits came later than its snapshot: only now a device index can be looked for.
            draft.change(snapshot_after=draft.now)
            draft.look_at(draft.now)
        draft.forget_told("unsupported")
        return True
    kind = instance.instance_type
    if kind in draft.options.limits:
        message = f"The instance type {kind} is not supported for trunk interface (Security Group for Pods)"
    else:
        message = f"The instance type {kind} is not supported yet by the vpc resource controller"
    draft.tell_node_once("unsupported", "Unsupported", message, Severity.WARNING)
    return False


def place(draft: Draft, node: NodeFacts) -> tuple[SubnetId, tuple[GroupId, ...]] | None:
    """Subnet and groups of the node's trunk; None (and an event) where its ENIConfig is not there."""
    instance = draft.ledger.instance
    assert instance is not None
    name = eni_config_name(node, draft.ledger.cninode_spec)
    if name is None:
        draft.forget_told("eniconfig")
        return instance.subnet.subnet_id, instance.groups
    config = draft.desired.view.eni_config
    if name and config is not None and config.name == name:
        draft.forget_told("eniconfig")
        return config.subnet, config.groups or instance.groups
    message = (
        f"The ENIConfig {name} that the node names does not exist"
        if name
        else "The CNINode's feature CustomNetworking names no ENIConfig, and the node has no label that does"
    )
    draft.tell_node_once("eniconfig", "EniConfigNameNotFound", message, Severity.WARNING)
    return None


def _create(draft: Draft, node: NodeFacts, instance: InstanceFacts) -> None:
    trunk = draft.ledger.trunk
    if trunk.state is TrunkState.CREATING and trunk.subnet_id is not None:
        where: tuple[SubnetId, tuple[GroupId, ...]] | None = (trunk.subnet_id, trunk.groups)
    else:
        where = place(draft, node)
    if where is None or draft.ledger.snapshot_after is not None:
        return
    if trunk.device_index is None:
        _no_index(draft)
        return
    _index_found(draft)
    subnet, groups = where
    extra, bad = interface_tags(draft.ledger.cninode_spec)
    action = CreateTrunk(
        subject=SUBJECT,
        instance_id=instance.instance_id,
        subnet_id=subnet,
        groups=groups,
        token=trunk_token(draft.options.cluster, instance.instance_id, trunk.generation),
        extra_tags=extra,
        again=trunk.state is TrunkState.CREATING,
    )
    if not draft.may(SUBJECT, scopes_of(action)):
        return
    if bad:
        draft.tell_node_once("tags", "InvalidTag", "Tags of the CNINode left out: " + "; ".join(bad), Severity.WARNING)
    _set(draft, state=TrunkState.CREATING, subnet_id=subnet, groups=groups)
    draft.start(action)


def _no_index(draft: Draft) -> None:
    if draft.first_time(INDEX, "none"):
        draft.tell_node("NodeTrunkFailedInit", "The node failed initializing trunk interface")
        draft.tell_node(
            "NoFreeDeviceIndex",
            "The instance has no free device index for a trunk interface: detach an interface, or lower the number "
            "that the VPC CNI attaches (MAX_ENI, WARM_ENI_TARGET)",
            Severity.WARNING,
        )
    looks = draft.ledger.paces.get(INDEX, IDLE).attempts
    wait = min(LONGEST_INDEX_SECONDS, INDEX_SECONDS * max(1.0, looks / SOON_LOOKS))
    draft.change(
        snapshot_after=draft.now + wait, paces={**draft.ledger.paces, INDEX: Pace(attempts=looks + 1, code="NoIndex")}
    )
    draft.look_at(draft.now + wait)


def _index_found(draft: Draft) -> None:
    if INDEX in draft.ledger.paces:
        draft.change(paces={subject: pace for subject, pace in draft.ledger.paces.items() if subject != INDEX})
        draft.forget_told(INDEX)


def _go_on(draft: Draft, instance: InstanceFacts) -> None:
    trunk = draft.ledger.trunk
    assert trunk.eni_id is not None
    match trunk.state:
        case TrunkState.CREATED:
            draft.start(PermitInterface(subject=SUBJECT, eni_id=trunk.eni_id))
        case TrunkState.PERMITTED | TrunkState.ATTACHING if trunk.attachment_id is None:
            if trunk.device_index is None:
                _set(draft, state=TrunkState.UNDOING)
                _no_index(draft)
                return
            again = trunk.state is TrunkState.ATTACHING
            _set(draft, state=TrunkState.ATTACHING)
            draft.start(
                AttachTrunk(
                    subject=SUBJECT,
                    eni_id=trunk.eni_id,
                    instance_id=instance.instance_id,
                    device_index=trunk.device_index,
                    again=again,
                )
            )
        case TrunkState.ATTACHING if trunk.attachment_id is not None:
            draft.start(FinishTrunk(subject=SUBJECT, eni_id=trunk.eni_id, attachment_id=trunk.attachment_id))
        case TrunkState.ATTACHED:
            draft.start(AwaitTrunk(subject=SUBJECT, eni_id=trunk.eni_id, instance_id=instance.instance_id))
        case TrunkState.UNDOING:
            _undo(draft, instance)
        case _:
            pass


def _undo(draft: Draft, instance: InstanceFacts) -> None:
    """Take back a trunk that was made here and never carried anything. One that was found may carry what is not known:
    it is looked at anew instead."""
    trunk = draft.ledger.trunk
    assert trunk.eni_id is not None
    leave = warrant(
        Evidence(
            eni_id=trunk.eni_id,
            complete=draft.desired.complete,
            claimed=any(b.trunk_id == trunk.eni_id for b in draft.ledger.branches.values()),
            made=not trunk.adopted,
            used=False,
        ),
        draft.now,
    )
    if isinstance(leave, Warrant):
        draft.start(UndoTrunk(subject=SUBJECT, eni_id=trunk.eni_id, instance_id=instance.instance_id, warrant=leave))
    elif leave.lack is not Lack.LISTS:
        again = draft.now + LOOK_ANEW_SECONDS
        draft.change(trunk=Trunk(generation=trunk.generation + 1), snapshot_after=again)
        draft.look_at(again)


def _use(draft: Draft, node: NodeFacts) -> None:
    trunk, limit = draft.ledger.trunk, branch_limit(draft)
    assert trunk.eni_id is not None
    if node.capacity.get(POD_ENI) != str(limit) and draft.may(CAPACITY):
        draft.start(Advertise(subject=CAPACITY, node=node.name, node_uid=node.uid, resource=POD_ENI, amount=limit))
    draft.tell_node_once(
        f"trunk/{node.uid}",
        "NodeTrunkInitiated",
        "The node has trunk interface initialized successfully",
    )
    if eni_config_name(node, draft.ledger.cninode_spec) is None:
        return
    where = place(draft, node)
    if where is None:
        return
    subnet, groups = where
    if subnet != trunk.subnet_id:
        draft.tell_node_once(
            "subnet",
            "TrunkSubnetDiffers",
            f"The trunk interface {trunk.eni_id} stays in subnet {trunk.subnet_id}: a trunk cannot move to the "
            f"ENIConfig's subnet {subnet}; branch interfaces are made there, replace the node to move its trunk",
            Severity.WARNING,
        )
    elif groups != trunk.groups and draft.may(SUBJECT):
        draft.start(SetTrunkGroups(subject=SUBJECT, eni_id=trunk.eni_id, groups=groups))


def _set(draft: Draft, **fields: object) -> None:
    trunk: Trunk = msgspec.structs.replace(draft.ledger.trunk, **fields)
    draft.change(trunk=trunk)
