"""docs/migration.md, command by command, on a real API server with what the reference leaves in a cluster."""

import os
import random
import re
import subprocess
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from common.clock import SystemClock
from common.kube.lease import Lease, LeaseTerms
from common.kube.transport import HttpTransport, connect
from common.model.errors import OutsideError
from tests.integration.webhook_cluster import Cluster
from tests.kit.waiting import until

ROOT = Path(__file__).resolve().parents[2]
GUIDE = (ROOT / "docs" / "migration.md").read_text()
SYSTEM = "/api/v1/namespaces/kube-system"
RBAC = "/apis/rbac.authorization.k8s.io/v1/namespaces/kube-system"
HOOKS = "/apis/admissionregistration.k8s.io/v1"
LEASE = "/apis/coordination.k8s.io/v1/namespaces/kube-system/leases/cp-vpc-resource-controller"
ROLE = "vpc-resource-controller-leader-election-role"
WORKER = "system:serviceaccount:kube-system:vpc-rc-worker"
SPACE = "migration"
CLOCK = SystemClock()
POD_ENI = "vpc.amazonaws.com/pod-eni"


def commands(section: str) -> list[list[str]]:
    """The blocks of one section, a list of lines each."""
    text = GUIDE.partition(f"\n## {section}\n")[2].partition("\n## ")[0]
    blocks = re.findall(r"^ *```sh\n(.*?)^ *```$", text, re.DOTALL | re.MULTILINE)
    return [[line.strip() for line in block.splitlines()] for block in blocks]


class Standing:
    """A candidate for the Lease that never gives up."""

    def __init__(self, transport: HttpTransport, identity: str, terms: LeaseTerms) -> None:
        self.lease = Lease(
            transport, namespace="kube-system", name="cp-vpc-resource-controller", identity=identity, terms=terms,
            clock=CLOCK, rng=random.Random(1),
        )  # fmt: skip
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run)
        self._thread.start()

    def _run(self) -> None:
        while not self._stop.wait(0.3):
            try:
                self.lease.attempt()
            except OutsideError:  # the right to renew it was taken away
                continue

    def end(self, *, release: bool) -> None:
        self._stop.set()
        self._thread.join()
        if release:
            self.lease.release()


@pytest.fixture(scope="module")
def api(installed: list[str], kubeconfig: Path) -> Cluster:
    assert installed
    return Cluster(kubeconfig)


@pytest.fixture
def sign_in(api: Cluster, tmp_path: Path) -> Callable[[str], HttpTransport]:
    """A connection with the rights of an account of kube-system."""

    def connected(account: str) -> HttpTransport:
        token = api.make(f"{SYSTEM}/serviceaccounts/{account}/token", {"spec": {"expirationSeconds": 3600}})
        config = yaml.safe_load(api.kubeconfig.read_text())
        config["users"][0]["user"] = {"token": token["status"]["token"]}
        path = tmp_path / account
        path.write_text(yaml.safe_dump(config))
        return connect(kubeconfig=path, context="", clock=CLOCK)

    return connected


def registration(kind: str, operation: str) -> dict[str, Any]:
    """As the reference's, for one namespace. Nobody answers: Fail stands for its refusal of our workers."""
    hook = {
        "name": f"{'m' if kind.startswith('Mut') else 'v'}pod.vpc.k8s.aws",
        "clientConfig": {"url": "https://127.0.0.1:1/"},
        "namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": SPACE}},
        "rules": [
            {
                "apiGroups": [""], "apiVersions": ["v1"], "operations": [operation],
                "resources": ["pods", "pods/status"],
            }
        ],
        "failurePolicy": "Ignore" if kind.startswith("Mut") else "Fail",
        "sideEffects": "None",
        "admissionReviewVersions": ["v1"],
    }  # fmt: skip
    name = f"vpc-resource-{'mutating' if kind.startswith('Mut') else 'validating'}-webhook"
    return {
        "apiVersion": "admissionregistration.k8s.io/v1",
        "kind": kind,
        "metadata": {"name": name},
        "webhooks": [hook],
    }


@pytest.fixture
def reference(api: Cluster, sign_in: Callable[[str], HttpTransport]) -> Iterator[Standing]:
    """Holds the Lease, with rights and registrations of its own; a pod runs with an interface that it gave."""
    api.namespace(SPACE)
    spec = {"serviceAccountName": "default", "containers": [{"name": "c", "image": "example/c:1"}]}
    api.make(f"/api/v1/namespaces/{SPACE}/pods", {"metadata": {"name": "runs"}, "spec": spec})
    api.make(f"{SYSTEM}/serviceaccounts", {"metadata": {"name": "eks-vpc-resource-controller"}})
    rule = {"apiGroups": ["coordination.k8s.io"], "resources": ["leases"], "verbs": ["get", "create", "update"]}
    api.make(f"{RBAC}/roles", {"metadata": {"name": ROLE}, "rules": [rule]})
    binding = {
        "metadata": {"name": ROLE},
        "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "Role", "name": ROLE},
        "subjects": [
            {"kind": "ServiceAccount", "name": "eks-vpc-resource-controller", "namespace": "kube-system"}
        ],
    }  # fmt: skip
    api.make(f"{RBAC}/rolebindings", binding)
    for kind, operation in (("MutatingWebhookConfiguration", "CREATE"), ("ValidatingWebhookConfiguration", "UPDATE")):
        api.make(f"{HOOKS}/{kind.lower()}s", registration(kind, operation))
    api("DELETE", LEASE)
    terms = LeaseTerms(duration=2, renew_within=1.5, retry=1)
    standing = Standing(sign_in("eks-vpc-resource-controller"), "ip-10-0-0-9_reference", terms)
    yield standing
    standing.end(release=False)
    for path in (
        f"{HOOKS}/mutatingwebhookconfigurations/vpc-resource-mutating-webhook",
        f"{HOOKS}/validatingwebhookconfigurations/vpc-resource-validating-webhook",
        f"{RBAC}/rolebindings/{ROLE}", f"{RBAC}/roles/{ROLE}", LEASE,
        f"{SYSTEM}/serviceaccounts/eks-vpc-resource-controller",
    ):  # fmt: skip
        api("DELETE", path)


def holder(api: Cluster) -> str:
    return str((api("GET", LEASE).body.get("spec") or {}).get("holderIdentity", ""))


def test_the_guide_takes_over_and_goes_back(
    api: Cluster, reference: Standing, sign_in: Callable[[str], HttpTransport], kubectl: str, tmp_path: Path
) -> None:
    programs = tmp_path / "bin"
    programs.mkdir()
    (programs / "kubectl").symlink_to(kubectl)
    environment = {**os.environ, "KUBECONFIG": str(api.kubeconfig), "PATH": f"{programs}:{os.environ['PATH']}"}

    def run(block: list[str]) -> None:
        for line in block:
            subprocess.run(
                ["bash", "-euo", "pipefail", "-c", line],
                cwd=tmp_path, env=environment, check=True, capture_output=True, timeout=60,
            )  # fmt: skip

    def annotate(content: str) -> int:
        body = {"metadata": {"annotations": {POD_ENI: content}}}
        return api.merge(f"/api/v1/namespaces/{SPACE}/pods/runs/status", body, user=WORKER).status

    pod = f"/api/v1/namespaces/{SPACE}/pods/runs"
    (before,), (refusals, rights, look), (stop, restore, leave) = map(commands, ("Before", "Taking over", "Going back"))
    until(lambda: holder(api) == reference.lease.identity)
    kept = {name: api("GET", f"{HOOKS}/{name}").body["webhooks"] for name in (
        "mutatingwebhookconfigurations/vpc-resource-mutating-webhook",
        "validatingwebhookconfigurations/vpc-resource-validating-webhook",
    )}  # fmt: skip
    rules = api("GET", f"{RBAC}/roles/{ROLE}").body["rules"]
    run(before)
    ours = Standing(sign_in("vpc-rc-watcher"), "ours", LeaseTerms())
    try:
        until(lambda: ours.lease.other_holder().name == reference.lease.identity)
        assert annotate("[]") >= 400, "the reference's webhook is in the way"
        uid = api("GET", pod).body["metadata"]["uid"]
        run(refusals)
        until(lambda: annotate("[]") == 200)
        assert holder(api) == reference.lease.identity
        run(rights)
        until(lambda: holder(api) == "ours")
        run(look)
        assert api("GET", pod).body["metadata"]["uid"] == uid

        register = yaml.safe_load_all(
            subprocess.run(
                [kubectl, "kustomize", str(ROOT / "deploy" / "webhook" / "configurations")],
                check=True, capture_output=True, text=True,
            ).stdout
        )  # fmt: skip
        for one in register:
            api.make(f"{HOOKS}/{one['kind'].lower()}s", one)
        run(stop)
    finally:
        ours.end(release=True)
    run(restore)
    until(lambda: holder(api) == reference.lease.identity)
    assert api("GET", f"{RBAC}/roles/{ROLE}").body["rules"] == rules
    assert {name: api("GET", f"{HOOKS}/{name}").body["webhooks"] for name in kept} == kept
    run(leave)
    left = {
        item["metadata"]["name"]
        for kind in ("mutating", "validating")
        for item in api("GET", f"{HOOKS}/{kind}webhookconfigurations").body["items"]
    }
    assert not {name for name in left if name.startswith("vpc-rc")}
    api.merge("/apis/apps/v1/namespaces/kube-system/deployments/vpc-rc-watcher", {"spec": {"replicas": 2}})
