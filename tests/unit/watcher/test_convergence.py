"""Whatever happens on the way, the same cluster ends in the same desired state."""

import json
import random
from collections.abc import Mapping
from typing import Any

import fakeredis
import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from common.kube.transport import Response
from common.model.desired import Desired
from common.model.errors import Unsure
from common.model.ids import NodeName
from tests.kit.api import cluster, node, pod
from tests.kit.clock import VirtualClock
from tests.kit.fake_redis import FakeRedis
from tests.unit.watcher.bench import CNINODES, ENI_CONFIGS, MERGE, NODES, NOW_GONE, PODS, Watch
from watcher.cluster_cache import ClusterCache
from watcher.kinds import Kind

NAMES = [NodeName(f"n{number}") for number in range(3)]


def timeless(desired: Desired) -> Desired:
    pods = {uid: msgspec.structs.replace(request, seen_at=0.0) for uid, request in desired.pods.items()}
    return msgspec.structs.replace(desired, pods=pods)


class Life:
    """Random changes to a cluster."""

    def __init__(self, watch: Watch, rng: random.Random) -> None:
        self.api, self.rng = watch.api, rng

    def happen(self) -> None:
        name, at = self.rng.choice(NAMES), self.rng.randrange(5)
        match self.rng.randrange(9):
            case 0:
                self._toggle(NODES, node(name, **{"vpc.amazonaws.com__eniConfig": self.rng.choice("ab")}))
            case 1:
                features = [{"name": "CustomNetworking", "value": self.rng.choice("ab")}]
                self._toggle(CNINODES, {"metadata": {"name": name}, "spec": {"features": features}})
            case 2:
                self._toggle(ENI_CONFIGS, {"metadata": {"name": "a"}, "spec": {"subnet": f"subnet-{at}"}})
            case 3 | 4 | 5:
                self._toggle(PODS, pod(f"p{at}", name))
            case 6:
                patch = {"metadata": {"annotations": {"vpc.amazonaws.com/pod-eni": f"[{self.rng.random()}]"}}}
                self.api.world.request("PATCH", f"{PODS}/p{at}", None, patch, MERGE)
            case 7:
                patch = {"metadata": {"labels": {"vpc.amazonaws.com/has-trunk-attached": str(at)}}}
                self.api.world.request("PATCH", f"{NODES}/{name}", None, patch, MERGE)
            case 8:
                self.api.world.compact()

    def _toggle(self, path: str, obj: Any) -> None:
        found = self.api.world.request("DELETE", f"{path}/{obj['metadata']['name']}", None, NOW_GONE)
        if found.status == 404:
            self.api.ok("POST", path, obj)


@pytest.mark.parametrize("seed", range(30))
def test_cuts_losses_restarts_and_outages_end_in_what_the_cluster_says(seed: int) -> None:
    rng, clock = random.Random(seed), VirtualClock()
    api, redis = cluster(clock, seed=seed), fakeredis.FakeServer()
    watch = Watch(api, redis, clock, seed)
    watch.leader.lead()
    life = Life(watch, rng)
    published: set[str] = set()

    def faults(method: str, path: str, query: Mapping[str, str]) -> Response | None:
        roll = rng.random()
        if roll < 0.1:
            raise Unsure("ConnectionReset", "injected")
        return Response(rng.choice([410, 429, 500, 404]), b"{}") if roll < 0.15 else None

    api.before = faults
    for _ in range(60):
        life.happen()
        redis.connected = rng.random() > 0.1
        watch.published.away = rng.random() < 0.1
        if rng.random() < 0.05 and redis.connected:
            FakeRedis(server=redis).flushall()
        if rng.random() < 0.05:
            published |= watch.published.names()
            watch = Watch(api, redis, clock, seed)
            watch.leader.lead()
        if rng.random() < 0.7:
            watch.reflect(1)
        watch.turn(rng.randrange(3))
        clock.sleep(rng.random() * 3)
    api.before = lambda *_: None
    redis.connected, watch.published.away = True, False
    clock.sleep(100)
    watch.settle()
    watch.turn(15)
    watch.settle()

    fresh = Watch(api, fakeredis.FakeServer(), VirtualClock())
    fresh.lead()
    assert watch.store.desired.known_nodes() == fresh.store.desired.known_nodes()
    for name in NAMES:
        assert timeless(watch.desired(name)) == timeless(fresh.desired(name))
        assert watch.desired(name).complete
    assert published | watch.published.names() >= fresh.store.desired.known_nodes()


def versions(uid: str) -> list[tuple[str, bytes]]:
    """The life of one pod as a watch tells it."""
    bound: dict[str, Any] = pod(f"name-{uid}", f"n{int(uid) % 2}")
    bound["metadata"]["uid"] = uid
    annotated = json.loads(json.dumps(bound))
    annotated["metadata"]["annotations"] = {"vpc.amazonaws.com/pod-eni": "[]"}
    steps = [("ADDED", bound), ("MODIFIED", annotated)]
    if int(uid) % 3:
        steps.append(("DELETED", annotated))
    return [(event, json.dumps(obj).encode()) for event, obj in steps]


@given(
    order=st.permutations([uid for uid in map(str, range(6)) for _ in range(4)]),
    rewinds=st.lists(st.tuples(st.integers(0, 23), st.integers(1, 3)), max_size=6),
)
def test_any_interleaving_with_repeated_parts_ends_the_same(order: list[str], rewinds: list[tuple[int, int]]) -> None:
    """A watch begun again at an older version tells an object's last steps again, always up to the newest."""
    cache = ClusterCache(clock=VirtualClock())
    cache.lead(True)
    reported = dict.fromkeys(set(order), 0)
    for turn, uid in enumerate(order):
        steps = versions(uid)
        for _ in range(2):
            if reported[uid] < len(steps):
                cache.apply(Kind.PODS, *steps[reported[uid]])
                reported[uid] += 1
        for at, back in rewinds:
            if at == turn:
                for step in steps[max(0, reported[uid] - back) : reported[uid]]:
                    cache.apply(Kind.PODS, *step)
    for kind in Kind:
        cache.synced(kind)
    batch = cache.take(100)
    left = {uid: request.eni_annotation for change in batch.changes for uid, request in change.pods.items()}
    assert left == {"0": "[]", "3": "[]"}
    pending = {uid for change in batch.changes for uid in change.pending.pods}
    assert pending == {str(number) for number in range(6)}
    assert cache.settled
