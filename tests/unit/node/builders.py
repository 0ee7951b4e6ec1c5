"""Plain functions that make the values of `common.model` for tests of decisions, and one way to plan with them."""

from collections.abc import Iterable
from typing import Any

import msgspec

from common.model.actions import Action
from common.model.config import ClusterConfig
from common.model.desired import Desired
from common.model.ec2 import Instance, InstanceSnapshot, Interface, Subnet
from common.model.ids import (
    AssociationId,
    AttachmentId,
    BranchKey,
    EniId,
    GroupId,
    InstanceId,
    Ipv4,
    NodeName,
    PodUid,
    Prefix,
    SubnetId,
    VlanId,
)
from common.model.ledger import Branch, BranchState, Claim, InstanceFacts, Ledger, Trunk, TrunkState
from common.model.limits import InstanceLimits
from common.model.names import (
    BRANCH_DESCRIPTION,
    CNINODE_CLUSTER_TAG,
    FEATURE_POD_GROUPS,
    INSTANCE_TAG,
    OWNER_OURS,
    OWNER_TAG,
    POD_UID_TAG,
    TRUNK_DESCRIPTION,
    TRUNK_TAG,
    VLAN_TAG,
)
from common.model.node import CniNodeFacts, CniNodeSpec, EniConfigFacts, Feature, NodeFacts, NodeView
from common.model.notice import Notice
from common.model.pod import PodRequest
from common.model.warrant import Warrant
from common.node.planner import Plan, plan
from common.node.state import Options, Planning
from common.node.tokens import branch_key, branch_token
from common.rules.release_gate import Evidence, warrant

NOW = 1_000_000.0
CLUSTER = "bench"
NODE = NodeName("n1")
INSTANCE = InstanceId("i-0123456789abcdef0")
OTHER_INSTANCE = InstanceId("i-0fedcba9876543210")
SUBNET = Subnet(subnet_id=SubnetId("subnet-1"), vpc_id="vpc-1", cidr="10.0.0.0/19")
GROUP = GroupId("sg-node")
POD_GROUP = GroupId("sg-pod")
PRIMARY = EniId("eni-primary")
TRUNK = EniId("eni-trunk")
POD_GROUPS_SPEC = CniNodeSpec(
    features=(Feature(name=FEATURE_POD_GROUPS),), tags={CNINODE_CLUSTER_TAG: CLUSTER, INSTANCE_TAG: INSTANCE}
)


def limits(kind: str = "m5.large", *, branches: int = 9, ipv4: int = 10, nitro: bool = True) -> InstanceLimits:
    return InstanceLimits(
        instance_type=kind,
        max_interfaces=3,
        ipv4_per_interface=ipv4,
        max_branch_interfaces=branches,
        default_card_interfaces=3,
        network_cards=1,
        nitro=nitro,
        bare_metal=False,
    )


def options(one: InstanceLimits | None = None, **fields: Any) -> Options:
    one = one or limits()
    return Options(**{"cluster": CLUSTER, "version": "1", "limits": {one.instance_type: one}, **fields})


def node(**fields: Any) -> NodeFacts:
    """A Linux node that is managed by its label, with the capacity of nine branch interfaces."""
    return NodeFacts(
        **{
            "name": NODE,
            "uid": "node-uid",
            "os": "linux",
            "os_label": fields.get("os", "linux"),
            "instance_id": INSTANCE,
            "trunk_label": True,
            "capacity": {"vpc.amazonaws.com/pod-eni": "9"},
            **fields,
        }
    )


def cninode(**fields: Any) -> CniNodeFacts:
    """Whole and owned."""
    return CniNodeFacts(
        **{
            "uid": "cninode-uid",
            "resource_version": "1",
            "spec": POD_GROUPS_SPEC,
            "os_label": "linux",
            "finalizer": True,
            "owner_uid": "node-uid",
            **fields,
        }
    )


def desired(
    *pods: PodRequest,
    of: NodeFacts | None = None,
    gone: bool = False,
    cni: CniNodeFacts | None = None,
    without_cninode: bool = False,
    eni_config: EniConfigFacts | None = None,
    config: ClusterConfig | None = None,
    complete: bool = True,
) -> Desired:
    """The desired state of a living Linux node with a whole CNINode, unless fields say otherwise."""
    return Desired(
        view=NodeView(
            node=None if gone else of or node(),
            cninode=None if without_cninode else cni or cninode(),
            eni_config=eni_config,
        ),
        pods={p.uid: p for p in pods},
        config=config or ClusterConfig(),
        complete=complete,
    )


def pod(name: str = "a", branches: int = 1, **fields: Any) -> PodRequest:
    """Its uid is `uid-<name>`; scheduled a second ago."""
    return PodRequest(
        **{
            "uid": PodUid(f"uid-{name}"),
            "namespace": "default",
            "name": name,
            "branches": branches,
            "scheduled_at": NOW - 1,
            "seen_at": NOW - 1,
            **fields,
        }
    )


def instance_facts(instance_id: InstanceId = INSTANCE, kind: str = "m5.large") -> InstanceFacts:
    return InstanceFacts(
        instance_id=instance_id,
        instance_type=kind,
        vpc_id="vpc-1",
        subnet=SUBNET,
        primary_eni=PRIMARY,
        groups=(GROUP,),
        read_at=NOW,
    )


def trunk(state: TrunkState = TrunkState.READY, **fields: Any) -> Trunk:
    return Trunk(
        **{
            "state": state,
            "eni_id": TRUNK,
            "attachment_id": AttachmentId("attach-1"),
            "device_index": 2,
            "subnet_id": SUBNET.subnet_id,
            "groups": (GROUP,),
            **fields,
        }
    )


def branch(of: PodRequest | str, state: BranchState = BranchState.ASSIGNED, **fields: Any) -> Branch:
    """A branch interface of a pod (or of a pod of that name that is not desired any more), as far as `state` goes."""
    whose = pod(of) if isinstance(of, str) else of
    ordinal, generation = fields.get("ordinal", 0), fields.pop("generation", 0)
    key = branch_key(whose.uid, ordinal, generation)
    made = state not in (BranchState.PLANNED, BranchState.CREATING)
    released = state in (BranchState.COOLING, BranchState.DISASSOCIATED)
    on_trunk = (BranchState.REGROUPING, BranchState.ASSOCIATED, BranchState.ASSIGNED, BranchState.COOLING)
    associated = state in (*on_trunk, BranchState.IDLE)
    return Branch(
        **{
            "key": key,
            "state": state,
            "instance_id": INSTANCE,
            "trunk_id": TRUNK,
            "pod_uid": whose.uid,
            "pod_namespace": whose.namespace,
            "pod_name": whose.name,
            "vlan": VlanId(1 + ordinal),
            "subnet_id": SUBNET.subnet_id,
            "groups": (POD_GROUP,),
            "token": branch_token(CLUSTER, key),
            "eni_id": EniId(f"eni-{whose.name}-{ordinal}") if made else None,
            "mac": "02:00:00:00:00:01",
            "private_ip": Ipv4("10.0.3.17"),
            "subnet_cidr": SUBNET.cidr,
            "association": AssociationId(f"trunk-assoc-{whose.name}-{ordinal}") if associated else None,
            "since": NOW - 100,
            "word_at": max(fields.get("since", 0.0), NOW - 100) if released else 0.0,
            **fields,
        }
    )


def claim(of: PodRequest | str, **fields: Any) -> Claim:
    """Groups and subnet found just now."""
    whose = pod(of) if isinstance(of, str) else of
    return Claim(
        **{
            "pod_uid": whose.uid,
            "namespace": whose.namespace,
            "name": whose.name,
            "groups": (POD_GROUP,),
            "subnet_id": SUBNET.subnet_id,
            "subnet_cidr": SUBNET.cidr,
            "resolved_at": NOW,
            **fields,
        }
    )


def by_key(branches: Iterable[Branch]) -> dict[BranchKey, Branch]:
    return {b.key: b for b in branches}


def ledger(*branches: Branch, claims: Iterable[Claim] = (), **fields: Any) -> Ledger:
    """A ready node's: trunk in use, everything said that is said once, next audit far away."""
    return Ledger(
        **{
            "node": NODE,
            "instance": instance_facts(),
            "trunk": trunk(),
            "branches": by_key(branches),
            "claims": {c.pod_uid: c for c in claims},
            "cninode_spec": POD_GROUPS_SPEC,
            "emitted": {
                "version/node-uid": "The node is managed by VPC resource controller version 1",
                "trunk/node-uid": "The node has trunk interface initialized successfully",
            },
            "audit_at": NOW + 600,
            "audit_interval": 600.0,
            "cooldown_seen": 60.0,
            **fields,
        }
    )


def primary(**fields: Any) -> Interface:
    return Interface(
        **{
            "eni_id": PRIMARY,
            "subnet_id": SUBNET.subnet_id,
            "status": "in-use",
            "groups": (GROUP,),
            "instance_id": INSTANCE,
            "attachment_id": AttachmentId("attach-0"),
            "attachment_status": "attached",
            "device_index": 0,
            **fields,
        }
    )


def trunk_interface(**fields: Any) -> Interface:
    """Attached and in order."""
    return Interface(
        **{
            "eni_id": TRUNK,
            "subnet_id": SUBNET.subnet_id,
            "status": "in-use",
            "type": "trunk",
            "description": TRUNK_DESCRIPTION,
            "groups": (GROUP,),
            "tags": {OWNER_TAG: OWNER_OURS, INSTANCE_TAG: INSTANCE},
            "instance_id": INSTANCE,
            "attachment_id": AttachmentId("attach-1"),
            "attachment_status": "attached",
            "device_index": 2,
            "delete_on_termination": True,
            **fields,
        }
    )


def branch_interface(of: Branch | str, **fields: Any) -> Interface:
    """As EC2 shows it, associated with the trunk."""
    one = branch(of) if isinstance(of, str) else of
    return Interface(
        **{
            "eni_id": one.eni_id or EniId(f"eni-{one.key}"),
            "subnet_id": one.subnet_id,
            "status": "in-use",
            "type": "branch",
            "description": BRANCH_DESCRIPTION,
            "mac": one.mac,
            "primary_ip": one.private_ip,
            "groups": one.groups,
            "tags": {
                OWNER_TAG: OWNER_OURS,
                INSTANCE_TAG: one.instance_id,
                VLAN_TAG: str(one.vlan),
                TRUNK_TAG: one.trunk_id,
                POD_UID_TAG: one.pod_uid,
            },
            **fields,
        }
    )


def snapshot(
    *interfaces: Interface, attached: Iterable[Interface] = (), taken_at: float = NOW, **fields: Any
) -> InstanceSnapshot:
    """The instance with its primary interface and `attached`, and `interfaces` that carry its tag."""
    return InstanceSnapshot(
        **{
            "taken_at": taken_at,
            "instance": Instance(
                instance_id=INSTANCE,
                instance_type="m5.large",
                state="running",
                subnet_id=SUBNET.subnet_id,
                vpc_id="vpc-1",
                interfaces=(primary(), *attached),
            ),
            "subnet": SUBNET,
            "interfaces": interfaces,
            **fields,
        }
    )


def planned(
    of: Ledger,
    goal: Desired,
    *,
    now: float = NOW,
    seen: InstanceSnapshot | None = None,
    busy: Iterable[str] = (),
    opts: Options | None = None,
    jitter: float = 0.5,
    burst_left: float = 1.0,
) -> Plan:
    return plan(
        of,
        goal,
        snapshot=seen,
        now=now,
        jitter=jitter,
        busy=frozenset(busy),
        options=opts or options(),
        burst_left=burst_left,
    )


def planning(of: Ledger, goal: Desired, **fields: Any) -> Planning:
    return Planning(
        **{
            "ledger": of,
            "desired": goal,
            "snapshot": None,
            "now": NOW,
            "jitter": 0.5,
            "busy": frozenset(),
            "options": options(),
            **fields,
        }
    )


def left(done: Plan) -> Ledger:
    """The ledger of a plan that keeps one."""
    assert done.ledger is not None
    return done.ledger


def kinds(actions: Iterable[Action]) -> list[str]:
    return [type(action).__name__ for action in actions]


def reasons(notices: Iterable[Notice]) -> list[str]:
    return [notice.reason for notice in notices]


def leave(eni: EniId, *, addresses: tuple[Ipv4, ...] = (), prefixes: tuple[Prefix, ...] = ()) -> Warrant:
    """To take away what was made here and never used."""
    found = warrant(
        Evidence(
            eni_id=eni, addresses=addresses, prefixes=prefixes, complete=True, claimed=False, made=True, owner=None
        ),
        NOW,
    )
    assert isinstance(found, Warrant)
    return found


def json_of(*entries: dict[str, Any]) -> str:
    return msgspec.json.encode(entries).decode()


def names(*branches: Branch) -> str:
    """An annotation that names these branches."""
    return json_of(
        *(
            {
                "eniId": b.eni_id,
                "ifAddress": b.mac,
                "privateIp": b.private_ip,
                "vlanId": b.vlan,
                "associationID": b.association or "",
            }
            for b in branches
        )
    )
