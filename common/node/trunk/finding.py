"""A trunk that the instance has already, as EC2 shows it."""

from collections.abc import Iterable

from common.model.ec2 import Instance, Interface
from common.model.ledger import Trunk, TrunkState
from common.model.limits import InstanceLimits
from common.model.names import OWNER_OURS, OWNER_TAG, TRUNK_DESCRIPTION
from common.node.trunk.index import free_device_index


def found_trunk(
    instance: Instance,
    tagged: Iterable[Interface],
    limits: InstanceLimits | None,
    before: Trunk,
) -> Trunk:
    """The instance's trunk as EC2 shows it: attached, left over from a crash before it was attached, or none (then
    with the device index that a new one gets, None where none is free). What was undone before is none of these."""
    generation = before.generation
    attached = next((i for i in instance.interfaces if i.type == "trunk" and i.eni_id != before.undone), None)
    if attached is not None:
        ready = attached.attachment_status == "attached" and attached.delete_on_termination
        return Trunk(
            state=TrunkState.READY if ready else TrunkState.ATTACHING,
            generation=generation,
            eni_id=attached.eni_id,
            attachment_id=attached.attachment_id,
            device_index=attached.device_index,
            subnet_id=attached.subnet_id,
            groups=attached.groups,
            adopted=True,
        )
    index = free_device_index(instance, limits)
    loose = next(
        (
            i
            for i in tagged
            if i.eni_id != before.undone
            and i.status == "available"
            and i.description == TRUNK_DESCRIPTION
            and i.tags.get(OWNER_TAG) == OWNER_OURS
        ),
        None,
    )
    if loose is not None:
        return Trunk(
            state=TrunkState.CREATED,
            generation=generation,
            eni_id=loose.eni_id,
            device_index=index,
            subnet_id=loose.subnet_id,
            groups=loose.groups,
            adopted=True,
        )
    return Trunk(generation=generation, device_index=index, undone=before.undone)
