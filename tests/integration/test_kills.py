"""kill -9 in the middle of a burst of pods: of workers, of the leading watcher, of Redis; a Redis that comes up empty.

Two workers and two watchers; what dies is not started again before the others have recovered, except Redis.
"""

import shutil
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import partial

import pytest
import redis as redis_client

from sandbox.redis import RedisServer
from tests.integration.rig import Process, Rig, running
from tests.integration.standing import annotation, leaked, shared, unserved

NODES = [f"n{number}" for number in range(10)]
RECOVERY_SECONDS = 60.0
"""45 s are promised; the machine may be loaded. The time itself is printed."""
BURST = 18


@dataclass
class Stand:
    rig: Rig
    redis: RedisServer
    owners: dict[str, str] = field(default_factory=dict)
    """Every interface that was ever named by a pod, and the uid of that pod."""
    made: int = 0
    """Pods so far; they go to the nodes in turn."""

    def burst(self, count: int = BURST) -> None:
        for number in range(self.made, self.made + count):
            self.rig.add_pod(f"p{number:03}", NODES[number % len(NODES)])
        self.made += count

    def retire(self, count: int) -> None:
        """End the oldest pods."""
        oldest = sorted(self.rig.pods(), key=lambda pod: int(pod["metadata"]["resourceVersion"]))
        for pod in oldest[:count]:
            self.rig.remove_pod(pod["metadata"]["name"])

    def look(self) -> None:
        """Nothing is shared, now or with any time before."""
        assert shared(self.rig) == []
        for pod in self.rig.pods():
            for entry in annotation(pod):
                assert self.owners.setdefault(entry["eniId"], pod["metadata"]["uid"]) == pod["metadata"]["uid"]

    def partly_served(self) -> bool:
        return 0 < len(unserved(self.rig)) < BURST

    def recovered(self, what: str, since: float) -> None:
        self.rig.wait_for_none(f"unserved after {what}", lambda: unserved(self.rig), 2 * RECOVERY_SECONDS)
        seconds = time.monotonic() - since
        print(f"{what}: all served {seconds:.1f} s later; restarted: {self.rig.restarts}")
        assert self.rig.events(reason="BranchCapacityReached") == []
        self.look()
        assert seconds < RECOVERY_SECONDS

    def busy(self, worker: Process) -> bool:
        return self.partly_served() and self.rig.metric(worker, "vpc_rc_actions_in_flight") > 2

    def process(self, name: str) -> Process:
        return next(p for p in self.rig.processes if p.name == name)

    def leader(self) -> Process:
        path = "/apis/coordination.k8s.io/v1/namespaces/kube-system/leases/cp-vpc-resource-controller"
        pid = int(self.rig.kube("GET", path)["spec"]["holderIdentity"].split("_")[-2])
        return next(p for p in self.rig.processes if p.popen.pid == pid)


@pytest.fixture(scope="module")
def stand(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stand]:
    folder = tmp_path_factory.mktemp("kills")
    with running(folder, workers=2, watchers=2, aof=True, VPC_RC_WORKER_THREADS="3") as (rig, redis):
        for node in NODES:
            rig.add_node(node, "m5.xlarge")
        rig.wait("nodes", lambda: all(rig.capacity(node) == "18" for node in NODES))
        found = Stand(rig, redis)
        found.burst()
        rig.wait("first pods", lambda: not unserved(rig))
        # Slow enough that a kill meets calls under way.
        rig.behave(latencies={"mutate": [0.4, 0.8], "AssociateTrunkInterface": [0.4, 0.8]})
        yield found
        assert rig.faults_logged() == []


def kill(process: Process) -> float:
    process.supervised = False
    process.kill()
    return time.monotonic()


def test_a_worker_killed_in_the_middle_of_a_burst(stand: Stand) -> None:
    rig, worker = stand.rig, stand.process("worker0")
    stand.retire(4)
    stand.burst()
    rig.wait("calls under way in the worker", partial(stand.busy, worker))
    killed = kill(worker)
    stand.recovered("kill of a worker", killed)
    rig.processes.remove(worker)
    rig.start_worker("worker0").supervised = True


def test_the_other_worker_and_the_leading_watcher_killed_in_the_middle_of_a_burst(stand: Stand) -> None:
    rig, worker, leader = stand.rig, stand.process("worker1"), stand.leader()
    rig.wait("the first worker is back", lambda: rig.metric(stand.process("worker0"), "vpc_rc_reconciles_total") > 0)
    stand.burst()
    rig.wait("calls under way in the worker", partial(stand.busy, worker))
    kill(worker)
    killed = kill(leader)
    stand.retire(4)
    stand.burst(6)
    stand.recovered("kill of the other worker and the leader", killed)
    assert stand.leader() is not leader
    for process in (worker, leader):
        rig.processes.remove(process)
    rig.start_worker(worker.name).supervised = True
    rig.start_watcher(leader.name).supervised = True


def test_redis_killed_in_the_middle_of_a_burst_and_started_with_its_file(stand: Stand) -> None:
    stand.burst()
    stand.rig.wait("some served", stand.partly_served)
    stand.redis.kill()
    killed = time.monotonic()
    stand.retire(4)
    stand.burst(6)
    stand.redis.start()
    stand.recovered("kill of Redis", killed)


def test_redis_flushed_in_the_middle_of_a_burst(stand: Stand) -> None:
    stand.burst()
    stand.rig.wait("some served", stand.partly_served)
    with redis_client.Redis.from_url(stand.redis.url) as client:
        client.flushall()
    flushed = time.monotonic()
    stand.retire(4)
    stand.burst(6)
    stand.recovered("FLUSHALL", flushed)


def test_redis_killed_in_the_middle_of_a_burst_and_started_empty(stand: Stand) -> None:
    stand.burst()
    stand.rig.wait("some served", stand.partly_served)
    stand.redis.kill()
    killed = time.monotonic()
    for content in stand.redis._directory.iterdir():
        shutil.rmtree(content) if content.is_dir() else content.unlink()
    stand.retire(4)
    stand.burst(6)
    stand.redis.start()
    stand.recovered("start of an empty Redis", killed)


def test_after_all_that_nothing_is_left_over(stand: Stand) -> None:
    """The interfaces of pods that ended meanwhile, of crashes and of lost records are gone; those of pods are not."""
    rig = stand.rig
    seconds = rig.wait_for_none("interfaces beyond those of live pods", lambda: leaked(rig), 120)
    print(f"nothing leaked {seconds:.1f} s after the last recovery")
    stand.look()
    assert unserved(rig) == []
    enis = [entry["eniId"] for pod in rig.pods() for entry in annotation(pod)]
    assert len(enis) == len(rig.pods()) == len(set(enis))
