"""A worker and the leading watcher, both killed or ended in the middle of a burst with one of each left; and Redis."""

import signal
import time
from collections.abc import Iterator

import pytest

from tests.e2e.invariants import come_to_rest
from tests.e2e.product import COOL_DOWN, Product
from tests.e2e.scene import Scene, given

RECOVERY_SECONDS = 45
PROMPT_SECONDS = 12
"""Less than a lock (15 s) or a lease (30 s) lives."""


@pytest.fixture
def full_strength(product: Product) -> Iterator[None]:
    """What was killed is started again, as a kubelet would, but only when the case is over."""
    yield
    for role, processes in (("worker", product.workers), ("watcher", product.watchers)):
        for index, process in enumerate(processes):
            if not process.running:
                assert process.popen.returncode in (0, -signal.SIGKILL), f"{process.name} died by itself"
                processes[index] = product.start(role)


@pytest.mark.usefixtures("full_strength")
def test_killed_in_a_burst(scene: Scene) -> None:
    product, pods = scene.product, 30
    scene.wait("one watcher leads", lambda: product.leader() is not None, 60)
    leader = product.leader()
    assert leader is not None
    scene.add_trunk_nodes(*(f"burst-{number}" for number in range(4)))
    scene.deploy("app", pods)
    scene.wait("some are served", lambda: _served(scene) > 0)
    leader.kill()
    product.workers[0].kill()
    died, before = time.monotonic(), _served(scene)
    assert before < pods, "too late to be in the middle"
    scene.wait("half are served", lambda: _served(scene) >= pods / 2, RECOVERY_SECONDS)
    half = time.monotonic() - died
    scene.run(pods, seconds=RECOVERY_SECONDS)
    whole = time.monotonic() - died
    # Nobody knew of these when the leader died.
    scene.scale("app", 36)
    scene.run(36, seconds=RECOVERY_SECONDS - whole)
    led = time.monotonic() - died
    print(
        f"\na worker and the leader killed with {before} of {pods} pods served; half of them were {half:.1f} s later,"
    )
    print(f"all {whole:.1f} s (a lock lives 15 s), pods that only another leader knows {led:.1f} s (a lease, 30 s)")
    come_to_rest(product, RECOVERY_SECONDS, set(scene.instances.values()))


@pytest.mark.usefixtures("full_strength")
def test_ended_in_good_order_in_a_burst(scene: Scene) -> None:
    """As in an upgrade: what they had under way is finished, and the others need not wait for anything to expire."""
    product, pods = scene.product, 18
    scene.wait("one watcher leads", lambda: product.leader() is not None, 60)
    leader = product.leader()
    assert leader is not None
    scene.add_trunk_nodes("upgraded-1", "upgraded-2", "upgraded-3")
    scene.deploy("app", pods)
    scene.wait("some are served", lambda: _served(scene) > 0)
    began, before = time.monotonic(), _served(scene)
    assert before < pods, "too late to be in the middle"
    for process in (leader, product.workers[0]):
        process.popen.terminate()
    scene.run(pods, seconds=PROMPT_SECONDS)
    whole = time.monotonic() - began
    scene.scale("app", 27)
    scene.run(27, seconds=PROMPT_SECONDS)
    led = time.monotonic() - began
    print(
        f"\na worker and the leader asked to end when {before} of {pods} pods were served: all run {whole:.1f} s later,"
    )
    print(f"pods that only another leader knows {led:.1f} s later")
    assert [process.popen.wait(RECOVERY_SECONDS) for process in (leader, product.workers[0])] == [0, 0]
    come_to_rest(product, RECOVERY_SECONDS, set(scene.instances.values()))


def test_redis_comes_back_empty(scene: Scene) -> None:
    """All that it held is found again in Kubernetes and EC2, and nobody loses what he has meanwhile. What a pod had
    that ended meanwhile is nobody's: the API server is asked for all pods of its node before it goes."""
    product = scene.product
    scene.add_trunk_nodes("emptied-1", "emptied-2")
    scene.deploy("app", 6)
    scene.run(6)
    before = {pod["metadata"]["uid"]: given(pod) for pod in scene.pods()}
    product.redis.kill()
    ended = scene.pods()[0]["metadata"]
    [had] = [entry["eniId"] for entry in before.pop(ended["uid"])]
    assert scene.api("DELETE", f"/api/v1/namespaces/{scene.name}/pods/{ended['name']}").status == 200
    scene.scale("app", 12)
    scene.wait("they are placed", lambda: sum("nodeName" in pod["spec"] for pod in scene.pods()) == 12)
    product.redis.start()
    seconds = scene.run(12, seconds=RECOVERY_SECONDS)
    print(f"\n7 new pods ran {seconds:.1f} s after Redis came back empty")
    scene.wait("what the ended pod had is released", lambda: had not in scene.interfaces(), COOL_DOWN + 30)
    assert before == {pod["metadata"]["uid"]: given(pod) for pod in scene.pods() if pod["metadata"]["uid"] in before}
    come_to_rest(product, RECOVERY_SECONDS, set(scene.instances.values()))


def _served(scene: Scene) -> int:
    return sum(bool(given(pod)) for pod in scene.pods())
