"""The webhook in a cluster: registered as we ship it, it sees every pod that is made."""

import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.integration.webhook_cluster import POLICIES, Answer, Cluster, WebhookProcess, cluster
from tests.kit.waiting import until

ENI, IP = "vpc.amazonaws.com/pod-eni", "vpc.amazonaws.com/PrivateIPv4Address"
CONTROLLER = "system:serviceaccount:kube-system:vpc-resource-controller"
OWN = "system:serviceaccount:kube-system:vpc-rc-worker"
CNI = "system:serviceaccount:kube-system:aws-node"
CONFIG_MAPS = "/api/v1/namespaces/kube-system/configmaps"
DEPLOYMENTS = "/apis/apps/v1/namespaces/kube-system/deployments"
ALL = ("configurations/mutating.yaml", "configurations/validating.yaml", "fail-closed/mutating.yaml")


@pytest.fixture(scope="module", params=["sandbox", "real"])
def api(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    with cluster(request.param, tmp_path_factory.mktemp("cluster")) as found:
        yield found


@pytest.fixture(scope="module")
def webhook(api: Cluster, tmp_path_factory: pytest.TempPathFactory) -> Iterator[WebhookProcess]:
    process = WebhookProcess(api, tmp_path_factory.mktemp("tls"))
    try:
        process.register(api, *ALL)
        yield process
    finally:
        process.kill()


def pod(name: str, **spec: Any) -> dict[str, Any]:
    container = {"name": "c", "image": "example/main:1"}
    return {
        "metadata": {"name": name, "labels": {"app": "web"}},
        "spec": {"serviceAccountName": "default", "containers": [container], **spec},
    }


def policy(**spec: Any) -> dict[str, Any]:
    return {
        "apiVersion": "vpcresources.k8s.aws/v1beta1",
        "kind": "SecurityGroupPolicy",
        "metadata": {"name": "web"},
        "spec": {"securityGroups": {"groupIds": ["sg-0123456789abcdef0"]}, **spec},
    }


def try_pod(api: Cluster, namespace: str, body: dict[str, Any]) -> Answer:
    return api("POST", f"/api/v1/namespaces/{namespace}/pods?dryRun=All", body)


def asked_for(api: Cluster, namespace: str, body: dict[str, Any], resource: str = ENI) -> bool:
    answer = try_pod(api, namespace, body)
    assert answer.status == 201, answer
    resources = answer.body["spec"]["containers"][0]["resources"]
    found = [resources.get(part, {}).get(resource) for part in ("limits", "requests")]
    assert found in ([None, None], ["1", "1"])
    return found == ["1", "1"]


def test_pods_are_left_alone_until_the_crd_is_there(api: Cluster, webhook: WebhookProcess) -> None:
    shop = api.namespace("crd")
    assert not asked_for(api, shop, pod("p"))
    assert not asked_for(api, shop, pod("p", serviceAccountName="absent"))
    api.install_crds()
    api.make(POLICIES.format(shop), policy(podSelector={"matchLabels": {"app": "web"}}))
    until(lambda: try_pod(api, shop, pod("p", serviceAccountName="absent")).status == 403)
    until(lambda: asked_for(api, shop, pod("p")))


def test_a_policy_counts_from_its_creation_to_its_deletion(api: Cluster, webhook: WebhookProcess) -> None:
    api.install_crds()
    shop = api.namespace("policies")
    assert not asked_for(api, shop, pod("p"))
    path = POLICIES.format(shop)
    api.make(path, policy(podSelector={"matchLabels": {"app": "web"}}))
    until(lambda: asked_for(api, shop, pod("p")), 5)
    made = api.make(f"/api/v1/namespaces/{shop}/pods", pod("real", terminationGracePeriodSeconds=7))
    assert made["spec"]["terminationGracePeriodSeconds"] == 7
    api.merge(f"{path}/web", {"spec": {"podSelector": {"matchLabels": {"app": "other"}}}})
    until(lambda: not asked_for(api, shop, pod("p")), 5)
    api.merge(f"{path}/web", {"spec": {"podSelector": {"matchLabels": {"app": "web"}}}})
    until(lambda: asked_for(api, shop, pod("p")), 5)
    assert api("DELETE", f"{path}/web").status == 200
    until(lambda: not asked_for(api, shop, pod("p")), 5)


def test_the_label_of_fargate_counts_with_its_scheduler(api: Cluster, webhook: WebhookProcess) -> None:
    api.install_crds()
    shop = api.namespace("fargate")
    api.make(POLICIES.format(shop), policy(podSelector={"matchLabels": {"app": "web"}}))
    labels = {"app": "web", "eks.amazonaws.com/fargate-profile": "p"}
    labelled = {**pod("p"), "metadata": {"name": "p", "labels": labels}}
    until(lambda: asked_for(api, shop, labelled))
    there = pod("p", schedulerName="fargate-scheduler")
    assert not asked_for(api, shop, there | {"metadata": {"name": "p", "labels": labels}})
    assert asked_for(api, shop, there)


def test_a_service_account_made_a_moment_ago_is_known(api: Cluster, webhook: WebhookProcess) -> None:
    api.install_crds()
    shop = api.namespace("accounts")
    api.make(POLICIES.format(shop), policy(serviceAccountSelector={"matchLabels": {"team": "pay"}}))
    until(lambda: try_pod(api, shop, pod("p", serviceAccountName="absent")).status == 403)
    api.make(f"/api/v1/namespaces/{shop}/serviceaccounts", {"metadata": {"name": "first", "labels": {"team": "pay"}}})
    until(lambda: asked_for(api, shop, pod("p", serviceAccountName="first")), 5)
    for number in range(20):
        account = {"metadata": {"name": f"a-{number}", "labels": {"team": "pay"}}}
        api.make(f"/api/v1/namespaces/{shop}/serviceaccounts", account)
        assert asked_for(api, shop, pod("p", serviceAccountName=f"a-{number}"))


def test_while_the_legacy_controller_is_there_windows_is_its_business(api: Cluster, webhook: WebhookProcess) -> None:
    shop = api.namespace("windows")
    windows = pod("p", nodeSelector={"kubernetes.io/os": "windows"})
    assert not asked_for(api, shop, windows, IP)
    api.make(CONFIG_MAPS, {"metadata": {"name": "amazon-vpc-cni"}, "data": {"enable-windows-ipam": "true"}})
    until(lambda: asked_for(api, shop, windows, IP), 2)
    container = {"name": "c", "image": "example/legacy:1"}
    labels = {"app": "legacy"}
    legacy = {
        "metadata": {"name": "vpc-resource-controller"},
        "spec": {
            "selector": {"matchLabels": labels},
            "template": {"metadata": {"labels": labels}, "spec": {"containers": [container]}},
        },
    }
    api.make(DEPLOYMENTS, {**legacy, "metadata": {"name": "another"}})
    api.make(DEPLOYMENTS, legacy)
    until(lambda: not asked_for(api, shop, windows, IP), 2)
    by_hand = {**windows, "metadata": {"name": "p", "annotations": {IP: "10.0.0.9/24"}}}
    assert try_pod(api, shop, by_hand).status == 201
    api("DELETE", f"{DEPLOYMENTS}/vpc-resource-controller?propagationPolicy=Background")
    until(lambda: asked_for(api, shop, windows, IP), 2)
    assert try_pod(api, shop, by_hand).status == 403
    api.merge(f"{CONFIG_MAPS}/amazon-vpc-cni", {"data": {"enable-windows-ipam": "false"}})
    until(lambda: not asked_for(api, shop, windows, IP), 2)


def test_annotations_are_the_controllers(api: Cluster, webhook: WebhookProcess) -> None:
    shop = api.namespace("guarded")
    mine = {**pod("p"), "metadata": {"name": "p", "annotations": {ENI: ""}}}
    for user in ("alice", CONTROLLER, OWN):
        refused = api("POST", f"/api/v1/namespaces/{shop}/pods", mine, user=user)
        assert (refused.status, ENI in refused.message) == (403, True)
    path = f"/api/v1/namespaces/{shop}/pods/p"
    api.make(f"/api/v1/namespaces/{shop}/pods", pod("p"))
    add = {"metadata": {"annotations": {ENI: "[]", "other": "x"}}}
    for place in (path, f"{path}/status"):
        refused = api.merge(place, add, user="alice")
        assert (refused.status, ENI in refused.message) == (403, True), place
    assert api.merge(path, {"metadata": {"annotations": {"other": "x"}}}, user="alice").status == 200
    assert api.merge(path, add, user=OWN).status == 200
    assert api.merge(path, {"metadata": {"annotations": {"other": "y"}}}, user="alice").status == 200
    assert api.merge(path, {"metadata": {"annotations": {ENI: None}}}, user="alice").status == 403
    fargate = {"metadata": {"annotations": {"fargate.amazonaws.com/pod-sg": "sg-1"}}}
    assert api.merge(path, fargate, user=OWN).status == 403
    assert api.merge(path, {"metadata": {"annotations": {ENI: None}}}, user=CONTROLLER).status == 200
    assert api("DELETE", f"{path}?gracePeriodSeconds=0", user="alice").status == 200


def test_the_vpc_cni_may_set_its_two_labels(api: Cluster, webhook: WebhookProcess) -> None:
    api.make("/api/v1/nodes", {"metadata": {"name": "n-1"}})
    label = "vpc.amazonaws.com/has-trunk-attached"
    assert api.merge("/api/v1/nodes/n-1", {"metadata": {"labels": {label: "false"}}}, user=CNI).status == 200
    for change in ({"metadata": {"labels": {"x": "y"}}}, {"spec": {"unschedulable": True}}):
        assert api.merge("/api/v1/nodes/n-1", change, user=CNI).status == 403
        assert api.merge("/api/v1/nodes/n-1", change, user="alice").status == 200
    capacity = {"status": {"capacity": {"example.com/x": "3"}}}
    assert api.merge("/api/v1/nodes/n-1/status", capacity, user=CNI).status == 403
    assert api.merge("/api/v1/nodes/n-1/status", capacity, user="system:node:n-1").status == 200


def test_without_the_webhook_pods_wait_only_where_their_namespace_asks_for_it(
    api: Cluster, webhook: WebhookProcess
) -> None:
    api.install_crds()
    trusting = api.namespace("trusting")
    strict = api.namespace("strict", {"vpc-resource-controller/fail-closed": "true"})
    for namespace in (trusting, strict):
        api.make(POLICIES.format(namespace), policy(podSelector={}))
        until(lambda namespace=namespace: asked_for(api, namespace, pod("p")))  # type: ignore[misc]
    webhook.kill()
    assert not asked_for(api, trusting, pod("p"))
    assert try_pod(api, strict, pod("p")).status == 500
    webhook.start()
    until(lambda: asked_for(api, trusting, pod("p")) and asked_for(api, strict, pod("p")))


def test_it_ends_on_sigterm(api: Cluster, webhook: WebhookProcess) -> None:
    began = time.monotonic()
    webhook.process.send_signal(signal.SIGTERM)
    until(lambda: webhook.get("/readyz") == 503, 5)
    assert webhook.get("/healthz") == 200
    assert webhook.process.wait(20) == 0
    assert 3 < time.monotonic() - began < 20


def test_it_says_why_it_cannot_begin(tmp_path: Path) -> None:
    """Without files for TLS, without a cluster."""
    environment = {"VPC_RC_WEBHOOK_CERT_FILE": str(tmp_path / "none"), "KUBECONFIG": str(tmp_path / "none")}
    done = subprocess.run(
        [sys.executable, "-m", "cli.main", "webhook"],
        check=False,
        capture_output=True,
        text=True,
        env=environment,
        timeout=60,
    )
    assert done.returncode == 2
    assert "VPC_RC_WEBHOOK_CERT_FILE" in done.stderr
    assert "Traceback" not in done.stderr
