"""The clean-up of a node that is gone, as the metric of the reference counts it."""

from common.clock import SystemClock
from common.ec2.api import Ec2
from common.ec2.gate import Deferred, OpenGate
from common.kube.api import Kube
from common.metrics import REGISTRY
from common.model.actions import CleanDeparted
from common.model.ids import InstanceId, NodeName
from common.model.outcome import Failed, Waits
from common.store import Store, keys
from tests.kit.api import cluster
from tests.kit.clock import VirtualClock
from tests.kit.fake_redis import FakeRedis
from tests.unit.ec2.scripted import Script, fault
from tests.unit.watcher.bench import Published
from workers.lookups import LookupCache
from workers.steps import Ports, carry_out

GONE = CleanDeparted(
    subject="cninode",
    node=NodeName("n1"),
    cninode_uid="u",
    instance_id=InstanceId("i-0123456789abcdef0"),
    gone_since=0.0,
    rest=60.0,
)


class Closed(OpenGate):
    def enter(self, action: str) -> None:
        raise Deferred(1.0)


def ports(ec2: Ec2) -> Ports:
    kube = Kube(cluster(VirtualClock()))
    return Ports(
        ec2=ec2,
        kube=kube,
        store=Store.on(FakeRedis(), keys.prefix("c")),
        publisher=Published(),
        lookups=LookupCache(kube, SystemClock()),
        clock=SystemClock(),
        cluster="c",
        account="123456789012",
    )


def failures() -> float:
    return REGISTRY.get_sample_value("node_termination_eni_cleanup_failures_total") or 0.0


def test_a_clean_up_that_ec2_refuses_is_counted() -> None:
    before = failures()
    ec2 = Script(DescribeNetworkInterfaces=fault("UnauthorizedOperation", 403)).ec2()
    assert isinstance(carry_out(GONE, ports(ec2)), Failed)
    assert failures() == before + 1


def test_a_turn_that_is_waited_for_is_no_failure() -> None:
    before = failures()
    assert isinstance(carry_out(GONE, ports(Ec2(Script(), Closed()))), Waits)
    assert failures() == before
