"""A whole system that is healthy as far as `vpc-rc doctor` can see, for misconfigurations to be planted in it."""

import base64
import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import yaml

from common.store import Store, connect, keys
from common.store.link import Link
from sandbox.calls import call
from sandbox.ec2 import Ec2Behaviour, Ec2World, NodeSeed
from sandbox.ec2.server import serving_in_thread
from sandbox.kube import KubeWorld
from sandbox.kube.certificates import Certificates, make_certificates
from sandbox.kube.running import in_thread, load_manifests
from sandbox.nodes import NODE_GROUP, POD_GROUPS, REGION, VPC, empty_seed, join, plant
from sandbox.redis import RedisServer

ROOT = Path(__file__).parents[2]
CLUSTER = "demo"
LEADER, STANDBY, WORKER = "host-a_1_aa", "host-b_1_bb", "vpc-rc-1@host"
LEASES = "/apis/coordination.k8s.io/v1/namespaces/kube-system/leases"
LEASE = f"{LEASES}/cp-vpc-resource-controller"
HOOKS = "/apis/admissionregistration.k8s.io/v1"
POLICIES = "/apis/vpcresources.k8s.aws/v1beta1/namespaces/default/securitygrouppolicies"
ENI_CONFIGS = "/apis/crd.k8s.amazonaws.com/v1alpha1/eniconfigs"
CONFIG_MAPS = "/api/v1/namespaces/kube-system/configmaps"
PASSWORD = "planted"


@dataclass
class Planted:
    """What tests change before they ask the doctor."""

    folder: Path
    ec2: Ec2World
    ec2_url: str
    kube_url: str
    link: Link
    store: Store
    nodes: list[str]
    certificates: Certificates
    webhook_port: int
    environment: dict[str, str] = field(default_factory=dict)

    def kube(self, method: str, path: str, body: Any = None) -> Any:
        return call(method, f"{self.kube_url}{path}", body)

    def change(self, path: str, change: Any) -> None:
        """Read, change in place, write."""
        found = self.kube("GET", path)
        change(found)
        self.kube("PUT", path, found)

    def beat(self, role: str, member: str, ttl: float = 60.0, **about: str) -> None:
        self.store.members.beat(role, member, about, ttl)

    def silence(self, role: str, member: str) -> None:
        self.link.command("DEL", keys.member(keys.prefix(CLUSTER), role, member))

    def lease(self, holder: str, *, name: str = "cp-vpc-resource-controller", age: float = 0.0) -> None:
        moment = (datetime.now(UTC) - timedelta(seconds=age)).strftime("%Y-%m-%dT%H:%M:%S.%fZ")
        spec = {"holderIdentity": holder, "leaseDurationSeconds": 30, "renewTime": moment, "acquireTime": moment}
        with suppress(Exception):
            self.kube("DELETE", f"{LEASES}/{name}")
        metadata = {"name": name, "namespace": "kube-system"}
        body = {"apiVersion": "coordination.k8s.io/v1", "kind": "Lease", "metadata": metadata, "spec": spec}
        self.kube("POST", LEASES, body)

    def policy(self, name: str, **spec: Any) -> None:
        body = {
            "apiVersion": "vpcresources.k8s.aws/v1beta1",
            "kind": "SecurityGroupPolicy",
            "metadata": {"name": name, "namespace": "default"},
            "spec": spec,
        }
        self.kube("POST", POLICIES, body)

    def config_map(self, **data: str) -> None:
        metadata = {"name": "amazon-vpc-cni", "namespace": "kube-system"}
        values = {key.replace("_", "-"): value for key, value in data.items()}
        self.kube("POST", CONFIG_MAPS, {"apiVersion": "v1", "kind": "ConfigMap", "metadata": metadata, "data": values})

    def hooks(self) -> Iterator[str]:
        for kind, name in (("mutating", "vpc-rc-mutating"), ("validating", "vpc-rc-validating")):
            yield f"{HOOKS}/{kind}webhookconfigurations/{name}"

    def bundle(self, pem: bytes) -> None:
        """The authorities that the API server accepts for our webhooks."""
        self.change_hooks(lambda config: config.update(caBundle=base64.b64encode(pem).decode()))

    def change_hooks(self, change: Callable[[dict[str, Any]], None]) -> None:
        """Change how the API server calls each of our webhooks."""

        def each(found: Any) -> None:
            for hook in found["webhooks"]:
                change(hook["clientConfig"])

        for path in self.hooks():
            self.change(path, each)

    def certificate_ends(self, in_days: float) -> None:
        """Our webhooks get a certificate that ends then. It lives for thirty days from the moment that it is made."""
        folder = self.folder / f"ends-{in_days}"
        made = make_certificates(folder, datetime.now(UTC) + timedelta(days=in_days - 30))
        for old, new in (
            (self.certificates.authority, made.authority),
            (self.certificates.certificate, made.certificate),
            (self.certificates.key, made.key),
        ):
            old.write_bytes(new.read_bytes())
        self.bundle(made.authority.read_bytes())


def _set_bundle(hook: Any, pem: bytes) -> None:
    hook["clientConfig"]["caBundle"] = base64.b64encode(pem).decode()


@contextmanager
def healthy(folder: Path) -> Iterator[Planted]:
    with ExitStack() as stack:
        redis = stack.enter_context(RedisServer(aof=True))
        plain = Link(connect(redis.url))
        plain.command("CONFIG", "SET", "requirepass", PASSWORD)
        redis_url = f"redis://:{PASSWORD}@127.0.0.1:{redis.port}/0"
        ec2 = Ec2World(clock=time.time, settings=Ec2Behaviour.instant())
        ec2_url = stack.enter_context(serving_in_thread(ec2))
        kube_world = KubeWorld(clock=time.time)
        load_manifests(kube_world, ROOT / "deploy/crds")
        server = stack.enter_context(in_thread(kube_world))
        # As all instances of EKS, they carry the cluster's tag.
        tags = {f"kubernetes.io/cluster/{CLUSTER}": "owned"}
        nodes = tuple(NodeSeed(instance_type="m5.large", groups=(NODE_GROUP,), tags=tags) for _ in range(2))
        seed = empty_seed()
        instances = plant(
            ec2_url,
            type(seed)(
                **{name: getattr(seed, name) for name in ("vpc_cidr", "vpc_id", "subnets", "groups")}, nodes=nodes
            ),
        )
        certificates = make_certificates(folder / "webhook", datetime.now(UTC))
        link = Link(connect(redis_url))
        planted = Planted(
            folder=folder,
            ec2=ec2,
            ec2_url=ec2_url,
            kube_url=server.url,
            link=link,
            store=Store.on(connect(redis_url), keys.prefix(CLUSTER)),
            nodes=join(ec2_url, server.url, instances),
            certificates=certificates,
            webhook_port=stack.enter_context(tls_server(certificates)),
            environment={
                "VPC_RC_CLUSTER_NAME": CLUSTER,
                "VPC_RC_VPC_ID": VPC,
                "VPC_RC_REDIS_URL": redis_url,
                "AWS_ENDPOINT_URL_EC2": ec2_url,
                "AWS_ENDPOINT_URL_STS": ec2_url,
                "AWS_REGION": REGION,
                "AWS_ACCESS_KEY_ID": "sandbox",
                "AWS_SECRET_ACCESS_KEY": "sandbox",
                "KUBECONFIG": str(server.write_kubeconfig(folder / "kubeconfig")),
            },
        )
        _run(planted)
        yield planted


def _define(planted: Planted, kind: str, plural: str) -> None:
    """A kind of the API server's own that the sandbox does not have: stored, and not acted upon."""
    group = HOOKS.split("/")[2]
    schema = {"openAPIV3Schema": {"type": "object", "x-kubernetes-preserve-unknown-fields": True}}
    body = {
        "apiVersion": "apiextensions.k8s.io/v1",
        "kind": "CustomResourceDefinition",
        "metadata": {"name": f"{plural}.{group}"},
        "spec": {
            "group": group,
            "scope": "Cluster",
            "names": {"kind": kind, "plural": plural, "singular": kind.lower(), "listKind": f"{kind}List"},
            "versions": [{"name": "v1", "served": True, "storage": True, "schema": schema}],
        },
    }
    planted.kube("POST", "/apis/apiextensions.k8s.io/v1/customresourcedefinitions", body)


def _guard(planted: Planted) -> None:
    plurals = {
        "ValidatingAdmissionPolicy": "validatingadmissionpolicies",
        "ValidatingAdmissionPolicyBinding": "validatingadmissionpolicybindings",
    }
    for kind, plural in plurals.items():
        _define(planted, kind, plural)
    for file in sorted((ROOT / "deploy/policy").glob("[!k]*.yaml")):
        for body in yaml.safe_load_all(file.read_text()):
            planted.kube("POST", f"{HOOKS}/{plurals[body['kind']]}", body)


def _run(planted: Planted) -> None:
    """What the processes, their operator and their users put there."""
    planted.beat("watcher", LEADER, leader="true")
    planted.beat("watcher", STANDBY, leader="false")
    planted.beat("worker", WORKER)
    planted.store.desired.begin_full_list()
    planted.store.desired.finish_full_list()
    planted.lease(LEADER)
    _guard(planted)
    for file in ("mutating", "validating"):
        body = yaml.safe_load((ROOT / f"deploy/webhook/configurations/{file}.yaml").read_text())
        for hook in body["webhooks"]:
            path = hook["clientConfig"].pop("service")["path"]
            hook["clientConfig"]["url"] = f"https://127.0.0.1:{planted.webhook_port}{path}"
            _set_bundle(hook, planted.certificates.authority.read_bytes())
            # Never called: the doctor only looks.
            hook["rules"] = [
                {"apiGroups": ["never"], "apiVersions": ["v1"], "operations": ["CREATE"], "resources": ["x"]}
            ]
            hook.pop("matchConditions", None)
        planted.kube("POST", f"{HOOKS}/{file}webhookconfigurations", body)
    pod = {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": "shop", "namespace": "default", "labels": {"app": "shop"}},
        "spec": {"containers": [{"name": "c", "image": "i"}]},
    }
    planted.kube("POST", "/api/v1/namespaces/default/pods", pod)
    groups = {"groupIds": [POD_GROUPS[0]]}
    planted.policy("shop", podSelector={"matchLabels": {"app": "shop"}}, securityGroups=groups)


@contextmanager
def tls_server(certificates: Certificates) -> Iterator[int]:
    """Shakes hands, with the certificate as the files have it at that moment."""
    with socket.create_server(("127.0.0.1", 0)) as listener:

        def serve() -> None:
            while True:
                try:
                    plain, _ = listener.accept()
                except OSError:
                    return
                with suppress(OSError), certificates.server_context().wrap_socket(plain, server_side=True) as tls:
                    tls.recv(1)

        thread = threading.Thread(target=serve, daemon=True)
        thread.start()
        yield int(listener.getsockname()[1])
        with suppress(OSError):
            listener.shutdown(socket.SHUT_RDWR)
