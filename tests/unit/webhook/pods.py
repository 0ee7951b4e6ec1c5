"""One pod a sentence: what is sent to the mutating webhook, in which cluster, and what must come back.

The sentences are those under which the reference controller's answers were recorded.
"""

from dataclasses import dataclass, field
from typing import Any

from common.model.policy import Policy
from tests.unit.webhook.stand import (
    ENI,
    EVERYTHING,
    FARGATE,
    IP,
    PROFILE,
    Object,
    by,
    by_labels,
    pod,
    policy,
    review,
)

ONE, TWO, THREE = (f"sg-0adm0000000000000{number}" for number in (1, 2, 3))
LIMIT = "spec.containers[0].resources.limits."
REQUEST = "spec.containers[0].resources.requests."

GETS_ENI: Object = {"allowed": True, "changes": {LIMIT + ENI: "1", REQUEST + ENI: "1"}}
GETS_IP: Object = {"allowed": True, "changes": {LIMIT + IP: "1", REQUEST + IP: "1"}}
UNCHANGED: Object = {"allowed": True, "changes": {}}
FORBIDDEN: Object = {"allowed": False, "code": 403, "reason": "Forbidden"}


def groups(value: str | None) -> Object:
    return {"allowed": True, "changes": {f"metadata.annotations.{FARGATE}": value}}


@dataclass(frozen=True, kw_only=True)
class Case:
    sent: Object
    wanted: Object
    policies: tuple[Policy, ...] = ()
    accounts: dict[str, dict[str, str]] = field(default_factory=lambda: {"default": {}, "payments": {"team": "pay"}})
    ours: str = ""
    """Why the answer differs from the recorded one."""


WEB = (policy("web", ONE, pod=by_labels(app="web")),)
EXPRESSIONS = (
    policy("in", ONE, pod=by(("tier", "In", ("gold", "silver")))),
    policy("exists-and-not-in", ONE, pod=by(("role", "Exists", ()), ("role", "NotIn", ("batch",)))),
    policy("does-not-exist", ONE, pod=by(("plain", "DoesNotExist", ()), ("kind", "In", ("other",)))),
)
BOTH = (policy("both", ONE, pod=by_labels(app="web"), account=by_labels(team="pay")),)
TWO_POLICIES = (
    policy("a", ONE, pod=by_labels(app="web")),
    policy("b", TWO, THREE, pod=by_labels(tier="gold")),
)
SAME_GROUP = (policy("a", ONE, pod=EVERYTHING), policy("b", ONE, account=EVERYTHING))
BY_ACCOUNT = (policy("account", ONE, account=by_labels(team="pay")),)

WEB_LABELS = {"app": "web"}
ON_FARGATE = {"app": "web", PROFILE: "fp"}
LINUX, WINDOWS = {"kubernetes.io/os": "linux"}, {"kubernetes.io/os": "windows"}


def case(sent_pod: Any, wanted: Object, policies: tuple[Policy, ...] = WEB, *, ours: str = "", **request: Any) -> Case:
    return Case(sent=review(sent_pod, **request), wanted=wanted, policies=policies, ours=ours)


def resources(resource: str, limit: str | None = None, request: str | None = None) -> Object:
    found = {"limits": {resource: limit} if limit else None, "requests": {resource: request} if request else None}
    return {"resources": {key: value for key, value in found.items() if value}}


def containers(*each: Object) -> list[Object]:
    return [{"name": f"c{number}", "image": "i", **entry} for number, entry in enumerate(each)]


ASKS = resources(ENI, "1", "1")
KEPT = "the pod asks itself: its request is left alone"
AFFINITY = {
    "nodeAffinity": {
        "requiredDuringSchedulingIgnoredDuringExecution": {
            "nodeSelectorTerms": [
                {"matchExpressions": [{"key": "kubernetes.io/os", "operator": "In", "values": ["windows"]}]}
            ]
        }
    }
}
RICH: Object = {
    "volumes": [{"name": "v", "emptyDir": {}}],
    "tolerations": [{"operator": "Exists"}],
    "containers": containers(
        {
            "env": [{"name": "A", "value": "~/x"}],
            "ports": [{"containerPort": 80}],
            "resources": {"limits": {"cpu": "1", "memory": "1Gi"}, "requests": {"cpu": "1"}},
        }
    ),
}


def without(obj: Object, *path: str) -> Object:
    where = obj
    for part in path[:-1]:
        where = where[part]
    del where[path[-1]]
    return obj


def _generated() -> Object:
    found = pod(WEB_LABELS)
    found["metadata"] = {"generateName": "p-", "labels": WEB_LABELS}
    return found


def _elsewhere() -> Object:
    found = pod(WEB_LABELS)
    found["metadata"]["namespace"] = "elsewhere"
    return found


WINDOWS_IPAM_OFF: dict[str, Case] = {
    "one policy by pod label": case(pod(WEB_LABELS), GETS_ENI),
    "two policies by pod labels": case(pod({**WEB_LABELS, "tier": "gold"}), GETS_ENI, TWO_POLICIES),
    "policy by service account": case(pod(serviceAccountName="payments"), GETS_ENI, BY_ACCOUNT),
    "pod label and service account of two policies": case(
        pod(WEB_LABELS, serviceAccountName="payments"), GETS_ENI, WEB + BY_ACCOUNT
    ),
    "policy with both selectors, both match": case(pod(WEB_LABELS, serviceAccountName="payments"), GETS_ENI, BOTH),
    "policy with both selectors, only pod label matches": case(pod(WEB_LABELS), UNCHANGED, BOTH),
    "policy with both selectors, only account matches": case(
        pod({"app": "db"}, serviceAccountName="payments"), UNCHANGED, BOTH
    ),
    "policy by In": case(pod({"tier": "gold"}), GETS_ENI, EXPRESSIONS),
    "label value outside In": case(pod({"tier": "iron"}), UNCHANGED, EXPRESSIONS),
    "Exists and NotIn match": case(pod({"role": "web"}), GETS_ENI, EXPRESSIONS),
    "Exists matches but NotIn does not": case(pod({"role": "batch"}), UNCHANGED, EXPRESSIONS),
    "DoesNotExist matches": case(pod({"kind": "other"}), GETS_ENI, EXPRESSIONS),
    "empty pod selector": case(pod(), GETS_ENI, (policy("all", ONE, pod=EVERYTHING),)),
    "empty service account selector": case(pod(), GETS_ENI, (policy("all", ONE, account=EVERYTHING),)),
    "policy without selectors is skipped": case(pod(WEB_LABELS), UNCHANGED, (policy("none", ONE),)),
    "no label matches": case(pod({"app": "db"}), UNCHANGED),
    "no labels at all": case(pod(), UNCHANGED),
    "matching label in a namespace without policies": case(pod(WEB_LABELS), UNCHANGED, namespace="bank"),
    "generateName, no namespace in the object": case(_generated(), GETS_ENI),
    "namespace of the object differs from that of the request": case(_elsewhere(), GETS_ENI),
    "dry run": case(pod(WEB_LABELS), GETS_ENI, dryRun=True),
    "already annotated": case(pod(WEB_LABELS, annotations={ENI: "[]"}), GETS_ENI),
    # --- the service account
    "service account missing, policies there": case(pod(WEB_LABELS, serviceAccountName="absent"), FORBIDDEN),
    "service account missing, no policy in the namespace": case(pod(serviceAccountName="absent"), FORBIDDEN, ()),
    "no service account name": case(without(pod(WEB_LABELS), "spec", "serviceAccountName"), FORBIDDEN),
    # --- containers
    "two containers": case(pod(WEB_LABELS, containers=containers({}, {})), GETS_ENI),
    "init container": case(pod(WEB_LABELS, initContainers=containers({})), GETS_ENI),
    "init container already asks for 1": case(pod(WEB_LABELS, initContainers=containers(ASKS)), GETS_ENI),
    "first container already asks for 1": case(pod(WEB_LABELS, containers=containers(ASKS)), UNCHANGED),
    "first container already asks for 2": case(
        pod(WEB_LABELS, containers=containers(resources(ENI, "2", "2"))), UNCHANGED, ours=KEPT
    ),
    "first container has only a limit of 2": case(
        pod(WEB_LABELS, containers=containers(resources(ENI, "2"))), UNCHANGED, ours=KEPT
    ),
    "second container already asks for 1": case(pod(WEB_LABELS, containers=containers({}, ASKS)), UNCHANGED, ours=KEPT),
    "asks for 1 and matches no policy": case(pod(containers=containers(ASKS)), UNCHANGED),
    "other resources are kept": case(
        pod(WEB_LABELS, containers=containers({"resources": {"limits": {"cpu": "1"}, "requests": {"cpu": "1"}}})),
        GETS_ENI,
    ),
    "limits without requests": case(
        pod(WEB_LABELS, containers=containers({"resources": {"limits": {"cpu": "1"}}})), GETS_ENI
    ),
    "requests without limits": case(
        pod(WEB_LABELS, containers=containers({"resources": {"requests": {"cpu": "1"}}})), GETS_ENI
    ),
    "pod-level resources": case(pod(WEB_LABELS, resources={"limits": {"cpu": "1"}}), GETS_ENI),
    "rich pod": case(pod(WEB_LABELS, **RICH), GETS_ENI),
    # --- where it runs
    "host network": case(pod(WEB_LABELS, hostNetwork=True), UNCHANGED),
    "host network, Windows selector": case(pod(WEB_LABELS, hostNetwork=True, nodeSelector=WINDOWS), UNCHANGED),
    "Linux selector": case(pod(WEB_LABELS, nodeSelector=LINUX), GETS_ENI),
    "Linux selector, beta label says Windows": case(
        pod(WEB_LABELS, nodeSelector={**LINUX, "beta.kubernetes.io/os": "windows"}), UNCHANGED
    ),
    "Windows selector": case(pod(nodeSelector=WINDOWS), UNCHANGED),
    "Windows selector and a matching policy": case(pod(WEB_LABELS, nodeSelector=WINDOWS), UNCHANGED),
    "Windows selector, beta label": case(pod(WEB_LABELS, nodeSelector={"beta.kubernetes.io/os": "windows"}), UNCHANGED),
    "Windows selector, both labels": case(
        pod(WEB_LABELS, nodeSelector={**WINDOWS, "beta.kubernetes.io/os": "windows"}), UNCHANGED
    ),
    "Windows selector, already asks for 2": case(
        pod(nodeSelector=WINDOWS, containers=containers(resources(IP, "2", "2"))), UNCHANGED
    ),
    "Windows selector, second container asks for 1": case(
        pod(nodeSelector=WINDOWS, containers=containers({}, resources(IP, "1", "1"))), UNCHANGED
    ),
    "Windows selector, service account missing": case(
        pod(nodeSelector=WINDOWS, serviceAccountName="absent"), UNCHANGED
    ),
    "Windows selector, written Windows": case(pod(WEB_LABELS, nodeSelector={"kubernetes.io/os": "Windows"}), GETS_ENI),
    "spec.os Windows without selector": case(pod(os={"name": "windows"}), UNCHANGED),
    # --- Fargate
    "Fargate, matching policy": case(pod(ON_FARGATE), groups(ONE)),
    "Fargate, empty label value": case(pod({"app": "web", PROFILE: ""}), groups(ONE)),
    "Fargate, Windows selector": case(pod(ON_FARGATE, nodeSelector=WINDOWS), groups(ONE)),
    "Fargate, two matching policies": case(
        pod({**ON_FARGATE, "tier": "gold"}), groups(f"{ONE},{TWO},{THREE}"), TWO_POLICIES
    ),
    "Fargate, policies with the same group": case(pod(ON_FARGATE), groups(ONE), SAME_GROUP),
    "Fargate, no matching policy": case(pod({PROFILE: "fp"}), UNCHANGED),
    "Fargate, groups set by hand, matching policy": case(
        pod(ON_FARGATE, annotations={FARGATE: "sg-hand"}), groups(ONE)
    ),
    "Fargate, groups set by hand, no matching policy": case(
        pod({PROFILE: "fp"}, annotations={FARGATE: "sg-hand"}), groups(None)
    ),
    "Fargate, empty groups set by hand, no matching policy": case(
        pod({PROFILE: "fp"}, annotations={FARGATE: ""}), groups(None)
    ),
    "Fargate, host network, groups set by hand": case(
        pod(ON_FARGATE, hostNetwork=True, annotations={FARGATE: "sg-hand"}), UNCHANGED
    ),
    "Fargate, service account missing": case(pod(ON_FARGATE, serviceAccountName="absent"), FORBIDDEN),
    "not Fargate, groups set by hand": case(pod(annotations={FARGATE: "sg-hand"}), UNCHANGED),
}

WINDOWS_IPAM_ON: dict[str, Case] = {
    "Windows selector": case(pod(nodeSelector=WINDOWS), GETS_IP),
    "Windows selector, beta label": case(pod(nodeSelector={"beta.kubernetes.io/os": "windows"}), GETS_IP),
    "Windows selector and a matching policy": case(pod(WEB_LABELS, nodeSelector=WINDOWS), GETS_IP),
    "Windows selector, service account missing": case(pod(nodeSelector=WINDOWS, serviceAccountName="absent"), GETS_IP),
    "Windows selector, already asks for 2": case(
        pod(nodeSelector=WINDOWS, containers=containers(resources(IP, "2", "2"))), UNCHANGED
    ),
    "Windows selector, second container asks for 1": case(
        pod(nodeSelector=WINDOWS, containers=containers({}, resources(IP, "1", "1"))), UNCHANGED
    ),
    "Windows by spec.os": case(pod(WEB_LABELS, os={"name": "windows"}), GETS_IP),
    "Windows by node affinity": case(pod(WEB_LABELS, affinity=AFFINITY), GETS_IP),
    "host network, Windows selector": case(pod(hostNetwork=True, nodeSelector=WINDOWS), UNCHANGED),
    "Fargate, Windows selector": case(pod(ON_FARGATE, nodeSelector=WINDOWS), groups(ONE)),
    "Windows selector, written Windows": case(pod(WEB_LABELS, nodeSelector={"kubernetes.io/os": "Windows"}), GETS_ENI),
    "Linux": case(pod(WEB_LABELS), GETS_ENI),
}

# Recorded as faults of the reference: what is wanted instead.
FAULTS: dict[str, Case] = {
    "Windows by node affinity, matching policy": case(pod(WEB_LABELS, affinity=AFFINITY), UNCHANGED),
    "spec.os Windows without selector, matching policy": case(pod(WEB_LABELS, os={"name": "windows"}), UNCHANGED),
    "no containers": case(pod(WEB_LABELS, containers=[]), UNCHANGED),
    "field unknown to the webhook": case(pod(WEB_LABELS, madeUpField={"a": "b"}), GETS_ENI),
}
