"""Steps of a branch interface's life."""

from common.model.actions import (
    AssociateBranch,
    CreateBranch,
    DeleteBranch,
    DisassociateBranch,
    FindAssociations,
    PermitBranch,
    Review,
    SetBranchGroups,
    UntagBranch,
)
from common.model.ec2 import Interface
from common.model.ids import AssociationId, EniId
from common.model.names import BRANCH_DESCRIPTION, POD_UID_TAG, TRUNK_TAG, VLAN_TAG
from common.model.outcome import Reviewed
from workers.steps.ports import Ports
from workers.steps.table import step
from workers.steps.tags import tags_of


@step(CreateBranch)
def create_branch(action: CreateBranch, ports: Ports) -> Interface:
    """The VLAN id is a tag as well: associations cannot be listed with an assumed role."""
    own = {VLAN_TAG: str(action.vlan), TRUNK_TAG: action.trunk_id, POD_UID_TAG: action.pod_uid}
    return ports.ec2.create_network_interface(
        subnet=action.subnet_id,
        groups=action.groups,
        description=BRANCH_DESCRIPTION,
        tags=tags_of(ports.cluster, action.instance_id, action.extra_tags, own),
        token=action.token,
    )


@step(PermitBranch)
def permit_branch(action: PermitBranch, ports: Ports) -> None:
    ports.ec2.create_network_interface_permission(action.eni_id, ports.account)


@step(AssociateBranch)
def associate_branch(action: AssociateBranch, ports: Ports) -> AssociationId:
    return ports.ec2.associate_trunk_interface(
        branch=action.eni_id, trunk=action.trunk_id, vlan=action.vlan, token=action.token
    )


@step(SetBranchGroups)
def set_branch_groups(action: SetBranchGroups, ports: Ports) -> None:
    ports.ec2.modify_groups(action.eni_id, action.groups)


@step(UntagBranch)
def untag_branch(action: UntagBranch, ports: Ports) -> None:
    ports.ec2.create_tags(action.eni_id, {POD_UID_TAG: ""})


@step(DisassociateBranch)
def disassociate_branch(action: DisassociateBranch, ports: Ports) -> None:
    """Where the association is not known and cannot be found, EC2 ends it when the interface is deleted. What an
    annotation says of it is not believed: it may be another pod's."""
    association = action.association or ports.lookups.association(ports.ec2, action.eni_id)
    if association is not None:
        ports.ec2.disassociate_trunk_interface(action.warrant, association, action.token)


@step(FindAssociations)
def find_associations(action: FindAssociations, ports: Ports) -> dict[EniId, AssociationId]:
    return ports.lookups.associations(ports.ec2, action.eni_ids)


@step(DeleteBranch)
def delete_branch(action: DeleteBranch, ports: Ports) -> None:
    ports.ec2.delete_network_interface(action.warrant)


@step(Review)
def review(action: Review, ports: Ports) -> Reviewed:
    """EC2 first: what came into use after it was looked at is in the annotations that are read then."""
    began = ports.clock.now()
    interfaces = ports.ec2.describe_interfaces(ids=action.eni_ids) if action.eni_ids else []
    pods = tuple(pod for node in action.nodes for pod in ports.kube.list_pods_on(node, began))
    return Reviewed(began_at=began, pods=pods, interfaces=tuple(interfaces))
