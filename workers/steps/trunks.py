"""Steps about a node's trunk, its capacity, and the snapshot that it is found by."""

from common.model.actions import (
    Advertise,
    AttachTrunk,
    AwaitTrunk,
    CreateTrunk,
    FinishTrunk,
    PermitInterface,
    RequestSnapshot,
    SetTrunkGroups,
    UndoTrunk,
)
from common.model.ec2 import Interface
from common.model.errors import Conflict, InUse, NotFound
from common.model.ids import AttachmentId, EniId
from common.model.names import TRUNK_DESCRIPTION
from workers.steps.ports import Ports
from workers.steps.table import step
from workers.steps.tags import tags_of

ATTACHED = "attached"
DETACH_POLLS = 10
DETACH_POLL_SECONDS = 0.5


@step(RequestSnapshot)
def request_snapshot(action: RequestSnapshot, ports: Ports) -> None:
    """Have the instance read with the next batch; the node is woken when it is there."""
    if ports.store.snapshots.request(action.instance_id, action.node, ports.clock.now()):
        ports.publisher.load_instances()


@step(CreateTrunk)
def create_trunk(action: CreateTrunk, ports: Ports) -> Interface:
    return ports.ec2.create_network_interface(
        subnet=action.subnet_id,
        groups=action.groups,
        description=TRUNK_DESCRIPTION,
        tags=tags_of(ports.cluster, action.instance_id, action.extra_tags),
        token=action.token,
        trunk=True,
    )


@step(PermitInterface)
def permit(action: PermitInterface, ports: Ports) -> None:
    ports.ec2.create_network_interface_permission(action.eni_id, ports.account)


@step(AttachTrunk)
def attach_trunk(action: AttachTrunk, ports: Ports) -> AttachmentId:
    """Has no client token: looks first where it was begun before, and where EC2 says that something is in use: Redis
    may have forgotten that it was begun. Raises InUse where it is not the trunk itself, on its instance."""
    if action.again and (attachment := _attachment(action, ports)) is not None:
        return attachment
    try:
        return ports.ec2.attach_network_interface(action.eni_id, action.instance_id, action.device_index)
    except InUse:
        if (attachment := _attachment(action, ports)) is None:
            raise
        return attachment


def _attachment(action: AttachTrunk, ports: Ports) -> AttachmentId | None:
    """The trunk's attachment to the instance of the action; None: there is none. Raises NotFound where the trunk is not
    shown."""
    found = _look(action.eni_id, ports)
    return found.attachment_id if found.instance_id == action.instance_id else None


@step(FinishTrunk)
def finish_trunk(action: FinishTrunk, ports: Ports) -> None:
    ports.ec2.modify_delete_on_termination(action.eni_id, action.attachment_id)


@step(AwaitTrunk)
def await_trunk(action: AwaitTrunk, ports: Ports) -> bool:
    """Whether it is seen `attached`, by a look shared with other nodes. Raises NotFound where it is attached to
    nothing."""
    found = ports.lookups.attachments.look(ports.ec2, action.eni_id)
    if found is None:
        return False
    if found.attachment_id is None:
        raise NotFound("InvalidAttachmentID.NotFound", f"The trunk {action.eni_id} is not attached to anything")
    return found.attachment_status == ATTACHED and found.instance_id == action.instance_id


@step(UndoTrunk)
def undo_trunk(action: UndoTrunk, ports: Ports) -> None:
    """Detach where it is attached, then delete. Raises InUse where it does not let go in time: to be repeated; NotFound
    where EC2 does not know the interface, or not yet; and Conflict where EC2 shows it whole: the record is older than
    that, and does not know what it carries by now."""
    for _ in range(DETACH_POLLS):
        found = next(iter(ports.ec2.describe_interfaces(ids=[action.eni_id])), None)
        if found is None:
            break
        if found.attachment_id is None:
            break
        if found.attachment_status == ATTACHED and found.delete_on_termination:
            raise Conflict("TrunkComplete", f"{action.eni_id} is attached, and all of its making is done")
        if found.attachment_status != "detaching":
            _detach(found.attachment_id, ports)
        ports.clock.sleep(DETACH_POLL_SECONDS)
    else:
        raise InUse("InvalidNetworkInterface.InUse", f"{action.eni_id} is still attached")
    ports.ec2.delete_network_interface(action.warrant)


def _detach(attachment: AttachmentId, ports: Ports) -> None:
    try:
        ports.ec2.detach_network_interface(attachment)
    except NotFound:
        return  # It went meanwhile: the next look tells.


@step(SetTrunkGroups)
def set_trunk_groups(action: SetTrunkGroups, ports: Ports) -> None:
    ports.ec2.modify_groups(action.eni_id, action.groups)


@step(Advertise)
def advertise(action: Advertise, ports: Ports) -> None:
    ports.kube.advertise(action.node, {action.resource: str(action.amount)}, uid=action.node_uid)


def _look(eni: EniId, ports: Ports) -> Interface:
    found = next(iter(ports.ec2.describe_interfaces(ids=[eni])), None)
    if found is None:
        raise NotFound("InvalidNetworkInterfaceID.NotFound", f"The interface {eni} is not shown")
    return found
