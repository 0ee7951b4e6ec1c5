"""The product in a full control plane: each process with its own service account, on a real Redis and the EC2 model."""

import os
import signal
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from sandbox.redis import RedisServer, free_port
from tests.e2e.plane import Plane
from tests.integration.rig import GROUP, SUBNET, VPC, Process, Rig
from tests.integration.webhook_cluster import Cluster, WebhookProcess

LEASE = "/apis/coordination.k8s.io/v1/namespaces/kube-system/leases/cp-vpc-resource-controller"
CONFIG_MAP = "/api/v1/namespaces/kube-system/configmaps/amazon-vpc-cni"
COOL_DOWN = 30
NODE_RELEASE = 30
GROUPS = {"node": GROUP, "web": "sg-0000000000000002", "db": "sg-0000000000000003"}


class Product:
    """Two watchers, two workers, webhook and Flower."""

    def __init__(self, plane: Plane, rig: Rig, redis: RedisServer) -> None:
        self.plane, self.rig, self.redis = plane, rig, redis
        self._kubeconfigs = {role: plane.kubeconfig_of(role) for role in ("watcher", "worker", "webhook")}
        self._number = 0
        rig.redis_port = redis.port
        rig.configure(
            VPC_RC_ENABLE_WINDOWS_PREFIX_DELEGATION="true",
            VPC_RC_NODE_RELEASE_SECONDS=str(NODE_RELEASE),
            VPC_RC_LISTEN_ADDRESS="127.0.0.1",
        )
        self.flower_port = free_port()
        self.flower = rig.spawn(
            "flower", "-m", "cli.main", "flower", "--port", str(self.flower_port), FLOWER_UNAUTHENTICATED_API="true"
        )
        self.workers = [self.start("worker") for _ in range(2)]
        self.watchers = [self.start("watcher") for _ in range(2)]
        self.webhook = WebhookProcess(Cluster(self._kubeconfigs["webhook"]), rig.folder)
        self.webhook.register(plane.api, "configurations/mutating.yaml", "configurations/validating.yaml")

    def start(self, role: str) -> Process:
        self._number += 1
        kubeconfig = str(self._kubeconfigs[role])
        return self.rig.spawn(f"{role}-{self._number}", "-m", "cli.main", role, VPC_RC_KUBECONFIG=kubeconfig)

    def processes(self) -> list[Process]:
        """Those that should run, the webhook apart."""
        return [self.flower, *self.workers, *self.watchers]

    def kubeconfig(self, role: str) -> Path:
        return self._kubeconfigs[role]

    def leader(self) -> Process | None:
        """The watcher that holds the lease; it names its pid there."""
        holder = self.plane.api("GET", LEASE).body.get("spec", {}).get("holderIdentity") or "__"
        pid = holder.split("_")[-2]
        found = [each for each in self.watchers if str(each.popen.pid) == pid and each.popen.poll() is None]
        return found[0] if found else None

    def stop(self) -> None:
        self.webhook.process.send_signal(signal.SIGTERM)
        self.rig.stop()
        self.webhook.process.wait(30)


@contextmanager
def running(plane: Plane, folder: Path) -> Iterator[Product]:
    plane.apply_base()
    plane.api.make("/api/v1/namespaces/kube-system/configmaps", {
        "metadata": {"name": "amazon-vpc-cni"}, "data": {"branch-eni-cooldown": str(COOL_DOWN)},
    })  # fmt: skip
    folder.mkdir()
    rig = Rig(folder)
    groups = [{"name": name, "id": identifier} for name, identifier in GROUPS.items()]
    subnets = [{"cidr": "10.0.0.0/16", "id": SUBNET, "az": "us-west-2a"}]
    with RedisServer() as redis:
        try:
            rig.start_ec2("--random-seed", str(os.getpid()), seed={"vpc_id": VPC, "subnets": subnets, "groups": groups})
            product = Product(plane, rig, redis)
            try:
                rig.wait("one watcher leads", lambda: product.leader() is not None)
                yield product
            finally:
                product.stop()
        finally:
            rig.stop()
