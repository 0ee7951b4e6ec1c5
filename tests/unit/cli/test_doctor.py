"""The doctor asks for exactly what the manifests grant, and tells apart what is missing and what nobody says."""

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest
import yaml
from botocore.exceptions import ClientError

from cli.doctor import clocks, ec2, guards, kubernetes, redis
from cli.doctor.finding import State
from cli.doctor.permissions import ROLES, Permission, needed
from common.kube.transport import Request, Response
from common.model.errors import Denied
from tests.kit.clock import VirtualClock

BASE = Path(__file__).parents[3] / "deploy" / "base"


def granted(role: str) -> Iterator[Permission]:
    """What the manifests give the role's account."""
    for document in yaml.safe_load_all((BASE / f"{role}.yaml").read_text()):
        if document["kind"] not in ("Role", "ClusterRole"):
            continue
        namespace = "kube-system" if document["kind"] == "Role" else ""
        for rule in document["rules"]:
            for group in rule["apiGroups"]:
                for each in rule["resources"]:
                    resource, _, subresource = each.partition("/")
                    for verb in rule["verbs"]:
                        for name in rule.get("resourceNames", [""]):
                            yield Permission(
                                verb=verb,
                                group=group,
                                resource=resource,
                                subresource=subresource,
                                namespace=namespace,
                                name=name,
                            )


@pytest.mark.parametrize("role", ROLES)
def test_it_asks_for_exactly_what_the_manifests_grant(role: str) -> None:
    assert set(needed(role, "cp-vpc-resource-controller", "kube-system")) == set(granted(role))


class ApiServer:
    """Answers what it is given."""

    def __init__(self, answers: Mapping[str, tuple[int, str]]) -> None:
        self._answers = answers

    def send(self, request: Request) -> Response:
        status, body = self._answers.get(request.path, (404, "{}"))
        return Response(status, body.encode())

    def stream(self, request: Request) -> Iterator[bytes]:
        raise NotImplementedError


PERMISSION = Permission(verb="get", group="", resource="pods")


@pytest.mark.parametrize(
    ("status", "body", "state"),
    [
        pytest.param(201, '{"status": {"allowed": true}}', State.OK, id="allowed"),
        pytest.param(201, '{"status": {"allowed": false}}', State.MISSING, id="refused"),
        pytest.param(404, "{}", State.UNKNOWN, id="cannot be asked"),
    ],
)
def test_permissions(status: int, body: str, state: State) -> None:
    server = ApiServer({kubernetes.REVIEWS: (status, body)})
    found = [one for one in kubernetes.check(server, {"worker": [PERMISSION]}) if one.what.startswith("worker")]
    assert [one.state for one in found] == [state]


def test_definitions_that_are_not_served_are_missing() -> None:
    served = '{"resources": [{"name": "cninodes"}]}'
    server = ApiServer({"/version": (200, "{}"), "/apis/vpcresources.k8s.aws/v1alpha1": (200, served)})
    states = {one.what: one.state for one in kubernetes.check(server, {}) if "Definition" in one.what}
    assert states == {
        "CustomResourceDefinition securitygrouppolicies.vpcresources.k8s.aws": State.MISSING,
        "CustomResourceDefinition cninodes.vpcresources.k8s.aws": State.OK,
        "CustomResourceDefinition eniconfigs.crd.k8s.amazonaws.com": State.MISSING,
    }


ALL_PARTS = {part for parts in guards.PARTS.values() for part in parts}


@pytest.mark.parametrize(
    ("absent", "state", "said"),
    [
        pytest.param(set(), State.OK, "ValidatingAdmissionPolicy and webhook", id="both"),
        pytest.param({guards.WEBHOOK}, State.OK, "by ValidatingAdmissionPolicy", id="the policy alone"),
        pytest.param({guards.POLICY}, State.MISSING, "by webhook", id="the webhook alone"),
        pytest.param({guards.POLICY, guards.WEBHOOK}, State.MISSING, "by nobody", id="nobody"),
    ],
)
def test_who_guards_annotations(absent: set[str], state: State, said: str) -> None:
    there = ALL_PARTS - {part for who in absent for part in guards.PARTS[who]}
    [found] = guards.check(ApiServer({f"{guards.ROOT}/{part}": (200, "{}") for part in there}))
    assert (found.state, said in found.what) == (state, True)


@pytest.mark.parametrize("part", guards.PARTS[guards.POLICY])
def test_a_policy_without_one_of_its_parts_guards_nothing(part: str) -> None:
    [found] = guards.check(ApiServer({f"{guards.ROOT}/{p}": (200, "{}") for p in ALL_PARTS - {part}}))
    assert found.state is State.MISSING


@pytest.mark.parametrize(
    ("webhook", "served", "state", "said"),
    [
        pytest.param(True, False, State.OK, "by webhook alone: this API server serves no", id="the webhook"),
        pytest.param(False, False, State.MISSING, "by nobody", id="nobody"),
        pytest.param(True, True, State.MISSING, "by webhook", id="it is served"),
    ],
)
def test_who_guards_where_no_policies_are_served(webhook: bool, served: bool, state: State, said: str) -> None:
    resources = '{"resources": [{"name": "validatingadmissionpolicies"}]}' if served else '{"resources": []}'
    answers = {guards.ROOT: (200, resources)}
    if webhook:
        answers |= {f"{guards.ROOT}/{part}": (200, "{}") for part in guards.PARTS[guards.WEBHOOK]}
    [found] = guards.check(ApiServer(answers))
    assert (found.state, said in found.what) == (state, True)


def test_who_guards_is_not_known_to_one_who_may_not_read_it() -> None:
    answers = {f"{guards.ROOT}/{part}": (403, "{}") for part in ALL_PARTS}
    assert [one.state for one in guards.check(ApiServer(answers))] == [State.UNKNOWN]


@pytest.mark.parametrize("status", [401, 403])
def test_credentials_that_are_not_accepted_are_no_missing_definitions(status: int) -> None:
    """Anybody may ask for the version."""
    server = ApiServer({"/version": (200, "{}"), "/apis": (status, "")})
    found = kubernetes.reach(server, "aws")
    assert found.state is State.MISSING
    assert f"{status}: the credentials of the exec plugin 'aws' are not accepted" in found.advice


@pytest.mark.parametrize("status", [401, 403, 503])
def test_definitions_that_may_not_be_read_are_not_called_missing(status: int) -> None:
    server = ApiServer({f"/apis/{group}": (status, "") for group, _ in kubernetes.SERVED})
    assert {one.state for one in kubernetes.check(server, {})} == {State.UNKNOWN}


@pytest.mark.parametrize(
    ("ahead", "state"), [(0.0, State.OK), (4.5, State.OK), (-4.5, State.OK), (6.0, State.WRONG), (-6.0, State.WRONG)]
)
def test_clocks_may_differ_by_five_seconds(ahead: float, state: State) -> None:
    clock = VirtualClock()
    (found,) = clocks.compare("Redis", lambda: clock.now() + ahead, clock)
    assert found.state is state


def refusing(code: str) -> Any:
    def invoke(_action: str, params: dict[str, Any]) -> dict[str, Any]:
        assert params["DryRun"] is True
        raise ClientError({"Error": {"Code": code, "Message": ""}}, "x")

    return invoke


@pytest.mark.parametrize(
    ("code", "state"),
    [("DryRunOperation", State.OK), ("UnauthorizedOperation", State.MISSING), ("InternalError", State.UNKNOWN)],
)
def test_each_answer_to_a_dry_run(code: str, state: State) -> None:
    found = ec2.dry_run(refusing(code), "CreateTags", ec2.OPERATIONS["CreateTags"], "")
    assert found.state is state


def test_a_refused_association_names_the_list_of_accounts() -> None:
    action = "AssociateTrunkInterface"
    assert "list" in ec2.dry_run(refusing("UnauthorizedOperation"), action, ec2.OPERATIONS[action], "").advice


def test_denied_is_the_class_of_missing_rights() -> None:
    assert isinstance(ec2.refusal(refusing("AccessDenied"), "CreateTags", {"DryRun": True}), Denied)


def test_an_unreachable_redis_is_missing_and_its_password_masked() -> None:
    found = list(redis.check("redis://:hunter2@127.0.0.1:1/0"))
    assert [one.state for one in found] == [State.MISSING]
    assert "hunter2" not in repr(found)
