"""An instance is replaced under the same node name at every outside call of the making of its trunk, branches and
addresses: what was made for the old one is never taken for the new one's, and nothing of either stays."""

from collections.abc import Callable, Iterable

import pytest

from common.model.actions import Action
from common.model.ids import NodeName
from common.model.names import BRANCH_DESCRIPTION, TRUNK_DESCRIPTION
from tests.kit.clock import VirtualClock
from tests.simulation.cluster import GROUP, SUBNET, Cluster
from tests.simulation.crashes import CrashPoints
from tests.simulation.lives import done, forgotten, served
from workers.executor import ActionExecutor, Ended


class LateExecutor:
    """Outcomes come so many seconds later than the effects: what happened meanwhile is seen before them."""

    def __init__(self, executor: ActionExecutor, clock: VirtualClock, seconds: float) -> None:
        self._executor, self._clock, self._seconds = executor, clock, seconds
        self._held: list[tuple[float, Ended]] = []

    def admit(self, action: Action) -> bool:
        return self._executor.admit(action)

    def dismiss(self, admitted: Iterable[Action]) -> None:
        self._executor.dismiss(admitted)

    def start(self, action: Action) -> None:
        self._executor.start(action)

    def has_place(self, action: Action) -> bool:
        return self._executor.has_place(action)

    def wake(self, node: NodeName, turned_away: Iterable[Action]) -> None:
        self._executor.wake(node, turned_away)

    def interrupt(self) -> None:
        self._executor.interrupt()

    def wait(self, seconds: float) -> list[Ended]:
        now = self._clock.now()
        due = [ended for at, ended in self._held if at <= now]
        self._held = [(at, ended) for at, ended in self._held if at > now]
        self._held += [(self._clock.now() + self._seconds, ended) for ended in self._executor.wait(seconds)]
        return due


Simulate = Callable[..., Cluster]
SHARES = 2
LATE_SECONDS = 5.0


def replace(cluster: Cluster, old: str, *, windows: bool, pods: tuple[str, ...], terminate: bool) -> str:
    """The Node object goes and comes back with another instance; the watcher sees both."""
    cluster.kube.request("DELETE", "/api/v1/nodes/n1")
    for name in pods:
        cluster.remove_pod(name)
    cluster.watcher.pump()
    if terminate:
        cluster.ec2.terminate_instance(old)
    new = cluster.ec2.add_instance(subnet_id=SUBNET, instance_type="c5.xlarge", groups=[GROUP])
    cluster.put_node("n1", new, windows=windows)
    # While the old one's calls are still under way another worker reads the new one for its node.
    for later in range(1, int(LATE_SECONDS)):
        cluster.clock.at(cluster.clock.now() + later, lambda: cluster._handle(("load",)))
    for name in pods:
        cluster.add_pod(name, "n1", windows=windows)
    cluster.watcher.pump()
    return new


def live(cluster: Cluster, late: float, *, windows: bool, terminate: bool, number: int | None = None) -> list[str]:
    """The outside calls of two pods' first interfaces or addresses; replaced before call `number`, if one is given."""
    points, executor = cluster.points, cluster.worker.reconciler.executor
    cluster.change_worker(executor=lambda: LateExecutor(executor(), cluster.clock, late))
    if windows:
        cluster.configure({"enable-windows-ipam": "true"})
    old = cluster.add_node("n1", windows=windows)
    cluster.add_pod("a", "n1", windows=windows)
    cluster.add_pod("b", "n1", windows=windows)
    instances = [old]
    points.pause_before = number
    points.meanwhile = lambda: instances.append(
        replace(cluster, old, windows=windows, pods=("a", "b"), terminate=terminate)
    )
    served(cluster)
    calls = list(points.calls)
    if number is None:
        return calls
    done(cluster, lambda: len(instances) == 2 and cluster.all_served(), "the new instance's pods are served")
    new = instances[-1]
    shown = {i["NetworkInterfaceId"]: i for i in cluster.interfaces()}
    if windows:
        (primary,) = [i for i in shown.values() if i.get("Attachment", {}).get("InstanceId") == new]
        held = {a["PrivateIpAddress"] for a in primary["PrivateIpAddresses"]}
        given = {
            cluster.annotation(pod, "vpc.amazonaws.com/PrivateIPv4Address").split("/")[0] for pod in cluster.live()
        }
        assert given <= held, "a pod got an address that its node does not have"
    else:
        assert cluster.capacity("n1") == "18"
        trunks = {
            i["NetworkInterfaceId"]
            for i in cluster.ours(TRUNK_DESCRIPTION)
            if i.get("Attachment", {}).get("InstanceId") == new
        }
        assert len(trunks) == 1
        for pod in cluster.live():
            (entry,) = cluster.annotation(pod)
            tags = {tag["Key"]: tag["Value"] for tag in shown[entry["eniId"]]["TagSet"]}
            assert tags["vpcresources.k8s.aws/trunk-eni-id"] in trunks
    for name in ("a", "b"):
        cluster.remove_pod(name)
    done(cluster, lambda: not cluster.ours(BRANCH_DESCRIPTION), "all branches are released")
    cluster.remove_node("n1", terminate=new)
    if not terminate:
        cluster.ec2.terminate_instance(old)
    forgotten(cluster)
    cluster.sweep_twice()
    left = [i["NetworkInterfaceId"] for i in cluster.interfaces() if i["Description"].startswith("aws-k8s-")]
    assert not left, left
    assert not cluster.problems, cluster.problems[:3]
    return calls


@pytest.mark.parametrize("share", [0, *(pytest.param(share, marks=pytest.mark.slow) for share in range(1, SHARES))])
@pytest.mark.parametrize("late", [0.0, LATE_SECONDS], ids=["at-once", "late"])
@pytest.mark.parametrize("terminate", [True, False], ids=["terminated", "lives-on"])
@pytest.mark.parametrize("windows", [False, True], ids=["linux", "windows"])
def test_an_instance_is_replaced_at_any_moment(
    windows: bool, terminate: bool, late: float, share: int, simulate: Simulate
) -> None:
    calls = live(simulate(), late, windows=windows, terminate=terminate)
    seen = [n for n, call in enumerate(calls) if not call.startswith("Redis")]
    for number in seen[share::SHARES]:
        try:
            live(simulate(points=CrashPoints()), late, windows=windows, terminate=terminate, number=number)
        except Exception as error:
            raise AssertionError(f"replaced before call {number} ({calls[number]}): {error!r}") from error
