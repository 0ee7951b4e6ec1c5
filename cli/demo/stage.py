"""The processes of a demo: the sandbox, the watcher, the workers and Flower, and the ways to look at them."""

import json
from typing import Any

import msgspec

from cli.demo.cluster import Cluster
from cli.demo.ideal import scaled
from cli.demo.plan import DemoFailed, Plan
from cli.demo.screen import Picture
from cli.demo.signals import Listener
from cli.status.read import read_cluster
from common.clock import Clock
from common.kube.transport import connect as connect_kube
from common.model.limits import load_limits
from common.store import Store, connect, keys
from sandbox.all import CLUSTER, FACTS, Facts
from sandbox.calls import call
from sandbox.ports import free_port
from sandbox.processes import Process, Processes

MODULE = "cli.main"
START_SECONDS = 60.0
TAIL_LINES = 25


class Stage:
    """Everything that runs. Raises DemoFailed where one of the processes does not start or ends by itself."""

    def __init__(self, plan: Plan, processes: Processes, clock: Clock, listener: Listener) -> None:
        self._plan, self._processes, self._clock, self._listener = plan, processes, clock, listener
        options = ["--folder", str(plan.folder), "--nodes", str(plan.nodes), "--instance-type", plan.instance_type]
        self._start("sandbox", ["sandbox", *options, "--with-kubelet"], {})
        facts = plan.folder / FACTS
        deadline = clock.monotonic() + START_SECONDS
        while not facts.exists():
            self.look()
            if clock.monotonic() > deadline:
                raise DemoFailed(f"the sandbox was not ready after {START_SECONDS:.0f} s")
            clock.sleep(0.05)
        self.facts = msgspec.json.decode(facts.read_bytes(), type=Facts)
        if not (self.facts.redis_url and self.facts.ec2_url and self.facts.kubeconfig):
            raise DemoFailed("the sandbox lacks a part")
        self.ec2_url = self.facts.ec2_url
        self.environment = self._environment()
        if plan.ec2_factor != 1:
            self._raise_limits()
        self._store = Store.on(connect(self.facts.redis_url), keys.prefix(CLUSTER))
        transport = connect_kube(kubeconfig=plan.folder / "kubeconfig", context="", clock=clock)
        self.cluster = Cluster(transport, clock)
        self.flower_port = free_port()

    def start_product(self) -> None:
        """Watcher, workers and Flower."""
        self._start("watcher", ["watcher"], self._ports())
        for number in range(1, self._plan.workers + 1):
            self._start(f"worker-{number}", ["worker"], self._ports())
        self._start("flower", ["flower", "--port", str(self.flower_port)], {})

    def look(self) -> None:
        """Raises DemoFailed where a process ended by itself, and Signalled."""
        self._listener.check()
        if ended := self._processes.ended():
            raise DemoFailed(f"{ended.name} ended by itself with status {ended.status()}", ended.tail(TAIL_LINES))

    def tails(self) -> list[str]:
        """The last errors and warnings of the product's processes."""
        found = []
        for path in sorted(self._plan.folder.glob("*.log")):
            lines = path.read_text(errors="replace").splitlines()
            bad = [line for line in lines if "error" in line.lower() or "warning" in line.lower()]
            found += [f"{path.stem}: {line}" for line in bad[-5:]]
        return found

    def picture(self) -> Picture:
        """The present state."""
        pods = self.cluster.live()
        ec2 = self.ec2("summary")
        actions: dict[str, dict[str, int]] = ec2["actions"]
        status = read_cluster(self._store, load_limits())
        return Picture(
            status=status,
            pods=len(pods),
            served=sum(pod.annotated_at is not None for pod in pods),
            waits=self.cluster.waits(),
            calls=sum(counts["calls"] for counts in actions.values()),
            throttled=ec2["throttled"],
            branches=ec2["associations"],
        )

    def ec2(self, what: str) -> Any:
        """What the EC2 sandbox says of itself: `state`, `journal`, `summary`."""
        return call("GET", f"{self.ec2_url}/_sandbox/{what}")

    def pids(self) -> dict[str, int]:
        return {**self._processes.pids(), **{f"sandbox/{name}": pid for name, pid in self.facts.pids.items()}}

    def _start(self, name: str, arguments: list[str], ports: dict[str, str]) -> Process:
        environment = {} if name == "sandbox" else {**self.environment, **ports}
        return self._processes.start(name, MODULE, arguments, environment, self._plan.folder / f"{name}.log")

    def _environment(self) -> dict[str, str]:
        own = {
            "VPC_RC_LISTEN_ADDRESS": "127.0.0.1",
            "VPC_RC_LOG_FORMAT": "console",
            # Not served, by those who serve nothing; the others get free ones.
            "VPC_RC_HEALTH_PORT": "0",
            "VPC_RC_METRICS_PORT": "0",
            "VPC_RC_INTROSPECTION_PORT": "0",
        }
        if self._plan.ec2_factor != 1:
            rates = {action: rate.model_dump() for action, rate in scaled(self._plan.ec2_factor).items()}
            own["VPC_RC_EC2_RATES"] = json.dumps(rates)
        return self.facts.environment() | own

    def _ports(self) -> dict[str, str]:
        names = ("VPC_RC_HEALTH_PORT", "VPC_RC_METRICS_PORT", "VPC_RC_INTROSPECTION_PORT")
        return {name: str(free_port()) for name in names}

    def _raise_limits(self) -> None:
        buckets = call("GET", f"{self.ec2_url}/_sandbox/behaviour")["buckets"]
        more = {
            name: {key: value * self._plan.ec2_factor for key, value in bucket.items()}
            for name, bucket in buckets.items()
        }
        call("PUT", f"{self.ec2_url}/_sandbox/behaviour", {"buckets": more})
