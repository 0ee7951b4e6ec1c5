"""EC2: who we are, and which actions are allowed, asked with DryRun: nothing is made or changed."""

from collections.abc import Callable, Iterator
from typing import Any

from cli.doctor.finding import Finding, State, first_line
from common.ec2.client import OWN_IDENTITY, account_id, build_invoke
from common.ec2.errors import translate
from common.model.errors import ControllerError, Denied, OutsideError
from common.settings import Settings, SettingsError

AREA = "EC2"
ALLOWED = "DryRunOperation"
TRUNKING = (
    "AWS allows trunk interfaces and their associations only to accounts on its list (the managed control plane of EKS"
    " is); DryRun does not tell. Elsewhere pods get no branch interfaces, and the node's events say so; Windows"
    " addresses, CNINodes, clean-ups and webhooks work"
)
_ENI = "eni-0123456789abcdef0"
_ACCOUNT = "123456789012"
ACTIONS: dict[str, dict[str, Any] | None] = {
    "DescribeInstances": {},
    "DescribeSubnets": {},
    "DescribeInstanceTypes": {},
    "DescribeNetworkInterfaces": {},
    "CreateNetworkInterface": {"SubnetId": "subnet-0123456789abcdef0"},
    "CreateNetworkInterfacePermission": {
        "NetworkInterfaceId": _ENI,
        "AwsAccountId": _ACCOUNT,
        "Permission": "INSTANCE-ATTACH",
    },
    "AttachNetworkInterface": {"NetworkInterfaceId": _ENI, "InstanceId": "i-0123456789abcdef0", "DeviceIndex": 1},
    "DetachNetworkInterface": {"AttachmentId": "eni-attach-0123456789abcdef0"},
    "ModifyNetworkInterfaceAttribute": {"NetworkInterfaceId": _ENI, "Description": {"Value": "dry run"}},
    "AssociateTrunkInterface": {
        "BranchInterfaceId": _ENI,
        "TrunkInterfaceId": "eni-0123456789abcdef1",
        "VlanId": 1,
    },
    "DisassociateTrunkInterface": {"AssociationId": "trunk-assoc-0123456789abcdef0"},
    "DeleteNetworkInterface": {"NetworkInterfaceId": _ENI},
    "AssignPrivateIpAddresses": None,
    "UnassignPrivateIpAddresses": None,
    "CreateTags": {"Resources": [_ENI], "Tags": [{"Key": "dry-run", "Value": ""}]},
}
"""Every action that the product uses, with parameters of the right form; None: it has no DryRun."""


def check(settings: Settings) -> Iterator[Finding]:
    """Identity first; without one nothing else is asked."""
    try:
        account = account_id(settings.model_copy(update={"account_id": ""}))
        invoke = build_invoke(settings)
    except (ControllerError, SettingsError) as error:
        advice = f"{first_line(error)}. Give the pods an instance profile, IRSA or EKS Pod Identity; check the region"
        yield Finding(area=AREA, what="identity (STS)", state=State.MISSING, advice=advice)
        return
    if settings.account_id and settings.account_id != account:
        advice = f"VPC_RC_ACCOUNT_ID is {settings.account_id}: leave it out, or use that account's credentials"
        yield Finding(area=AREA, what=f"identity of account {account}", state=State.MISSING, advice=advice)
    else:
        yield Finding(area=AREA, what=f"identity of account {account}")
    for action, params in ACTIONS.items():
        yield dry_run(invoke, action, params, settings.role_arn)
    yield Finding(area=AREA, what="trunking in this account", state=State.UNKNOWN, advice=TRUNKING)


def dry_run(
    invoke: Callable[[str, dict[str, Any]], dict[str, Any]], action: str, params: dict[str, Any] | None, role: str
) -> Finding:
    """Whether an action is allowed, from EC2's answer to a call that would do nothing."""
    if params is None:
        advice = "EC2 has no DryRun for it; it must be in the policy (Windows nodes need it)"
        return Finding(area=AREA, what=action, state=State.UNKNOWN, advice=advice)
    error = refusal(invoke, action, {**params, "DryRun": True})
    if error is None or error.code == ALLOWED:
        return Finding(area=AREA, what=action)
    if isinstance(error, Denied):
        who = "the role" if role and action not in OWN_IDENTITY else "the own identity"
        advice = f"{error.code}: allow ec2:{action} for {who} (see the README)"
        if action in OWN_IDENTITY:
            advice += ". AWS itself refuses it to accounts that are not on its list"
        return Finding(area=AREA, what=action, state=State.MISSING, advice=advice)
    return Finding(area=AREA, what=action, state=State.UNKNOWN, advice=f"EC2 does not say: {error}")


def refusal(
    invoke: Callable[[str, dict[str, Any]], dict[str, Any]], action: str, params: dict[str, Any]
) -> OutsideError | None:
    """The error of a call in our terms."""
    try:
        invoke(action, params)
    except Exception as error:
        ours = translate(action, error)
        if ours is None:
            raise
        return ours
    return None
