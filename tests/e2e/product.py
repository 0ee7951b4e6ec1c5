"""The product in a full control plane: each process with its own service account, on a real Redis and the EC2 model."""

import os
import secrets
import signal
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import redis

from common.store.acl import Role, acl_file, user_name
from sandbox.ports import free_port
from sandbox.redis import RedisServer
from tests.e2e.plane import Plane
from tests.integration.redis_server import with_users
from tests.integration.rig import CLUSTER, GROUP, SUBNET, VPC, Process, Rig
from tests.integration.webhook_cluster import Cluster, WebhookProcess

LEASE = "/apis/coordination.k8s.io/v1/namespaces/kube-system/leases/cp-vpc-resource-controller"
CONFIG_MAP = "/api/v1/namespaces/kube-system/configmaps/amazon-vpc-cni"
TESTER = "tester"
"""The test's own user of Redis."""
COOL_DOWN = 30
NODE_RELEASE = 30
GROUPS = {"node": GROUP, "web": "sg-0000000000000002", "db": "sg-0000000000000003"}


class Product:
    """Two watchers, two workers, webhook and Flower."""

    def __init__(self, plane: Plane, rig: Rig, redis: RedisServer, passwords: Mapping[Role, str]) -> None:
        self.plane, self.rig, self.redis = plane, rig, redis
        self._passwords = passwords
        self._kubeconfigs = {role: plane.kubeconfig_of(role) for role in ("watcher", "worker", "webhook")}
        self._number = 0
        rig.redis_port = redis.port
        rig.configure(
            VPC_RC_ENABLE_WINDOWS_PREFIX_DELEGATION="true",
            VPC_RC_NODE_RELEASE_SECONDS=str(NODE_RELEASE),
            VPC_RC_LISTEN_ADDRESS="127.0.0.1",
        )
        self.flower_port = free_port()
        command = ("-m", "cli.main", "flower", "--port", str(self.flower_port))
        self.flower = rig.spawn(
            "flower", *command, FLOWER_UNAUTHENTICATED_API="true", VPC_RC_REDIS_URL=self.redis_url(Role.FLOWER)
        )
        self.workers = [self.start("worker") for _ in range(2)]
        self.watchers = [self.start("watcher") for _ in range(2)]
        self.webhook = WebhookProcess(Cluster(self._kubeconfigs["webhook"]), rig.folder)
        self.webhook.register(plane.api, "configurations/mutating.yaml", "configurations/validating.yaml")

    def start(self, role: str) -> Process:
        self._number += 1
        own = {"VPC_RC_KUBECONFIG": str(self._kubeconfigs[role]), "VPC_RC_REDIS_URL": self.redis_url(Role(role))}
        return self.rig.spawn(f"{role}-{self._number}", "-m", "cli.main", role, **own)

    def redis_url(self, role: Role) -> str:
        """With its user and password, as the Secrets have it."""
        return f"redis://{user_name(role)}:{self._passwords[role]}@127.0.0.1:{self.redis.port}/0"

    def newly_refused(self) -> list[str]:
        """What Redis refused one of its users since it was last asked."""
        client: Any = redis.Redis(port=self.redis.port, username=TESTER, password=TESTER, decode_responses=True)
        found = [f"{one['username']}: {one['reason']} {one['object']}" for one in client.acl_log()]
        client.acl_log_reset()
        return found

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
    passwords = {role: secrets.token_urlsafe() for role in Role}
    users = folder / "users.acl"
    users.write_text(f"{acl_file(CLUSTER, passwords)}user {TESTER} on >{TESTER} ~* &* +@all\n")
    with RedisServer(program=with_users(), acl_file=users) as server:
        try:
            rig.start_ec2("--random-seed", str(os.getpid()), seed={"vpc_id": VPC, "subnets": subnets, "groups": groups})
            product = Product(plane, rig, server, passwords)
            try:
                rig.wait("one watcher leads", lambda: product.leader() is not None)
                yield product
            finally:
                product.stop()
        finally:
            rig.stop()
