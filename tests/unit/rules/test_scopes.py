"""Which failures are the same for all."""

from typing import Any

import pytest

from common.model import actions as act
from common.model import errors
from common.model.errors import OutsideError
from common.model.ids import BranchKey, ClientToken, EniId, GroupId, InstanceId, PodUid, SubnetId, VlanId
from common.rules.scopes import disproved, label, names_groups, scope_of, scopes_of

SUBNET, GROUPS = SubnetId("subnet-1"), (GroupId("sg-2"), GroupId("sg-1"))
CREATE = "CreateNetworkInterface"


def create(**fields: Any) -> act.CreateBranch:
    values: dict[str, Any] = {
        "subject": "branch/u.0.0",
        "key": BranchKey("u.0.0"),
        "subnet_id": SUBNET,
        "groups": GROUPS,
        "token": ClientToken("t"),
        "vlan": VlanId(1),
        "trunk_id": EniId("eni-t"),
        "instance_id": InstanceId("i-1"),
        "pod_uid": PodUid("u"),
        "extra_tags": {},
    }
    return act.CreateBranch(**(values | fields))


def trunk() -> act.CreateTrunk:
    return act.CreateTrunk(
        subject="trunk",
        instance_id=InstanceId("i-1"),
        subnet_id=SUBNET,
        groups=GROUPS,
        token=ClientToken("t"),
        extra_tags={},
    )


PERMIT = act.PermitBranch(subject="branch/u.0.0", key=BranchKey("u.0.0"), eni_id=EniId("eni-1"))
ANNOTATE = act.Annotate(subject="annotate/u", pod_uid=PodUid("u"), namespace="d", name="p", annotation="a", value="v")


def assign(count: int) -> act.AssignAddresses:
    return act.AssignAddresses(subject="pool", eni_id=EniId("eni-1"), count=count, subnet_id=SUBNET)


def failed(kind: type[OutsideError], code: str, operation: str = CREATE) -> OutsideError:
    error = kind(code)
    error.operation = operation
    return error


PERMISSION, ASSIGN = "CreateNetworkInterfacePermission", "AssignPrivateIpAddresses"
NO_ADDRESS = "InsufficientFreeAddressesInSubnet"


@pytest.mark.parametrize(
    ("action", "error", "scope"),
    [
        (create(), failed(errors.Unsure, "InternalError"), CREATE),
        (trunk(), failed(errors.Unsure, "ConnectionClosedError"), CREATE),
        (create(), failed(errors.LimitExceeded, "NetworkInterfaceLimitExceeded"), CREATE),
        (create(), failed(errors.SubnetExhausted, NO_ADDRESS), f"{CREATE} in subnet-1"),
        (trunk(), failed(errors.SubnetExhausted, NO_ADDRESS), f"{CREATE} in subnet-1"),
        (create(), failed(errors.NotFound, "InvalidSubnetID.NotFound"), f"{CREATE} in subnet-1"),
        (create(), failed(errors.NotFound, "InvalidGroup.NotFound"), f"{CREATE} with sg-1 sg-2"),
        (
            create(),
            failed(errors.Denied, "UnauthorizedOperation"),
            f"{CREATE} by CreateBranch in subnet-1 with sg-1 sg-2",
        ),
        (
            trunk(),
            failed(errors.Denied, "OperationNotPermitted"),
            f"{CREATE} by CreateTrunk in subnet-1 with sg-1 sg-2",
        ),
        (PERMIT, failed(errors.Denied, "UnauthorizedOperation", PERMISSION), f"{PERMISSION} by PermitBranch"),
        (
            assign(1),
            failed(errors.SubnetExhausted, NO_ADDRESS, ASSIGN),
            f"{ASSIGN} in subnet-1",
        ),
        (ANNOTATE, failed(errors.Unsure, "Timeout", ""), "Kubernetes API"),
        (ANNOTATE, failed(errors.Denied, "Forbidden", ""), "Kubernetes API by Annotate"),
    ],
)
def test_the_same_for_all_who_ask_the_same(action: act.Action, error: OutsideError, scope: str) -> None:
    assert scope_of(action, error) == scope
    assert scope in scopes_of(action), "whoever asks the same waits for it"


@pytest.mark.parametrize(
    ("action", "error"),
    [
        (create(), failed(errors.Invalid, "InvalidParameterValue")),
        (create(), failed(errors.TokenMismatch, "IdempotentParameterMismatch")),
        (create(), failed(errors.Throttled, "RequestLimitExceeded")),
        (create(), failed(errors.WrongClock, "InvalidSecurity.RequestHasExpired")),
        (create(), failed(errors.Unsure, "StoreUnavailable", "")),
        (create(), failed(errors.Unsure, "NoThread", "")),
        (create(), failed(errors.LimitExceeded, "PrivateIpAddressLimitExceeded")),
        (PERMIT, failed(errors.NotFound, "InvalidNetworkInterfaceID.NotFound", PERMISSION)),
        (PERMIT, failed(errors.Unsure, "InternalError", "DescribeNetworkInterfaces")),
        (assign(5), failed(errors.SubnetExhausted, NO_ADDRESS, ASSIGN)),
        (ANNOTATE, failed(errors.NotFound, "PodGone", "")),
        (ANNOTATE, failed(errors.Conflict, "Conflict", "")),
        (ANNOTATE, failed(errors.Unsure, "MalformedPod", "")),
        (ANNOTATE, failed(errors.Unsure, "StoreUnavailable", "")),
    ],
)
def test_its_own_trouble(action: act.Action, error: OutsideError) -> None:
    assert scope_of(action, error) is None


def test_a_refusal_shows_that_the_operation_answers() -> None:
    assert disproved(create(), failed(errors.NotFound, "InvalidGroup.NotFound")) == CREATE
    assert disproved(create(), failed(errors.Unsure, "InternalError")) is None
    assert disproved(create(), failed(errors.Throttled, "RequestLimitExceeded")) is None
    assert disproved(create(), failed(errors.Unsure, "StoreUnavailable", "")) is None


def test_what_another_policy_leads_away_from() -> None:
    groups = scope_of(create(), failed(errors.NotFound, "InvalidGroup.NotFound"))
    subnet = scope_of(create(), failed(errors.SubnetExhausted, NO_ADDRESS))
    assert groups is not None
    assert subnet is not None
    assert names_groups(groups)
    assert not names_groups(subnet)


def test_a_metric_has_no_series_for_each_set_of_groups() -> None:
    """Whoever writes policies thinks up any number of them."""
    one, other = create(), create(groups=(GroupId("sg-3"),))
    assert set(scopes_of(one)) != set(scopes_of(other))
    assert {label(scope) for scope in scopes_of(one)} == {label(scope) for scope in scopes_of(other)}
    assert not any("sg-" in label(scope) for scope in scopes_of(one))
    assert label(scopes_of(one)[0]) == CREATE
