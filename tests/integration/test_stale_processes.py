"""A leader and a worker that stand still in the middle of a write while others go on: what they had sent arrives late,
and is refused; when they come back they change nothing."""

import json
from pathlib import Path

import pytest
import redis

from common.model.ids import NodeName
from common.store import Store, connect, keys
from sandbox.redis import RedisServer
from tests.integration.delayed import Delayed
from tests.integration.rig import CLUSTER, Rig, running
from tests.integration.standing import annotation, leaked, shared, unserved
from tests.integration.test_fast_failover import leads
from watcher.run import LOST_LEASE

N1 = NodeName("n1")
PAST_EVERYTHING_SECONDS = 75.0
"""A lock lives 65 s, a message is invisible for 60 s, a Lease lasts 30 s."""
FROZEN = pytest.mark.parametrize(
    "seconds",
    [0.0, pytest.param(PAST_EVERYTHING_SECONDS, marks=pytest.mark.slow)],
    ids=["until another goes on", "past every lifetime"],
)


def uid_of(rig: Rig, pod: str) -> str:
    return str(rig.pod(pod)["metadata"]["uid"])


def interfaces(rig: Rig) -> set[str]:
    """Of the pods that live."""
    return {entry["eniId"] for pod in rig.pods() for entry in annotation(pod)}


def begin(rig: Rig) -> None:
    """A node with a pod that stays."""
    rig.add_node("n1", "m5.xlarge")
    rig.wait("the node", lambda: rig.capacity("n1") == "18")
    serve(rig, "stays")


def serve(rig: Rig, pod: str) -> None:
    rig.add_pod(pod, "n1")
    rig.wait_for_none("unserved", lambda: unserved(rig))


def nothing_wrong(rig: Rig, kept: set[str]) -> None:
    assert kept <= interfaces(rig)
    assert shared(rig) == []
    assert leaked(rig) == []
    assert rig.judgement().wrong == []
    assert rig.faults_logged() == []


def refused_terms(server: RedisServer) -> int:
    """Writes that Redis refused for their term."""
    with redis.Redis.from_url(server.url) as client:
        found: dict[str, dict[str, int]] = client.info("errorstats")
    return found.get("errorstat_STALETERM", {}).get("count", 0)


@FROZEN
def test_a_write_of_a_frozen_leader_that_arrives_late_is_refused(seconds: float, tmp_path: Path) -> None:
    with running(tmp_path, workers=0, watchers=0, judged=True) as (rig, server), Delayed(server.port) as way:
        store = Store.on(connect(server.url), keys.prefix(CLUSTER))
        old = rig.start_watcher("watcher0", VPC_RC_REDIS_URL=way.url)
        rig.start_worker("worker0").supervised = True
        begin(rig)
        rig.start_watcher("watcher1").supervised = True
        way.hold(b"EVALSHA", b":pods:n1", b"ghost")
        rig.add_pod("ghost", "n1")
        rig.wait("the leader writes it", way.held.is_set)
        old.pause()
        try:
            rig.remove_pod("ghost")
            rig.wait("another leads", lambda: leads(rig, old) is not None, 30)
            serve(rig, "comes")
            kept = interfaces(rig)
            rig.holds("nothing is taken away", lambda: kept <= interfaces(rig), seconds)
            way.release()
            goal = {uid_of(rig, "stays"), uid_of(rig, "comes")}
            rig.holds("no pod that is gone", lambda: set(store.desired.read(N1).pods) == goal, 2.0)
            assert refused_terms(server) > 0
        finally:
            old.go_on()
        rig.wait("it ends", lambda: not old.running, 30)
        assert old.popen.returncode == LOST_LEASE
        serve(rig, "later")
        nothing_wrong(rig, kept)


@FROZEN
def test_a_ledger_of_a_frozen_worker_that_arrives_late_is_refused(seconds: float, tmp_path: Path) -> None:
    with running(tmp_path, workers=0, judged=True) as (rig, server), Delayed(server.port) as way:
        store = Store.on(connect(server.url), keys.prefix(CLUSTER))
        old = rig.start_worker("worker0", VPC_RC_REDIS_URL=way.url)
        begin(rig)
        way.hold(b"EVALSHA", b":ledger:n1")
        rig.add_pod("begun", "n1")
        rig.wait("the worker saves its intent", way.held.is_set)
        old.pause()
        try:
            rig.start_worker("worker1").supervised = True
            rig.wait_for_none("unserved", lambda: unserved(rig))
            serve(rig, "comes")
            kept = interfaces(rig)
            assert len(kept) == 3
            rig.holds("nothing is taken away", lambda: kept <= interfaces(rig), seconds)

            def known() -> set[str]:
                ledger = store.ledgers.load(N1)
                return {str(b.eni_id) for b in ledger.branches.values()} if ledger is not None else set()

            assert known() == kept
            way.release()
            rig.holds("the ledger knows all of them", lambda: known() == kept, 2.0)
        finally:
            old.go_on()
        rig.wait("its run is lost", lambda: "run_lost" in events(old.log), 30)
        rig.holds("the ledger knows all of them", lambda: known() == kept, 2.0)
        serve(rig, "later")
        nothing_wrong(rig, kept)


def events(log: Path) -> set[str]:
    """Events in a process' log."""
    lines = [line for line in log.read_text().splitlines() if line.startswith("{")]
    return {json.loads(line).get("event", "") for line in lines}
