"""EC2's writes lag behind each other by seconds, as its lists do: a call that names what was made just before can be
answered NotFound (EC2 developer guide, "Eventual consistency"). Such an answer says nothing yet: the call is repeated.
"""

from common.model import actions as act
from common.model.errors import NotFound, NotYetFound, OutsideError
from common.model.ledger import Ledger

YOUNG_SECONDS = 60.0
"""What was made less long ago may be there although EC2 does not find it. EC2 takes seconds; a minute costs some calls
where somebody did delete it, and too short a time costs an interface that is forgotten."""
YOUNG_GROUP_SECONDS = 5.0
"""The same for the security groups of a policy, counted from the plan of a pod's first interface: a policy that names
people should hear of a group that does not exist soon."""
GROUP_NOT_FOUND = frozenset({"InvalidSecurityGroupID.NotFound", "InvalidGroup.NotFound"})


def weighed(ledger: Ledger, action: act.Action, error: OutsideError, now: float) -> OutsideError:
    """The error, or NotYetFound where it is a NotFound that proves nothing."""
    if isinstance(error, NotFound) and _too_soon(ledger, action, error.code, now):
        return NotYetFound(error.code, error.message)
    return error


def _too_soon(ledger: Ledger, action: act.Action, code: str, now: float) -> bool:
    match action:
        case act.CreateBranch(key=key) | act.SetBranchGroups(key=key) if code in GROUP_NOT_FOUND:
            branch = ledger.branches.get(key)
            return (
                branch is not None
                and now - branch.since < YOUNG_GROUP_SECONDS
                and branch.pod_uid in ledger.claims
                and ledger.claims[branch.pod_uid].generation == 0
            )
        case (
            act.PermitBranch(key=key)
            | act.AssociateBranch(key=key)
            | act.SetBranchGroups(key=key)
            | act.UntagBranch(key=key)
            | act.DeleteBranch(key=key)
        ):
            branch = ledger.branches.get(key)
            return branch is not None and now - branch.made_at < YOUNG_SECONDS
        case (
            act.PermitInterface(eni_id=eni)
            | act.AttachTrunk(eni_id=eni)
            | act.FinishTrunk(eni_id=eni)
            | act.SetTrunkGroups(eni_id=eni)
            | act.UndoTrunk(eni_id=eni)
        ):
            return ledger.trunk.eni_id == eni and now - ledger.trunk.made_at < YOUNG_SECONDS
        case _:
            return False
