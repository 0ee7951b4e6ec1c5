"""A worker and the leading watcher, killed in the middle of a burst: all pods served, nothing given twice or left."""

import time
from collections.abc import Iterator

import pytest

from tests.e2e.invariants import wrong
from tests.e2e.product import Product
from tests.e2e.scene import Scene, given

RECOVERY_SECONDS = 45


@pytest.fixture
def full_strength(product: Product) -> Iterator[None]:
    """What was killed is started again, as a kubelet would, but only when the case is over."""
    yield
    for role, processes in (("worker", product.workers), ("watcher", product.watchers)):
        for index, process in enumerate(processes):
            if process.popen.poll() is not None:
                processes[index] = product.start(role)


@pytest.mark.usefixtures("full_strength")
@pytest.mark.parametrize("role", ["worker", "watcher"])
def test_killed_in_a_burst(scene: Scene, role: str) -> None:
    product, pods = scene.product, 30
    scene.wait("one watcher leads", lambda: product.leader() is not None, 60)
    scene.add_trunk_nodes(*(f"{role}-killed-{number}" for number in range(4)))
    scene.deploy("app", pods)
    scene.wait("a third is served", lambda: _served(scene) >= pods / 3)
    victim = product.workers[0] if role == "worker" else product.leader()
    assert victim is not None
    victim.kill()
    died, before = time.monotonic(), _served(scene)
    scene.run(pods, seconds=RECOVERY_SECONDS)
    print(f"\n{role} killed at {before} of {pods} pods served: all run {time.monotonic() - died:.1f} s later")
    if role == "watcher":
        # Nobody knew of these when the leader died.
        scene.scale("app", 36)
        scene.run(36, seconds=RECOVERY_SECONDS - (time.monotonic() - died))
        print(f"another leads, and has served new pods, {time.monotonic() - died:.1f} s after the kill")
    scene.wait("EC2 has what pods have", lambda: not wrong(product, set(scene.instances.values())), RECOVERY_SECONDS)


def _served(scene: Scene) -> int:
    return sum(bool(given(pod)) for pod in scene.pods())
