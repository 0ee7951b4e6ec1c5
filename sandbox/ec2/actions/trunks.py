"""Permissions, and the association of branch interfaces with trunks.

The API reference names no errors for AssociateTrunkInterface. Where the contract names none either, the general codes
of the error reference are used: InvalidParameterValue for a VLAN id taken, InvalidNetworkInterface.InUse for a branch
in use, IncorrectState for a trunk that is not attached.
"""

from __future__ import annotations

from dataclasses import replace

from sandbox.ec2 import render
from sandbox.ec2.errors import Ec2Fault, not_found
from sandbox.ec2.records import Association, Interface, Permission
from sandbox.ec2.state import Ec2State, Params, Result, required

MAX_VLAN_ID = 4094
_PERMISSIONS = frozenset({"INSTANCE-ATTACH", "EIP-ASSOCIATE"})


def create_permission(state: Ec2State, params: Params) -> Result:
    """CreateNetworkInterfacePermission: one account, one permission; the same a second time is a duplicate."""
    interface = state.interface(required(params, "NetworkInterfaceId"))
    kind = required(params, "Permission")
    if kind not in _PERMISSIONS:
        raise Ec2Fault("InvalidParameterValue", f"Invalid value '{kind}' for permission.")
    account = required(params, "AwsAccountId")
    for known in state.permissions.indexed(("interface", interface.id)):
        if (known.account, known.permission) == (account, kind):
            raise Ec2Fault("InvalidPermission.Duplicate", f"The permission exists already: {known.id}")
    made = Permission(
        id=state.ids.new("eni-perm"),
        serial=state.ids.serial(),
        interface_id=interface.id,
        account=account,
        permission=kind,
    )
    state.permissions.put(made, state.now)
    state.journal.step(interface.id, state.now, "permitted")
    return {"InterfacePermission": render.permission(made)}


def check_permitted(state: Ec2State, interface: Interface) -> None:
    """Raise unless the account may attach the interface, where that is asked for."""
    if not state.behaviour.permission_required:
        return
    granted = state.permissions.indexed(("interface", interface.id))
    if not any(one.permission == "INSTANCE-ATTACH" and one.account == state.account for one in granted):
        raise Ec2Fault("AuthFailure", f"You do not have permission to access the specified resource {interface.id}.")


def associate(state: Ec2State, params: Params) -> Result:
    """AssociateTrunkInterface: the branch becomes `in-use` without an attachment."""
    branch = state.interface(required(params, "BranchInterfaceId"))
    trunk = state.interface(required(params, "TrunkInterfaceId"))
    vlan_id = required(params, "VlanId")
    _check_trunk(state, trunk)
    if not 1 <= vlan_id <= MAX_VLAN_ID:
        raise Ec2Fault("InvalidParameterValue", f"VLAN id {vlan_id} is not within 1..{MAX_VLAN_ID}.")
    if branch.interface_type not in {"interface", "branch"}:
        raise Ec2Fault("InvalidParameterValue", f"Interface {branch.id} of type {branch.interface_type} cannot branch.")
    if branch.vpc_id != trunk.vpc_id or branch.az != trunk.az:
        raise Ec2Fault("InvalidParameterCombination", "Trunk and branch must be in the same VPC and availability zone.")
    if branch.status != "available":
        raise Ec2Fault("InvalidNetworkInterface.InUse", f"The network interface '{branch.id}' is currently in use.")
    check_permitted(state, branch)
    present = state.associations.indexed(("trunk", trunk.id))
    if any(one.vlan_id == vlan_id for one in present):
        raise Ec2Fault("InvalidParameterValue", f"VLAN id {vlan_id} is in use on trunk {trunk.id}.")
    most = _branch_limit(state, trunk)
    if len(present) >= most:
        raise Ec2Fault("AttachmentLimitExceeded", f"Trunk {trunk.id} has its maximum of {most} branch interfaces.")
    made = Association(
        id=state.ids.new("trunk-assoc"),
        serial=state.ids.serial(),
        trunk_id=trunk.id,
        branch_id=branch.id,
        vlan_id=vlan_id,
    )
    state.associations.put(made, state.now)
    state.interfaces.put(replace(branch, association_id=made.id), state.now)
    state.journal.step(branch.id, state.now, "associated", f"{trunk.id}/{vlan_id}")
    return {"InterfaceAssociation": render.association(made), "ClientToken": params.get("ClientToken") or made.id}


def _check_trunk(state: Ec2State, trunk: Interface) -> None:
    if trunk.interface_type != "trunk":
        raise Ec2Fault("InvalidParameterValue", f"Interface {trunk.id} is not a trunk.")
    if trunk.attachment is None or trunk.attachment.status != "attached":
        raise Ec2Fault("IncorrectState", f"Trunk {trunk.id} is not attached.")


def _branch_limit(state: Ec2State, trunk: Interface) -> int:
    if trunk.attachment is None:
        return 0
    return state.limits_of(state.instance(trunk.attachment.instance_id)).max_branch_interfaces


def disassociate(state: Ec2State, params: Params) -> Result:
    """DisassociateTrunkInterface: the branch is `available` at once."""
    identifier = required(params, "AssociationId")
    association = state.associations.get(identifier)
    if association is None:
        raise not_found("association", identifier, "InvalidAssociationID.NotFound")
    end_association(state, association, "disassociated")
    return {"Return": True, "ClientToken": params.get("ClientToken") or association.id}


def end_association(state: Ec2State, association: Association, step: str) -> None:
    """Free the branch of an association, and say why in its history."""
    state.associations.remove(association.id, state.now)
    branch = state.interfaces.get(association.branch_id)
    if branch is not None:
        state.interfaces.put(replace(branch, association_id=None), state.now)
        state.journal.step(branch.id, state.now, step)
