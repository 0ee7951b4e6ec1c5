"""EC2: who we are, and which operations are allowed, asked with DryRun: nothing is made or changed."""

from collections.abc import Iterator
from typing import Any

from cli.doctor.finding import Finding, State, first_line
from cli.doctor.reads import Invoke, asked
from common.ec2.client import OWN_IDENTITY, account_id, build_invoke, region_of
from common.model.errors import ControllerError, Denied, OutsideError, Unsure
from common.settings import Settings, SettingsError

AREA = "EC2"
ALLOWED = "DryRunOperation"
TRUNKING = (
    "AWS allows trunk interfaces and their associations only to accounts on its list (the managed control plane of EKS"
    " is); DryRun does not tell. Elsewhere pods get no branch interfaces, and the node's events say so; Windows"
    " addresses, CNINodes, clean-ups and webhooks work"
)
WHO = "Give the pods an instance profile, IRSA or EKS Pod Identity; check the region"
NOT_ALLOWED = frozenset(
    {"UnauthorizedOperation", "UnauthorizedAction", "OperationNotPermitted", "AccessDenied", "AccessDeniedException"}
)
"""Codes of one operation that is refused. Any other refusal is of the credentials, and nothing else is worth asking."""
_ENI = "eni-0123456789abcdef0"
_ACCOUNT = "123456789012"
OPERATIONS: dict[str, dict[str, Any] | None] = {
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
"""Every operation that the product uses, with parameters of the right form; None: it has no DryRun."""


def sign_in(settings: Settings) -> tuple[Invoke | None, list[Finding]]:
    """The way to EC2, None where nothing can be asked: no credentials, no region, or nobody answers."""
    try:
        invoke = build_invoke(settings)
    except (ControllerError, SettingsError) as error:
        return None, [Finding(area=AREA, what="region", state=State.MISSING, advice=f"{first_line(error)}. {WHO}")]
    findings = [_identity(settings)]
    endpoint = settings.ec2_endpoint or f"ec2.{region_of(settings)}"
    refused = refusal(invoke, "DescribeInstances", {"DryRun": True})
    if isinstance(refused, Unsure):
        advice = (
            f"{first_line(refused)}. Check region, VPC_RC_EC2_ENDPOINT, NAT or VPC endpoint, network policies, proxy"
        )
        return None, [
            *findings,
            Finding(area=AREA, what="no answer", state=State.MISSING, advice=advice, where=endpoint),
        ]
    if isinstance(refused, Denied) and refused.code not in NOT_ALLOWED:
        advice = f"{first_line(refused)}. {WHO}"
        return None, [
            *findings,
            Finding(area=AREA, what="credentials", state=State.MISSING, advice=advice, where=endpoint),
        ]
    return invoke, [*findings, Finding(area=AREA, what="EC2 answers", where=endpoint)]


def _identity(settings: Settings) -> Finding:
    try:
        account = account_id(settings.model_copy(update={"account_id": ""}))
    except (ControllerError, SettingsError) as error:
        return Finding(
            area=AREA, what="identity (STS)", state=State.MISSING, advice=f"{first_line(error)}. {WHO}", where="STS"
        )
    what = f"identity of account {account}"
    if settings.account_id and settings.account_id != account:
        advice = f"VPC_RC_ACCOUNT_ID is {settings.account_id}: leave it out, or use that account's credentials"
        return Finding(area=AREA, what=what, state=State.MISSING, advice=advice, where="STS")
    return Finding(area=AREA, what=what)


def check(invoke: Invoke, settings: Settings) -> Iterator[Finding]:
    """Each operation that the product uses."""
    for operation, params in OPERATIONS.items():
        yield dry_run(invoke, operation, params, settings.role_arn)
    yield Finding(area=AREA, what="trunking in this account", state=State.UNKNOWN, advice=TRUNKING)


def dry_run(invoke: Invoke, operation: str, params: dict[str, Any] | None, role: str) -> Finding:
    """Whether an operation is allowed, from EC2's answer to a call that would do nothing."""
    if params is None:
        advice = "EC2 has no DryRun for it; it must be in the policy (Windows nodes need it)"
        return Finding(area=AREA, what=operation, state=State.UNKNOWN, advice=advice)
    error = refusal(invoke, operation, {**params, "DryRun": True})
    if error is None or error.code == ALLOWED:
        return Finding(area=AREA, what=operation)
    if isinstance(error, Denied):
        who = "the role" if role and operation not in OWN_IDENTITY else "the own identity"
        advice = f"{error.code}: allow ec2:{operation} for {who} (see the README)"
        if operation in OWN_IDENTITY:
            advice += ". AWS itself refuses it to accounts that are not on its list"
        return Finding(area=AREA, what=operation, state=State.MISSING, advice=advice)
    return Finding(area=AREA, what=operation, state=State.UNKNOWN, advice=f"EC2 does not say: {error}")


def refusal(invoke: Invoke, operation: str, params: dict[str, Any]) -> OutsideError | None:
    """The error of a call in our terms."""
    try:
        asked(invoke, operation, params)
    except OutsideError as error:
        return error
    return None
