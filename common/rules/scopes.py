"""Which failures are the same for all who ask the same, and what of a call decides that.

What is about one interface, instance or pod is nobody else's: it has no scope. Nor has throttling, which the rate
limiter knows.
"""

from common.model import actions as act
from common.model.errors import Denied, NotFound, OutsideError, SubnetExhausted, Throttled, Unsure, WrongClock
from common.model.outage import Scope
from common.model.terms import KUBERNETES

CREATE = "CreateNetworkInterface"
OUR_OWN = frozenset({"StoreUnavailable", "NoThread"})
"""Codes of failures on our side of the call."""
GROUPS_OR_SUBNET = frozenset(
    {
        "InvalidGroup.NotFound",
        "InvalidSecurityGroupID.NotFound",
        "InvalidSubnetID.NotFound",
        "SecurityGroupsPerInterfaceLimitExceeded",
    }
)
OF_THE_REGION = frozenset({"NetworkInterfaceLimitExceeded"})
"""Quotas of the account in its region."""


def scope_of(action: act.Action, error: OutsideError) -> Scope | None:
    """What failed with this error, as far as it fails for others too; None: it is this action's own trouble."""
    if error.code in OUR_OWN:
        return None
    operation = action.terms.about
    if operation == KUBERNETES:
        return _of_kubernetes(action, error)
    if not operation or error.operation != operation or isinstance(error, WrongClock):
        return None
    if isinstance(error, Unsure) or error.code in OF_THE_REGION:
        return Scope(operation)
    if isinstance(action, act.CreateTrunk | act.CreateBranch):
        return _of_creation(action, error)
    if isinstance(error, SubnetExhausted):
        return _free_address(action)
    return _by(operation, action) if isinstance(error, Denied) else None


def scopes_of(action: act.Action) -> tuple[Scope, ...]:
    """Every scope that `scope_of` may give for the action, the widest first."""
    operation = action.terms.about
    if not operation:
        return ()
    if operation == KUBERNETES:
        return Scope(KUBERNETES), _verb(action)
    if isinstance(action, act.CreateTrunk | act.CreateBranch):
        return Scope(operation), _in_subnet(action), _with_groups(action), _allowed(action)
    if isinstance(action, act.AssignAddresses) and action.subnet_id:
        return Scope(operation), _by(operation, action), Scope(f"{operation} in {action.subnet_id}")
    return Scope(operation), _by(operation, action)


def names_groups(scope: Scope) -> bool:
    """Whether it is about security groups alone: another policy leads to another scope."""
    return scope.startswith(f"{CREATE} with ")


def label(scope: Scope) -> str:
    """The scope for a metric, which has one series for each: without the groups, of which whoever writes policies
    thinks up any number."""
    before, named, _ = scope.partition(" with ")
    return f"{before} with groups" if named else scope


def disproved(action: act.Action, error: OutsideError) -> Scope | None:
    """The scope that works by this refusal: a server that refuses for a reason of the call's own is there."""
    scopes = scopes_of(action)
    answered = bool(error.operation) and not isinstance(error, Throttled) and error.operation == action.terms.about
    return scopes[0] if answered and scopes and scope_of(action, error) != scopes[0] else None


def _of_kubernetes(action: act.Action, error: OutsideError) -> Scope | None:
    if isinstance(error, Denied):
        return _verb(action)
    return Scope(KUBERNETES) if isinstance(error, Unsure) and not error.code.startswith("Malformed") else None


def _of_creation(action: act.CreateTrunk | act.CreateBranch, error: OutsideError) -> Scope | None:
    if isinstance(error, SubnetExhausted):
        return _in_subnet(action)
    if isinstance(error, Denied):
        return _allowed(action)
    if error.code in GROUPS_OR_SUBNET:
        found = isinstance(error, NotFound) and error.code.startswith("InvalidSubnetID")
        return _in_subnet(action) if found else _with_groups(action)
    return None


def _verb(action: act.Action) -> Scope:
    return Scope(f"{KUBERNETES} by {type(action).__name__}")


def _by(operation: str, action: act.Action) -> Scope:
    return Scope(f"{operation} by {type(action).__name__}")


def _in_subnet(action: act.CreateTrunk | act.CreateBranch) -> Scope:
    return Scope(f"{CREATE} in {action.subnet_id}")


def _with_groups(action: act.CreateTrunk | act.CreateBranch) -> Scope:
    return Scope(f"{CREATE} with {' '.join(sorted(action.groups))}")


def _allowed(action: act.CreateTrunk | act.CreateBranch) -> Scope:
    """Rights depend on all that is named: IAM checks subnet and groups, and AWS who may make trunks."""
    groups = " ".join(sorted(action.groups))
    return Scope(f"{CREATE} by {type(action).__name__} in {action.subnet_id} with {groups}")


def _free_address(action: act.Action) -> Scope | None:
    """A subnet that refuses more than one may have one."""
    if not isinstance(action, act.AssignAddresses) or action.count > 1 or not action.subnet_id:
        return None
    return Scope(f"{action.terms.about} in {action.subnet_id}")
