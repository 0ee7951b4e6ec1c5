"""The sweep and the clean-up of a node: what is deleted, what is left, and what a failure leaves behind."""

import json
from collections.abc import Callable
from typing import Any

import fakeredis
import pytest
from botocore.exceptions import ClientError

from common.ec2.api import Ec2
from common.ec2.gate import OpenGate
from common.metrics import CNI_AVAILABLE_ENIS, LEAKED_ENI_COUNT, RC_AVAILABLE_ENIS
from common.model.errors import Denied, InUse, Throttled, Unsure
from common.model.ids import AssociationId, EniId, InstanceId, NodeName
from common.model.ledger import Ledger
from common.model.names import CNINODE_CLUSTER_TAG, INSTANCE_TAG, OWNER_OURS, OWNER_TAG, OWNER_VPC_CNI, cluster_tag
from common.model.node import CniNodeFacts, CniNodeSpec, NodeFacts, NodeView
from common.model.pod import PodRequest
from common.store import Store, keys
from tests.kit.clock import VirtualClock
from tests.kit.fake_redis import FakeRedis
from tests.unit.ec2.scripted import fault, filters_of
from tests.unit.node.builders import NODE, branch, pod
from workers.maintenance.inquiry import Inquiry
from workers.maintenance.sweep import clean_instance, sweep_leaks

INSTANCE = InstanceId("i-0123456789abcdef0")
OURS = {OWNER_TAG: OWNER_OURS, cluster_tag("blue"): "owned", INSTANCE_TAG: INSTANCE}
CNI = {OWNER_TAG: OWNER_VPC_CNI, CNINODE_CLUSTER_TAG: "blue", INSTANCE_TAG: INSTANCE}


class Cloud:
    """Interfaces by id (status, tags, VPC), filtered as EC2 filters them."""

    def __init__(self) -> None:
        self.interfaces: dict[str, dict[str, Any]] = {}
        self.deletes: list[str] = []
        self.refuse: Callable[[str], ClientError | None] = lambda _: None
        self.lag: set[str] = set()
        self.associated: list[str] = []
        self.before_second_look: Callable[[], None] = lambda: None

    def put(self, eni: str, tags: dict[str, str], status: str = "available", vpc: str = "vpc-1") -> None:
        self.interfaces[eni] = {
            "NetworkInterfaceId": eni,
            "SubnetId": "subnet-1",
            "VpcId": vpc,
            "Status": status,
            "TagSet": [{"Key": key, "Value": value} for key, value in tags.items()],
        }

    def __call__(self, action: str, params: dict[str, Any]) -> dict[str, Any]:
        if action == "DescribeNetworkInterfaces":
            wanted = filters_of(params)
            if "NetworkInterfaceIds" in params:
                self.before_second_look()
                wanted["network-interface-id"] = params["NetworkInterfaceIds"]
            shown = [one for eni, one in self.interfaces.items() if "gone" not in one or eni in self.lag]
            return {"NetworkInterfaces": [one for one in shown if all(_has(one, *f) for f in wanted.items())]}
        if action == "DescribeTrunkInterfaceAssociations":
            return {
                "InterfaceAssociations": [
                    {"BranchInterfaceId": eni, "TrunkInterfaceId": "eni-t", "VlanId": 1, "AssociationId": f"a-{eni}"}
                    for eni in self.associated
                ]
            }
        assert action == "DeleteNetworkInterface"
        eni = params["NetworkInterfaceId"]
        self.deletes.append(eni)
        if error := self.refuse(eni):
            raise error
        if "gone" in self.interfaces[eni]:
            raise fault("InvalidNetworkInterfaceID.NotFound")
        if self.interfaces[eni]["Status"] != "available":
            raise fault("InvalidNetworkInterface.InUse")
        self.interfaces[eni]["gone"] = True
        return {}

    def left(self) -> set[str]:
        return {eni for eni, one in self.interfaces.items() if "gone" not in one}

    def ec2(self) -> Ec2:
        return Ec2(self, OpenGate())


def _has(one: dict[str, Any], name: str, values: list[str]) -> bool:
    if name.startswith("tag:"):
        return any(tag["Key"] == name.removeprefix("tag:") and tag["Value"] in values for tag in one["TagSet"])
    return one[{"vpc-id": "VpcId", "status": "Status", "network-interface-id": "NetworkInterfaceId"}[name]] in values


class Pods:
    """The API server's, by node."""

    def __init__(self) -> None:
        self.pods: dict[str, list[PodRequest]] = {}

    def get_node(self, name: NodeName) -> NodeFacts | None:
        return None

    def list_pods_on(self, node: NodeName, now: float) -> list[PodRequest]:
        return self.pods.get(node, [])


def whole_store(client: FakeRedis | None = None) -> Store:
    """Everything was listed."""
    store = Store.on(client or FakeRedis(server=fakeredis.FakeServer()), keys.prefix("blue"))
    store.desired.begin_full_list()
    store.desired.finish_full_list()
    return store


def clean(cloud: Cloud) -> int:
    clock = VirtualClock()
    inquiry = Inquiry(whole_store(), cloud.ec2(), Pods(), clock)
    gone_since = clock.now() - 60.0
    return clean_instance(cloud.ec2(), inquiry, INSTANCE, "blue", node=NodeName("n1"), gone_since=gone_since, rest=60.0)


class Sweeps:
    def __init__(self, store: Store | None = None) -> None:
        self.cloud, self.clock = Cloud(), VirtualClock()
        self.store = store or whole_store()
        self.kube = Pods()

    def run(self, *, after: float = 1800.0) -> tuple[int, int, bool]:
        self.clock.sleep(after)
        ended = sweep_leaks(self.store, self.cloud.ec2(), self.kube, self.clock, "blue", "vpc-1")
        return ended.found, ended.deleted, ended.skipped


def test_what_two_passes_saw_is_deleted_and_nothing_else() -> None:
    one = Sweeps()
    one.cloud.put("eni-ours", OURS)
    one.cloud.put("eni-cni", CNI)
    one.cloud.put("eni-green", {OWNER_TAG: OWNER_OURS, cluster_tag("green"): "owned"})
    one.cloud.put("eni-user", {})
    one.cloud.put("eni-vpc", OURS, vpc="vpc-2")
    one.cloud.put("eni-used", OURS, status="in-use")
    assert one.run() == (0, 0, False)
    one.cloud.put("eni-new", OURS)
    assert one.run() == (2, 2, False)
    assert one.cloud.left() == {"eni-green", "eni-user", "eni-vpc", "eni-used", "eni-new"}
    one.cloud.put("eni-new", OURS, status="in-use")
    assert one.run() == (0, 0, False)


@pytest.mark.parametrize("deleted_node", [False, True])
def test_interfaces_of_nodes_that_auto_mode_manages_are_left_to_it(deleted_node: bool) -> None:
    one, name = Sweeps(), NodeName("n1")
    spec = CniNodeSpec(managed_by="eks-auto-mode", tags={INSTANCE_TAG: INSTANCE})
    node = None if deleted_node else NodeFacts(name=name, uid="u", instance_id=INSTANCE)
    cninode = CniNodeFacts(uid="c", resource_version="1", spec=spec)
    one.store.desired.write_node(name, NodeView(node=node, cninode=cninode))
    one.cloud.put("eni-theirs", OURS)
    one.cloud.put("eni-ours", {**OURS, INSTANCE_TAG: "i-11111111"})
    assert [one.run(), one.run()] == [(0, 0, False), (1, 1, False)]
    assert one.cloud.left() == {"eni-theirs"}


def save(sweeps: Sweeps, record: Ledger) -> None:
    token = sweeps.store.lock.acquire(record.node, "a", 60)
    assert token is not None
    sweeps.store.ledgers.save(record.node, record, "a", token)


def in_a_ledger(sweeps: Sweeps) -> None:
    held = branch("a", eni_id=EniId("eni-1"), association=AssociationId("trunk-assoc-1"))
    save(sweeps, Ledger(node=NODE, branches={held.key: held}))


def named_by_a_pod(sweeps: Sweeps) -> None:
    """By a pod on a node of the instance, whose ledger knows nothing of the interface."""
    save(sweeps, Ledger(node=NODE))
    sweeps.store.desired.write_node(NODE, NodeView(node=NodeFacts(name=NODE, uid="u", instance_id=INSTANCE)))
    entry = {"eniId": "eni-1", "ifAddress": "02:00", "privateIp": "10.0.0.5", "vlanId": 1}
    sweeps.kube.pods[NODE] = [pod("a", eni_annotation=json.dumps([entry]))]


def tagged_anew(sweeps: Sweeps) -> None:
    """Between the look of the pass and the one before its deletion."""
    sweeps.cloud.before_second_look = lambda: sweeps.cloud.put("eni-1", {**OURS, "purpose": "another"})


def associated(sweeps: Sweeps) -> None:
    sweeps.cloud.associated = ["eni-1"]


@pytest.mark.parametrize("owner", [in_a_ledger, named_by_a_pod, associated, tagged_anew])
def test_what_has_an_owner_after_all_is_spared(owner: Callable[[Sweeps], None]) -> None:
    """EC2 shows it idle, and would not refuse to delete it."""
    one = Sweeps()
    one.cloud.put("eni-1", OURS)
    one.run()
    owner(one)
    assert one.run() == (1, 0, False)
    assert one.cloud.left() == {"eni-1"}


def test_an_interface_in_use_between_two_passes_begins_anew() -> None:
    one = Sweeps()
    for status in ("available", "in-use", "available"):
        one.cloud.put("eni-1", OURS, status=status)
        one.run()
    assert one.cloud.left() == {"eni-1"}
    one.run()
    assert one.cloud.left() == set()


def test_a_doubled_task_is_not_a_second_pass() -> None:
    one = Sweeps()
    one.cloud.put("eni-1", OURS)
    one.run()
    assert one.run(after=0.0) == (0, 0, True)
    assert one.run(after=600.0) == (0, 0, True)
    assert one.cloud.left() == {"eni-1"}
    assert one.run(after=1200.0) == (1, 1, False)


def test_gone_or_in_use_meanwhile_is_fine_and_holds_up_no_other() -> None:
    one = Sweeps()
    for eni in ("eni-0", "eni-1", "eni-2", "eni-3", "eni-4"):
        one.cloud.put(eni, OURS)
    one.run()
    refused = {
        "eni-1": fault("InvalidNetworkInterfaceID.NotFound"),
        "eni-2": fault("InvalidNetworkInterface.InUse"),
        "eni-3": fault("InternalError", 500),
        "eni-0": fault("UnauthorizedOperation", 403),
    }
    one.cloud.refuse = refused.get
    assert one.run() == (5, 1, False)
    assert "eni-4" not in one.cloud.left()
    one.cloud.refuse = lambda _: None
    assert one.run() == (4, 4, False)


def test_nothing_is_deleted_beside_a_ledger_that_cannot_be_read() -> None:
    """Nobody knows what it claims, not even of which instance it is."""
    client = FakeRedis(server=fakeredis.FakeServer())
    one = Sweeps(store=whole_store(client))
    one.cloud.put("eni-1", OURS)
    one.run()
    spot, ledgers = keys.ledger(keys.prefix("blue"), NodeName("odd")), keys.ledgers(keys.prefix("blue"))
    client.set(spot, b"\xc1")
    client.sadd(ledgers, "odd")
    assert one.run() == (1, 0, False)
    assert one.cloud.left() == {"eni-1"}
    client.delete(spot)
    assert one.run() == (1, 1, False)


def test_throttled_the_pass_ends_and_the_next_goes_on() -> None:
    one = Sweeps()
    for eni in ("eni-1", "eni-2"):
        one.cloud.put(eni, OURS)
    one.run()
    one.cloud.refuse = lambda _: fault("RequestLimitExceeded", 503)
    assert one.run() == (2, 0, False)
    assert len(one.cloud.deletes) == 1
    one.cloud.refuse = lambda _: None
    assert one.run() == (2, 2, False)


def test_a_pass_that_could_not_look_deletes_and_remembers_nothing() -> None:
    one = Sweeps()
    one.cloud.put("eni-1", OURS)
    one.run()
    seen = one.store.sweep.read()

    def broken(action: str, params: dict[str, Any]) -> dict[str, Any]:
        raise fault("InternalError", 500)

    one.clock.sleep(1800.0)
    with pytest.raises(Unsure):
        sweep_leaks(one.store, Ec2(broken, OpenGate()), one.kube, one.clock, "blue", "vpc-1")
    assert one.store.sweep.read() == seen
    assert one.cloud.left() == {"eni-1"}


def test_the_gauges_tell_what_the_pass_saw() -> None:
    one = Sweeps()
    one.cloud.put("eni-1", OURS)
    one.cloud.put("eni-2", OURS)
    one.cloud.put("eni-3", CNI)
    one.run()
    assert (LEAKED_ENI_COUNT._value.get(), RC_AVAILABLE_ENIS._value.get(), CNI_AVAILABLE_ENIS._value.get()) == (0, 2, 1)
    one.run()
    assert LEAKED_ENI_COUNT._value.get() == 3


def cleaned() -> Cloud:
    cloud = Cloud()
    cloud.put("eni-ours", OURS)
    cloud.put("eni-cni", CNI)
    cloud.put("eni-nobody", {INSTANCE_TAG: INSTANCE})
    cloud.put("eni-green", {**OURS, cluster_tag("green"): "owned"})
    cloud.put("eni-other", {**OURS, INSTANCE_TAG: "i-0123456789abcdef1"})
    cloud.put("eni-used", OURS, status="in-use")
    return cloud


def test_with_a_node_goes_what_was_made_for_it() -> None:
    cloud = cleaned()
    assert clean(cloud) == 2
    assert cloud.left() == {"eni-nobody", "eni-green", "eni-other", "eni-used"}
    assert clean(cloud) == 0


def test_what_ec2_still_shows_after_deleting_it_is_not_left() -> None:
    cloud = cleaned()
    cloud.lag = {"eni-ours", "eni-cni"}
    assert clean(cloud) == 2
    assert clean(cloud) == 0


@pytest.mark.parametrize(
    ("code", "kind"),
    [("InternalError", Unsure), ("InvalidNetworkInterface.InUse", InUse), ("UnauthorizedOperation", Denied)],
)
def test_what_cannot_be_deleted_is_an_error_but_holds_up_no_other(code: str, kind: type[Exception]) -> None:
    cloud = cleaned()
    cloud.refuse = {"eni-ours": fault(code)}.get
    with pytest.raises(kind):
        clean(cloud)
    assert cloud.left() & {"eni-ours", "eni-cni"} == {"eni-ours"}


def test_throttled_the_clean_up_stops() -> None:
    cloud = cleaned()
    cloud.refuse = lambda _: fault("RequestLimitExceeded", 503)
    with pytest.raises(Throttled):
        clean(cloud)
    assert len(cloud.deletes) == 1


def test_what_becomes_available_while_cleaning_is_seen() -> None:
    cloud = cleaned()
    real = cloud.refuse

    def late(eni: str) -> ClientError | None:
        cloud.put("eni-used", OURS, status="available")
        return real(eni)

    cloud.refuse = late
    with pytest.raises(InUse):
        clean(cloud)
    cloud.refuse = real
    assert clean(cloud) == 1
