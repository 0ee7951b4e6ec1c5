"""Each role of deploy/base is enough for every call that its process makes, and none of its grants is without use."""

import random
from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import yaml

from common.clock import SystemClock
from common.kube.api import Kube
from common.kube.events import EventSink
from common.kube.lease import Lease, LeaseTerms
from common.kube.reflector import Reflector, Resource
from common.kube.transport import HttpTransport, Request, Response, WatchRefused, connect
from common.model.errors import OutsideError
from common.model.ids import NodeName, PodUid
from common.model.names import POD_ENI
from common.model.node import CniNodeSpec
from common.model.notice import EventReason, NodeNotice
from tests.integration.webhook_cluster import Cluster
from tests.kit.waiting import until
from watcher.kinds import RESOURCES
from webhook.view import ACCOUNTS, CONFIG, LEGACY, POLICIES

BASE = Path(__file__).parents[2] / "deploy" / "base"
SPACE = "least-roles"
RBAC = "/apis/rbac.authorization.k8s.io/v1"
REVIEWS = "/apis/authorization.k8s.io/v1/subjectaccessreviews"
LEASE = "/apis/coordination.k8s.io/v1/namespaces/kube-system/leases/cp-vpc-resource-controller"
NODE = NodeName("least-roles-node")
CLOCK = SystemClock()


class Noting:
    """A transport that notes what is forbidden, and whose watches end when they have begun."""

    def __init__(self, inner: HttpTransport) -> None:
        self._inner = inner
        self.forbidden: list[str] = []

    def send(self, request: Request) -> Response:
        response = self._inner.send(request)
        if response.status == 403:
            self.forbidden.append(f"{request.method} {request.path}")
        return response

    def stream(self, request: Request) -> Iterator[bytes]:
        at_once = {**request.query, "sendInitialEvents": "true", "resourceVersionMatch": "NotOlderThan"}
        lines = self._inner.stream(replace(request, query=at_once))
        try:
            next(lines)
        except WatchRefused as refused:
            if refused.response.status == 403:
                self.forbidden.append(f"WATCH {request.path}")
            raise
        finally:
            lines.close()  # type: ignore[attr-defined]
        yield from ()


def follow(transport: Noting, resource: Resource) -> None:
    """One list and one watch."""
    reflector = Reflector(
        replace(resource, optional=False), transport, clock=CLOCK, rng=random.Random(1),
        on_event=lambda *_: None, on_synced=lambda: None,
    )  # fmt: skip
    for _ in range(2):
        reflector.step()


def tell(transport: Noting) -> None:
    """An event, and its count."""
    sink = EventSink(transport, clock=CLOCK, host="test")
    for _ in range(2):
        sink.emit(NodeNotice(node=NODE, reason=EventReason.UNAVAILABLE, message="x"))
        sink.drain()


def watch_cluster(transport: Noting, api: Cluster) -> None:
    api("DELETE", LEASE)
    for resource in RESOURCES.values():
        follow(transport, resource)
    lease = Lease(
        transport, namespace="kube-system", name="cp-vpc-resource-controller", identity="x",
        terms=LeaseTerms(), clock=CLOCK, rng=random.Random(1),
    )  # fmt: skip
    for act in (lease.attempt, lease.attempt, lease.release):
        with suppress(OutsideError):
            act()
    tell(transport)


def work(transport: Noting, api: Cluster) -> None:
    kube = Kube(transport)
    pod = api.make(f"/api/v1/namespaces/{SPACE}/pods", {
        "metadata": {"generateName": "p-"},
        "spec": {"serviceAccountName": "default", "containers": [{"name": "c", "image": "example/c:1"}]},
    })["metadata"]  # fmt: skip
    node_uid = api("GET", f"/api/v1/nodes/{NODE}").body["metadata"]["uid"]

    def cninode(act: Callable[[Any], None]) -> None:
        found = kube.get_cninode(NODE)
        assert found is not None
        act(found)

    calls: tuple[Callable[[], object], ...] = (
        lambda: kube.get_pod(SPACE, pod["name"]),
        lambda: kube.annotate_pod(SPACE, pod["name"], PodUid(pod["uid"]), POD_ENI, "[]"),
        lambda: kube.list_pods_on(NODE, 0.0),
        lambda: kube.get_node(NODE),
        lambda: kube.advertise(NODE, {POD_ENI: "9"}),
        lambda: kube.get_eni_config("az"),
        lambda: kube.list_policies(SPACE),
        lambda: kube.service_account_labels(SPACE, "default"),
        lambda: kube.create_cninode(NODE, node_uid, "linux", CniNodeSpec()),
        lambda: cninode(
            lambda found: kube.repair_cninode(
                NODE, found, tags={"a": "b"}, os_label="linux", owner=(NODE, node_uid), finalizer=True
            )
        ),
        lambda: kube.delete_cninode(NODE),
        lambda: cninode(lambda found: kube.drop_finalizer(NODE, found.uid)),
        lambda: tell(transport),
    )
    for call in calls:
        with suppress(OutsideError, AssertionError):
            call()


def admit(transport: Noting, _: Cluster) -> None:
    for resource in (POLICIES, ACCOUNTS, CONFIG, LEGACY):
        follow(transport, resource)
    with suppress(OutsideError):
        Kube(transport).service_account_labels(SPACE, "default")


LIVES = {"watcher": watch_cluster, "worker": work, "webhook": admit}


def roles(role: str) -> Iterator[tuple[str, dict[str, Any]]]:
    """The path of each role object, and the object."""
    for found in yaml.safe_load_all((BASE / f"{role}.yaml").read_text()):
        name = found["metadata"]["name"]
        if found["kind"] == "ClusterRole":
            yield f"{RBAC}/clusterroles/{name}", found
        elif found["kind"] == "Role":
            yield f"{RBAC}/namespaces/kube-system/roles/{name}", found


def grants(role: str) -> Iterator[tuple[str, int, str, str]]:
    """Path of the role object, number of the rule, resource and verb of each single grant."""
    for path, found in roles(role):
        for number, rule in enumerate(found["rules"]):
            for resource in rule["resources"]:
                for verb in rule["verbs"]:
                    yield path, number, resource, verb


def without(rules: list[dict[str, Any]], number: int, resource: str, verb: str) -> list[dict[str, Any]]:
    rule = rules[number]
    parts = [
        {**rule, "resources": [r for r in rule["resources"] if r != resource]},
        {**rule, "resources": [resource], "verbs": [v for v in rule["verbs"] if v != verb]},
    ]
    kept = [part for part in parts if part["resources"] and part["verbs"]]
    return [*rules[:number], *kept, *rules[number + 1 :]]


@pytest.fixture(scope="module")
def api(installed: list[str], kubeconfig: Path) -> Cluster:
    """With all of deploy/base, and one object of what the roles work on."""
    found = Cluster(kubeconfig)
    found.namespace(SPACE)
    found.make("/api/v1/nodes", {"metadata": {"name": NODE, "labels": {"kubernetes.io/os": "linux"}}})
    until(lambda: found("GET", "/apis/vpcresources.k8s.aws/v1alpha1/cninodes").status == 200)
    until(lambda: found("GET", "/apis/crd.k8s.amazonaws.com/v1alpha1/eniconfigs").status == 200)
    return found


@pytest.fixture(scope="module")
def transports(api: Cluster, tmp_path_factory: pytest.TempPathFactory) -> dict[str, HttpTransport]:
    """By role, with a token of its service account."""
    found = {}
    for role in LIVES:
        account = f"/api/v1/namespaces/kube-system/serviceaccounts/vpc-rc-{role}/token"
        token = api.make(account, {"spec": {"expirationSeconds": 7200}})["status"]["token"]
        config = yaml.safe_load(api.kubeconfig.read_text())
        config["users"][0]["user"] = {"token": token}
        path = tmp_path_factory.mktemp(role) / "kubeconfig"
        path.write_text(yaml.safe_dump(config))
        found[role] = connect(kubeconfig=path, context="", clock=CLOCK)
    return found


def forbidden(role: str, transports: Mapping[str, HttpTransport], api: Cluster) -> list[str]:
    noting = Noting(transports[role])
    LIVES[role](noting, api)
    return noting.forbidden


@pytest.mark.parametrize("role", LIVES)
def test_a_role_is_enough(role: str, api: Cluster, transports: Mapping[str, HttpTransport]) -> None:
    assert forbidden(role, transports, api) == []


@pytest.mark.parametrize("role", LIVES)
def test_without_any_one_grant_something_is_forbidden(
    role: str, api: Cluster, transports: Mapping[str, HttpTransport]
) -> None:
    unused = []
    for path, number, resource, verb in grants(role):
        whole = next(found for place, found in roles(role) if place == path)
        rules = without(whole["rules"], number, resource, verb)
        assert api.merge(path, {"rules": rules}).status == 200
        until(lambda: not allowed(api, role, whole["rules"][number], resource, verb))  # noqa: B023  # called at once
        if not forbidden(role, transports, api):
            unused.append(f"{verb} {resource}")
        assert api.merge(path, {"rules": whole["rules"]}).status == 200
        until(lambda: allowed(api, role, whole["rules"][number], resource, verb))  # noqa: B023  # called at once
    assert unused == []


def allowed(api: Cluster, role: str, rule: Mapping[str, Any], resource: str, verb: str) -> bool:
    plural, _, subresource = resource.partition("/")
    [group] = rule["apiGroups"]
    [name] = rule.get("resourceNames", [""])
    attributes = {"verb": verb, "group": group, "resource": plural, "subresource": subresource, "name": name}
    review = {
        "spec": {
            "user": f"system:serviceaccount:kube-system:vpc-rc-{role}",
            "groups": ["system:serviceaccounts", "system:authenticated"],
            "resourceAttributes": {**attributes, "namespace": "kube-system"},
        }
    }
    return bool(api.make(REVIEWS, review)["status"]["allowed"])


POD = {"spec": {"containers": [{"name": "c", "image": "example/stolen:1"}]}}


def test_a_stolen_worker_token_does_not_change_what_a_pod_runs(
    api: Cluster, transports: Mapping[str, HttpTransport]
) -> None:
    path = f"/api/v1/namespaces/{SPACE}/pods"
    spec = {"serviceAccountName": "default", "containers": [{"name": "c", "image": "example/good:1"}]}
    name = api.make(path, {"metadata": {"generateName": "p-"}, "spec": spec})["metadata"]["name"]
    refused = transports["worker"].send(
        Request("PATCH", f"{path}/{name}", body=POD, content_type="application/strategic-merge-patch+json")
    )
    assert refused.status == 403
    transports["worker"].send(
        Request("PATCH", f"{path}/{name}/status", body=POD, content_type="application/strategic-merge-patch+json")
    )
    assert api("GET", f"{path}/{name}").body["spec"]["containers"][0]["image"] == "example/good:1"
