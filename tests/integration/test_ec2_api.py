"""Our calls against an EC2 over HTTP, through the SDK: what goes out is accepted, what comes back is understood."""

import time
from collections.abc import Callable, Iterator

import pytest

from common.ec2.api import Ec2
from common.ec2.client import account_id, build_invoke
from common.ec2.gate import OpenGate
from common.ec2.snapshots import load_snapshots
from common.model.ec2 import Interface
from common.model.errors import (
    Denied,
    InUse,
    LimitExceeded,
    NotFound,
    OutsideError,
    SubnetExhausted,
    Throttled,
    TokenMismatch,
    Unsure,
)
from common.model.ids import AttachmentId, ClientToken, EniId, GroupId, InstanceId, SubnetId, VlanId
from common.model.names import INSTANCE_TAG, TRUNK_TAG, VLAN_TAG
from common.settings import Settings
from sandbox.ec2 import Bucket, Denial, Ec2Behaviour, FaultRule
from sandbox.ec2.server import serving_in_thread
from tests.sandbox.ec2_fixtures import ACCOUNT, UNKNOWN_ENI, small_world
from tests.sandbox.ec2_fixtures import Ec2 as Site
from tests.unit.node.builders import leave

KNOWN = ("m5.large",)


class Cloud:
    """A world behind HTTP, and our way to it."""

    def __init__(self, site: Site, address: str, role: str) -> None:
        self.site = site
        self.world = site.world
        self.settings = Settings.model_validate(
            {
                "aws_region": "us-west-2",
                "ec2_endpoint": address,
                "sts_endpoint": address,
                "cluster_name": "blue",
                "role_arn": role,
            }
        )
        self.ec2 = Ec2(build_invoke(self.settings), OpenGate())
        self.instance = InstanceId(site.instance)
        self.subnet = SubnetId(site.subnet)

    def make(self, token: str, *, trunk: bool = False, tags: dict[str, str] | None = None) -> Interface:
        return self.ec2.create_network_interface(
            subnet=self.subnet,
            groups=[GroupId(self.site.groups[0])],
            description="d",
            tags={INSTANCE_TAG: self.instance, **(tags or {})},
            token=ClientToken(token),
            trunk=trunk,
        )

    def look(self, eni: EniId) -> Interface:
        (found,) = self.ec2.describe_interfaces(ids=[eni])
        return found

    def attached_trunk(self) -> tuple[EniId, AttachmentId]:
        trunk = self.make("trunk", trunk=True).eni_id
        self.ec2.create_network_interface_permission(trunk, ACCOUNT)
        return trunk, self.ec2.attach_network_interface(trunk, self.instance, 2)

    def permitted_branch(self, trunk: EniId, vlan: int) -> EniId:
        branch = self.make(f"branch-{vlan}", tags={VLAN_TAG: str(vlan), TRUNK_TAG: trunk}).eni_id
        self.ec2.create_network_interface_permission(branch, ACCOUNT)
        return branch


@pytest.fixture
def cloud_of(monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[..., Cloud]]:
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "AKIAOWN")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "secret")
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    servers = []

    def start(behaviour: Ec2Behaviour | None = None, *, role: str = "", **world: str | bool) -> Cloud:
        site = small_world(behaviour, **world)  # type: ignore[arg-type]
        server = serving_in_thread(site.world)
        servers.append(server)
        return Cloud(site, server.__enter__(), role)

    yield start
    for server in servers:
        server.__exit__(None, None, None)


@pytest.fixture
def cloud(cloud_of: Callable[..., Cloud]) -> Cloud:
    return cloud_of()


def test_a_trunk_from_creation_to_deletion(cloud: Cloud) -> None:
    made = cloud.make("trunk", trunk=True)
    assert (made.type, made.subnet_id, made.vpc_id) == ("trunk", cloud.subnet, cloud.site.vpc)
    assert made.mac
    assert made.primary_ip
    assert made.tags == {INSTANCE_TAG: cloud.instance}
    cloud.ec2.create_network_interface_permission(made.eni_id, ACCOUNT)
    cloud.ec2.create_network_interface_permission(made.eni_id, ACCOUNT)
    attachment = cloud.ec2.attach_network_interface(made.eni_id, cloud.instance, 2)
    cloud.ec2.modify_delete_on_termination(made.eni_id, attachment)
    seen = cloud.look(made.eni_id)
    assert (seen.instance_id, seen.attachment_id, seen.attachment_status) == (cloud.instance, attachment, "attached")
    assert (seen.device_index, seen.delete_on_termination, seen.status) == (2, True, "in-use")
    instance = cloud.ec2.describe_instances([cloud.instance])[cloud.instance]
    assert [(one.eni_id, one.type) for one in instance.interfaces if one.device_index == 2] == [(made.eni_id, "trunk")]
    with pytest.raises(InUse):
        cloud.ec2.delete_network_interface(leave(made.eni_id))
    cloud.ec2.detach_network_interface(attachment)
    cloud.ec2.delete_network_interface(leave(made.eni_id))
    with pytest.raises(NotFound):
        cloud.ec2.delete_network_interface(leave(made.eni_id))
    assert cloud.ec2.describe_interfaces(ids=[made.eni_id]) == []


def test_a_branch_from_creation_to_deletion(cloud: Cloud) -> None:
    trunk, _ = cloud.attached_trunk()
    branch = cloud.permitted_branch(trunk, 7)
    token = ClientToken("associate")
    made = cloud.ec2.associate_trunk_interface(branch=branch, trunk=trunk, vlan=VlanId(7), token=token)
    assert cloud.ec2.associate_trunk_interface(branch=branch, trunk=trunk, vlan=VlanId(7), token=token) == made
    with pytest.raises(TokenMismatch):
        cloud.ec2.associate_trunk_interface(branch=branch, trunk=trunk, vlan=VlanId(8), token=token)
    seen = cloud.look(branch)
    assert (seen.status, seen.type, seen.attachment_id, seen.instance_id) == ("in-use", "branch", None, None)
    assert (seen.vlan_tag, seen.trunk_tag) == (7, trunk)
    assert cloud.ec2.trunk_associations() == [(branch, trunk, 7, made)]
    cloud.ec2.disassociate_trunk_interface(leave(EniId("eni-1")), made, ClientToken("end"))
    cloud.ec2.disassociate_trunk_interface(leave(EniId("eni-1")), made, ClientToken("end"))
    with pytest.raises(NotFound):
        cloud.ec2.disassociate_trunk_interface(leave(EniId("eni-1")), made, ClientToken("other"))
    assert cloud.look(branch).status == "available"
    cloud.ec2.delete_network_interface(leave(branch))


@pytest.mark.parametrize("code", ["reset", "InternalError", "Unavailable"])
def test_a_create_that_failed_after_its_effect_finds_the_same_interface_again(cloud: Cloud, code: str) -> None:
    cloud.world.inject(FaultRule(action="CreateNetworkInterface", when="after", code=code, count=1))
    before = len(cloud.world.interfaces())
    with pytest.raises(Unsure):
        cloud.make("t")
    made = cloud.make("t")
    assert cloud.make("t") == made
    assert len(cloud.world.interfaces()) == before + 1


def test_an_association_that_failed_after_its_effect_is_found_again(cloud: Cloud) -> None:
    trunk, _ = cloud.attached_trunk()
    branch = cloud.permitted_branch(trunk, 1)
    cloud.world.inject(FaultRule(action="*sassociateTrunkInterface", when="after", code="reset", count=1))
    cloud.world.inject(FaultRule(action="AssociateTrunkInterface", when="after", code="reset", count=1))
    token = ClientToken("t")
    with pytest.raises(Unsure):
        cloud.ec2.associate_trunk_interface(branch=branch, trunk=trunk, vlan=VlanId(1), token=token)
    made = cloud.ec2.associate_trunk_interface(branch=branch, trunk=trunk, vlan=VlanId(1), token=token)
    with pytest.raises(Unsure):
        cloud.ec2.disassociate_trunk_interface(leave(EniId("eni-1")), made, token)
    cloud.ec2.disassociate_trunk_interface(leave(EniId("eni-1")), made, token)
    assert cloud.ec2.trunk_associations() == []


def _attach_taken(cloud: Cloud) -> None:
    _, _ = cloud.attached_trunk()
    other = cloud.make("other").eni_id
    cloud.ec2.attach_network_interface(other, cloud.instance, 2)


def _six_groups(cloud: Cloud) -> None:
    cloud.ec2.modify_groups(cloud.make("t").eni_id, [GroupId(one) for one in cloud.site.groups])


def _unknown_group(cloud: Cloud) -> None:
    cloud.ec2.modify_groups(cloud.make("t").eni_id, [GroupId("sg-00000000000000000")])


def _other_token_parameters(cloud: Cloud) -> None:
    cloud.make("t")
    cloud.make("t", tags={"more": "tags"})


def _attach_addresses(cloud: Cloud) -> None:
    primary = cloud.ec2.describe_instances([cloud.instance])[cloud.instance].primary
    assert primary
    cloud.ec2.assign_private_ip_addresses(primary.eni_id, 40)


@pytest.mark.parametrize(
    ("provoke", "kind"),
    [
        (_attach_taken, InUse),
        (_six_groups, LimitExceeded),
        (_unknown_group, NotFound),
        (_other_token_parameters, TokenMismatch),
        (_attach_addresses, LimitExceeded),
        (lambda cloud: cloud.ec2.delete_network_interface(leave(EniId(UNKNOWN_ENI))), NotFound),
        (lambda cloud: cloud.ec2.detach_network_interface(AttachmentId("eni-attach-00000000000000000")), NotFound),
    ],
    ids=[
        "a taken device index",
        "six groups",
        "an unknown group",
        "a token with other parameters",
        "more addresses than the type has",
        "an unknown interface",
        "an unknown attachment",
    ],
)
def test_refusals_have_their_class(cloud: Cloud, provoke: Callable[[Cloud], None], kind: type[OutsideError]) -> None:
    with pytest.raises(kind):
        provoke(cloud)


def test_an_exhausted_subnet_is_reported(cloud_of: Callable[..., Cloud]) -> None:
    cloud = cloud_of(cidr="10.0.0.0/28")
    made = [cloud.make(f"t{n}") for n in range(10)]  # of 16 addresses EC2 keeps five, and the instance has one
    with pytest.raises(SubnetExhausted):
        cloud.make("one too many")
    with pytest.raises(SubnetExhausted):
        cloud.ec2.assign_ipv4_prefixes(made[0].eni_id, 1)


def test_throttling_is_reported_as_such(cloud_of: Callable[..., Cloud]) -> None:
    tight = Bucket(size=2, refill=0.001)
    behaviour = Ec2Behaviour.instant(throttling=True, buckets={"describe": tight, "mutate": tight})
    cloud = cloud_of(behaviour)
    for _ in range(2):
        cloud.ec2.describe_instances([cloud.instance])
    with pytest.raises(Throttled):
        cloud.ec2.describe_instances([cloud.instance])


def test_where_trunking_is_not_allowed_it_is_denied(cloud_of: Callable[..., Cloud]) -> None:
    cloud = cloud_of(Ec2Behaviour.instant(denials=(Denial(action="trunk", code="OperationNotPermitted"),)))
    with pytest.raises(Denied) as denied:
        cloud.make("t", trunk=True)
    assert denied.value.code == "OperationNotPermitted"
    cloud.make("u")


def test_addresses_and_prefixes_come_and_go(cloud: Cloud) -> None:
    primary = cloud.ec2.describe_instances([cloud.instance])[cloud.instance].primary
    assert primary
    ips = cloud.ec2.assign_private_ip_addresses(primary.eni_id, 3)
    prefixes = cloud.ec2.assign_ipv4_prefixes(primary.eni_id, 2)
    seen = cloud.look(primary.eni_id)
    assert (len(ips), set(seen.secondary_ips), set(seen.prefixes)) == (3, set(ips), set(prefixes))
    assert seen.primary_ip == primary.primary_ip
    cloud.ec2.unassign_private_ip_addresses(leave(primary.eni_id, addresses=ips[:2]))
    cloud.ec2.unassign_ipv4_prefixes(leave(primary.eni_id, prefixes=prefixes[:1]))
    seen = cloud.look(primary.eni_id)
    assert (seen.secondary_ips, seen.prefixes) == (ips[2:], prefixes[1:])


def test_an_ipv6_subnet_gives_its_addresses(cloud_of: Callable[..., Cloud]) -> None:
    cloud = cloud_of(ipv6=True)
    assert cloud.ec2.describe_subnets([cloud.subnet])[cloud.subnet].ipv6_cidr == "2001:db8:0:1::/64"
    assert cloud.make("t").ipv6.startswith("2001:db8:0:1:")


def test_types_and_groups(cloud: Cloud) -> None:
    described = cloud.ec2.describe_instance_types(["m5.large", "m99.huge", "t2.micro"])
    shown = {name: (one.max_interfaces, one.ipv4_per_interface, one.nitro) for name, one in described.items()}
    assert shown == {"m5.large": (3, 10, True), "t2.micro": (2, 2, False)}
    eni = cloud.make("t").eni_id
    cloud.ec2.modify_groups(eni, [GroupId(one) for one in cloud.site.groups[1:3]])
    assert cloud.look(eni).groups == tuple(cloud.site.groups[1:3])


def test_unknown_ids_are_absent_and_fail_nothing(cloud: Cloud) -> None:
    eni = cloud.make("t").eni_id
    assert [one.eni_id for one in cloud.ec2.describe_interfaces(ids=[EniId(UNKNOWN_ENI), eni])] == [eni]
    assert list(cloud.ec2.describe_instances([InstanceId("i-00000000000000000"), cloud.instance])) == [cloud.instance]
    assert list(cloud.ec2.describe_subnets([SubnetId("subnet-00000000000000000"), cloud.subnet])) == [cloud.subnet]


def test_more_than_a_page_is_read_whole_and_a_fault_within_is_an_error(cloud_of: Callable[..., Cloud]) -> None:
    cloud = cloud_of(cidr="10.0.0.0/20")
    tags = [{"ResourceType": "network-interface", "Tags": [{"Key": INSTANCE_TAG, "Value": cloud.instance}]}]
    made = {cloud.site.create(TagSpecifications=tags) for _ in range(1100)}
    snapshot = load_snapshots(cloud.ec2, [cloud.instance], KNOWN, 1.0)[cloud.instance]
    assert {one.eni_id for one in snapshot.interfaces} == made
    pages = [one for one in cloud.world.journal.calls if one.action == "DescribeNetworkInterfaces"]
    assert len(pages) == 2
    cloud.world.inject(FaultRule(action="DescribeNetworkInterfaces", match={"NextToken": "?*"}, code="reset"))
    with pytest.raises(Unsure):
        load_snapshots(cloud.ec2, [cloud.instance], KNOWN, 1.0)


def test_a_snapshot_has_trunk_and_branches_until_the_instance_terminates(cloud: Cloud) -> None:
    trunk, _ = cloud.attached_trunk()
    branch = cloud.permitted_branch(trunk, 1)
    snapshot = load_snapshots(cloud.ec2, [cloud.instance], KNOWN, 1.0)[cloud.instance]
    assert snapshot.instance is not None
    assert snapshot.subnet is not None
    assert {one.eni_id for one in snapshot.interfaces} == {trunk, branch}
    cloud.world.terminate_instance(cloud.instance)
    snapshot = load_snapshots(cloud.ec2, [cloud.instance], KNOWN, 1.0)[cloud.instance]
    assert snapshot.instance is None
    assert branch in {one.eni_id for one in snapshot.interfaces}


def test_with_a_role_associations_alone_go_with_the_own_identity(cloud_of: Callable[..., Cloud]) -> None:
    cloud = cloud_of(role=f"arn:aws:iam::{ACCOUNT}:role/vpc-rc")
    cloud.site.clock.time = time.time()  # STS' credentials live by the SDK's clock
    trunk, _ = cloud.attached_trunk()
    branch = cloud.permitted_branch(trunk, 1)
    cloud.ec2.associate_trunk_interface(branch=branch, trunk=trunk, vlan=VlanId(1), token=ClientToken("t"))
    by_identity: dict[str, set[str]] = {}
    for call in cloud.world.journal.calls:
        by_identity.setdefault(call.identity, set()).add(call.action)
    assert by_identity["own"] & {"AssociateTrunkInterface", "CreateNetworkInterface"} == {"AssociateTrunkInterface"}
    with pytest.raises(Denied):
        cloud.ec2.trunk_associations()
    assert account_id(cloud.settings) == ACCOUNT
