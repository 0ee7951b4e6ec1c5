"""Which step carries out which action."""

from collections.abc import Callable
from typing import Any

from common.ec2.gate import Deferred
from common.model import actions as act
from common.model.errors import OutsideError, StoreUnavailable, Unsure
from common.model.outcome import Done, Failed, Outcome, Waits
from workers.steps import branches, cninodes, pods, pools, trunks
from workers.steps.ports import Ports

STEPS: dict[type, Callable[[Any, Ports], Any]] = {
    act.RequestSnapshot: trunks.request_snapshot,
    act.CreateCniNode: cninodes.create_cninode,
    act.RepairCniNode: cninodes.repair_cninode,
    act.DropFinalizer: cninodes.drop_finalizer,
    act.CleanDeparted: cninodes.clean_departed,
    act.DeleteCniNode: cninodes.delete_cninode,
    act.ConfirmNodeGone: cninodes.confirm_node_gone,
    act.CreateTrunk: trunks.create_trunk,
    act.PermitInterface: trunks.permit,
    act.AttachTrunk: trunks.attach_trunk,
    act.FinishTrunk: trunks.finish_trunk,
    act.AwaitTrunk: trunks.await_trunk,
    act.UndoTrunk: trunks.undo_trunk,
    act.SetTrunkGroups: trunks.set_trunk_groups,
    act.Advertise: trunks.advertise,
    act.ResolvePod: pods.resolve_pod,
    act.CreateBranch: branches.create_branch,
    act.PermitBranch: branches.permit_branch,
    act.AssociateBranch: branches.associate_branch,
    act.DisassociateBranch: branches.disassociate_branch,
    act.DeleteBranch: branches.delete_branch,
    act.Review: branches.review,
    act.Annotate: pods.annotate,
    act.ConfirmGone: pods.confirm_gone,
    act.InspectPool: pools.inspect_pool,
    act.AssignAddresses: pools.assign_addresses,
    act.AssignPrefixes: pools.assign_prefixes,
    act.UnassignAddresses: pools.unassign_addresses,
    act.UnassignPrefixes: pools.unassign_prefixes,
}


def carry_out(action: act.Action, ports: Ports) -> Outcome:
    """Make the action's calls. An error of the outside is an outcome; any other exception is a fault of ours and
    goes up."""
    try:
        return Done(value=STEPS[type(action)](action, ports))
    except Deferred as deferred:
        return Waits(until=deferred.until)
    except OutsideError as error:
        return Failed(error=error)
    except StoreUnavailable as error:
        return Failed(error=Unsure("StoreUnavailable", str(error)))
