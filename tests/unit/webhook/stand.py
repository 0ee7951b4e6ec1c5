"""A view that holds what a test says, and what a review made of an object."""

import asyncio
import base64
import copy
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from common.model.ids import GroupId
from common.model.policy import LabelSelector, Policy, Requirement
from common.rules.security_groups import PolicySet
from webhook.facts import Account, NoSuchAccount, NoSuchKind, Policies, Unreadable
from webhook.review import MUTATE_POD, Reviews

NAMESPACE = "shop"
OWN_ACCOUNT = "system:serviceaccount:kube-system:vpc-rc-worker"
ENI, IP, FARGATE = "vpc.amazonaws.com/pod-eni", "vpc.amazonaws.com/PrivateIPv4Address", "fargate.amazonaws.com/pod-sg"
PROFILE = "eks.amazonaws.com/fargate-profile"
EVERYTHING = LabelSelector()

Object = dict[str, Any]


@dataclass(kw_only=True)
class StandView:
    """Accounts by name, in every namespace."""

    given: tuple[Policy, ...] | NoSuchKind | Unreadable = ()
    accounts: Mapping[str, Account] = field(default_factory=lambda: {"default": {}})
    ipam: bool | Unreadable = False
    asked: list[str] = field(default_factory=list)
    missing: list[str] = field(default_factory=list)

    death: str | None = None
    """What only a restart of the process would cure."""

    async def known(self) -> None:
        self.asked.append("known")

    def policies(self, namespace: str) -> Policies:
        if isinstance(self.given, NoSuchKind | Unreadable):
            return self.given
        return PolicySet(p for p in self.given if p.namespace == namespace)

    async def account(self, namespace: str, name: str) -> Account:
        self.asked.append(f"account {namespace}/{name}")
        return self.accounts.get(name, NoSuchAccount())

    def windows_ipam(self) -> bool | Unreadable:
        return self.ipam


def by_labels(**labels: str) -> LabelSelector:
    return LabelSelector(match_labels=labels)


def by(*expressions: tuple[str, str, tuple[str, ...]]) -> LabelSelector:
    return LabelSelector(match_expressions=tuple(Requirement(key=k, operator=o, values=v) for k, o, v in expressions))


def policy(
    name: str,
    *groups: str,
    pod: LabelSelector | None = None,
    account: LabelSelector | None = None,
    namespace: str = NAMESPACE,
) -> Policy:
    return Policy(
        namespace=namespace,
        name=name,
        pod_selector=pod,
        account_selector=account,
        groups=tuple(map(GroupId, groups)),
    )


def pod(
    labels: Mapping[str, str] | None = None, *, annotations: Mapping[str, str] | None = None, **spec: Any
) -> Object:
    """A pod with one container, of service account `default`."""
    metadata: Object = {"name": "p", "namespace": NAMESPACE}
    if labels is not None:
        metadata["labels"] = dict(labels)
    if annotations is not None:
        metadata["annotations"] = dict(annotations)
    containers = [{"name": "c", "image": "i", "resources": {}}]
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": metadata,
        "spec": {"serviceAccountName": "default", "containers": containers, **spec},
    }


def review(
    obj: Any = None,
    *,
    old: Any = None,
    operation: str = "CREATE",
    username: str = "alice",
    kind: str = "Pod",
    namespace: str = NAMESPACE,
    **more: Any,
) -> Object:
    request = {
        "uid": "u-1",
        "kind": {"group": "", "version": "v1", "kind": kind},
        "resource": {"group": "", "version": "v1", "resource": f"{kind.lower()}s"},
        "operation": operation,
        "namespace": namespace,
        "userInfo": {"username": username, "groups": ["system:authenticated"]},
        "object": obj,
        "oldObject": old,
        "dryRun": False,
        **more,
    }
    return {"apiVersion": "admission.k8s.io/v1", "kind": "AdmissionReview", "request": request}


def answer(view: StandView, path: str, sent: Any) -> Object:
    """The review's response, decoded. Its form is checked here, for every test."""
    body, _ = asyncio.run(Reviews(view, OWN_ACCOUNT).answer(path, json.dumps(sent).encode()))
    decoded = json.loads(body)
    assert (decoded["apiVersion"], decoded["kind"]) == ("admission.k8s.io/v1", "AdmissionReview")
    response: Object = decoded["response"]
    assert ("patch" in response) == (response.get("patchType") == "JSONPatch")
    if not response["allowed"]:
        assert response["status"]["message"]
    return response


def outcome(view: StandView, path: str, sent: Any) -> Object:
    """As the recorded cases write it: allowed and what changes, or the code of the refusal."""
    response = answer(view, path, sent)
    if not response["allowed"]:
        status = response["status"]
        assert "patch" not in response
        return {"allowed": False, "code": status["code"], "reason": status.get("reason", "")}
    if path != MUTATE_POD:
        return {"allowed": True}
    before = sent["request"]["object"]
    return {"allowed": True, "changes": changes(before, patched(before, operations(response)))}


def operations(response: Object) -> list[Object]:
    if "patch" not in response:
        return []
    decoded: list[Object] = json.loads(base64.b64decode(response["patch"]))
    return decoded


def patched(obj: Any, patch: list[Object]) -> Any:
    """RFC 6902, `add` and `remove`: a parent that is missing is an error, as for the API server."""
    result = copy.deepcopy(obj)
    for operation in patch:
        *parents, last = [part.replace("~1", "/").replace("~0", "~") for part in operation["path"].split("/")[1:]]
        where = result
        for part in parents:
            where = where[int(part)] if isinstance(where, list) else where[part]
        assert isinstance(where, dict), operation
        if operation["op"] == "add":
            where[last] = operation["value"]
        else:
            assert operation["op"] == "remove"
            del where[last]
    return result


def changes(before: Any, after: Any) -> Object:
    """Leaves that differ; None for one that is gone."""
    old, new = _leaves(before), _leaves(after)
    return {path: new.get(path) for path in sorted(old.keys() | new.keys()) if old.get(path) != new.get(path)}


def _leaves(value: Any, path: str = "") -> Object:
    if isinstance(value, dict):
        return {p: leaf for k, v in value.items() for p, leaf in _leaves(v, f"{path}.{k}" if path else k).items()}
    if isinstance(value, list):
        return {p: leaf for i, v in enumerate(value) for p, leaf in _leaves(v, f"{path}[{i}]").items()}
    return {path: value}
