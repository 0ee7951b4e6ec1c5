"""What a worker can do for a node. Each action is one step towards the desired state: carried out at most once at a
time for its subject, safe to carry out again after a crash between any two lines.

The planner records the intent in the ledger before an action starts; its outcome is applied after it ended.
"""

from typing import ClassVar

import msgspec

from common.model.ec2 import Subnet
from common.model.ids import (
    AssociationId,
    AttachmentId,
    BranchKey,
    ClientToken,
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
from common.model.node import CniNodeFacts, CniNodeSpec
from common.model.pod import PodRequest
from common.model.reservation import Urgency
from common.model.terms import KUBERNETES, Room, Terms
from common.model.warrant import Warrant


class MadeFor(msgspec.Struct, frozen=True, kw_only=True):
    """The part of a node's ledger that a step was planned for. Where the ledger has moved on, by another instance under
    the node's name or another trunk, the step's outcome says nothing about it."""

    instance_id: InstanceId | None
    generation: int = 0
    """The trunk's."""
    eni_id: EniId | None = None
    """The trunk, branch or primary interface, as far as it was known."""
    vlan: VlanId | None = None
    """A branch's."""


class _Step(msgspec.Struct, frozen=True, kw_only=True, tag=True):
    terms: ClassVar[Terms]
    """Each kind states its own."""

    subject: str
    """What it is about: one action per subject is under way at a time, and failures are paced by it."""
    reserved: bool = False
    """Its place in the rate limiter's queue was kept; it does not queue again."""
    again: bool = False
    """It was begun before and its outcome is not known: look first where EC2 has no client token."""
    made_for: MadeFor | None = None
    """Set by the planner. None: it is about a pod or an object of Kubernetes, which it names by uid."""


class RequestSnapshot(_Step, frozen=True, kw_only=True, tag=True):
    """Ask for a fresh `InstanceSnapshot`; it is read in batches and the node is woken when it is there."""

    terms: ClassVar[Terms] = Terms(room=Room.SNAPSHOTS, changes=False)

    node: NodeName
    instance_id: InstanceId


class CreateCniNode(_Step, frozen=True, kw_only=True, tag=True):
    terms: ClassVar[Terms] = Terms(room=Room.CNINODES, about=KUBERNETES)

    node: NodeName
    node_uid: str
    os_label: str
    spec: CniNodeSpec


class RepairCniNode(_Step, frozen=True, kw_only=True, tag=True):
    terms: ClassVar[Terms] = Terms(room=Room.CNINODES, about=KUBERNETES)

    node: NodeName
    facts: CniNodeFacts
    tags: dict[str, str]
    os_label: str
    node_uid: str


class DropFinalizer(_Step, frozen=True, kw_only=True, tag=True):
    """Take our finalizer off a CNINode that was deleted while its node lives: it is made again once it has gone."""

    terms: ClassVar[Terms] = Terms(room=Room.CNINODES, about=KUBERNETES)

    node: NodeName
    uid: str


class CleanDeparted(_Step, frozen=True, kw_only=True, tag=True):
    """Node and CNINode are going: delete the instance's leaked interfaces, *then* let the CNINode go."""

    terms: ClassVar[Terms] = Terms(room=Room.RELEASE, urgency=Urgency.RELEASE)

    node: NodeName
    cninode_uid: str
    instance_id: InstanceId | None
    gone_since: float
    """Epoch seconds at which the node's absence was first confirmed."""
    rest: float
    """Seconds that what it had is left alone after that."""


class DeleteCniNode(_Step, frozen=True, kw_only=True, tag=True):
    """Its node is long gone and nothing collected it."""

    terms: ClassVar[Terms] = Terms(room=Room.RELEASE, about=KUBERNETES)

    node: NodeName


class ConfirmNodeGone(_Step, frozen=True, kw_only=True, tag=True):
    terms: ClassVar[Terms] = Terms(room=Room.RELEASE, about=KUBERNETES, changes=False)

    node: NodeName


class CreateTrunk(_Step, frozen=True, kw_only=True, tag=True):
    terms: ClassVar[Terms] = Terms(room=Room.CREATE, urgency=Urgency.NODE, about="CreateNetworkInterface")

    instance_id: InstanceId
    subnet_id: SubnetId
    groups: tuple[GroupId, ...]
    token: ClientToken
    extra_tags: dict[str, str]


class PermitInterface(_Step, frozen=True, kw_only=True, tag=True):
    """CreateNetworkInterfacePermission(INSTANCE-ATTACH) of a trunk or branch."""

    terms: ClassVar[Terms] = Terms(room=Room.PERMIT, urgency=Urgency.NODE, about="CreateNetworkInterfacePermission")

    eni_id: EniId


class AttachTrunk(_Step, frozen=True, kw_only=True, tag=True):
    terms: ClassVar[Terms] = Terms(
        room=Room.ATTACH, urgency=Urgency.NODE, about="AttachNetworkInterface", yields="attachment_id"
    )

    eni_id: EniId
    instance_id: InstanceId
    device_index: int


class FinishTrunk(_Step, frozen=True, kw_only=True, tag=True):
    """DeleteOnTermination, where it is not set."""

    terms: ClassVar[Terms] = Terms(room=Room.MODIFY, urgency=Urgency.NODE, about="ModifyNetworkInterfaceAttribute")

    eni_id: EniId
    attachment_id: AttachmentId


class AwaitTrunk(_Step, frozen=True, kw_only=True, tag=True):
    """One look whether the trunk is `attached`."""

    terms: ClassVar[Terms] = Terms(
        room=Room.LOOK, urgency=Urgency.NODE, about="DescribeNetworkInterfaces", changes=False
    )

    eni_id: EniId
    instance_id: InstanceId


class UndoTrunk(_Step, frozen=True, kw_only=True, tag=True):
    """Detach where attached, then delete."""

    terms: ClassVar[Terms] = Terms(room=Room.RELEASE, urgency=Urgency.RELEASE)

    warrant: Warrant
    eni_id: EniId
    instance_id: InstanceId


class SetTrunkGroups(_Step, frozen=True, kw_only=True, tag=True):
    terms: ClassVar[Terms] = Terms(room=Room.MODIFY, urgency=Urgency.NODE)

    eni_id: EniId
    groups: tuple[GroupId, ...]


class Advertise(_Step, frozen=True, kw_only=True, tag=True):
    terms: ClassVar[Terms] = Terms(room=Room.NODES, about=KUBERNETES)

    node: NodeName
    node_uid: str
    """So that it cannot reach a successor of the same name, whose instance may have no trunk."""
    resource: str
    amount: int


class ResolvePod(_Step, frozen=True, kw_only=True, tag=True):
    """Find the pod's security groups and subnet, from answers no older than the pod."""

    terms: ClassVar[Terms] = Terms(room=Room.RESOLVE, changes=False)

    pod: PodRequest
    instance_groups: tuple[GroupId, ...]
    instance_subnet: Subnet
    eni_config: str | None


class CreateBranch(_Step, frozen=True, kw_only=True, tag=True):
    terms: ClassVar[Terms] = Terms(room=Room.CREATE, about="CreateNetworkInterface")

    key: BranchKey
    subnet_id: SubnetId
    groups: tuple[GroupId, ...]
    token: ClientToken
    vlan: VlanId
    trunk_id: EniId
    instance_id: InstanceId
    pod_uid: PodUid
    extra_tags: dict[str, str]


class PermitBranch(_Step, frozen=True, kw_only=True, tag=True):
    terms: ClassVar[Terms] = Terms(room=Room.PERMIT, about="CreateNetworkInterfacePermission")

    key: BranchKey
    eni_id: EniId


class AssociateBranch(_Step, frozen=True, kw_only=True, tag=True):
    terms: ClassVar[Terms] = Terms(room=Room.ASSOCIATE, about="AssociateTrunkInterface", yields="association_id")

    key: BranchKey
    eni_id: EniId
    trunk_id: EniId
    vlan: VlanId
    token: ClientToken


class SetBranchGroups(_Step, frozen=True, kw_only=True, tag=True):
    """Of one that was taken from the idle ones for a pod. No client token: the same call again gives the same
    groups."""

    terms: ClassVar[Terms] = Terms(room=Room.MODIFY, about="ModifyNetworkInterfaceAttribute")

    key: BranchKey
    eni_id: EniId
    groups: tuple[GroupId, ...]


class UntagBranch(_Step, frozen=True, kw_only=True, tag=True):
    """Empty the tag that names its pod, which has ended, before another can get it."""

    terms: ClassVar[Terms] = Terms(room=Room.RELEASE, urgency=Urgency.RELEASE, about="CreateTags")

    key: BranchKey
    eni_id: EniId


class DisassociateBranch(_Step, frozen=True, kw_only=True, tag=True):
    terms: ClassVar[Terms] = Terms(room=Room.RELEASE, urgency=Urgency.RELEASE, about="DisassociateTrunkInterface")

    key: BranchKey
    eni_id: EniId
    association: AssociationId | None
    """None: found in EC2 without its association; looked up first."""
    token: ClientToken
    warrant: Warrant


class DeleteBranch(_Step, frozen=True, kw_only=True, tag=True):
    terms: ClassVar[Terms] = Terms(room=Room.RELEASE, urgency=Urgency.RELEASE, about="DeleteNetworkInterface")

    key: BranchKey
    eni_id: EniId
    warrant: Warrant


class Review(_Step, frozen=True, kw_only=True, tag=True):
    """Ask the API server which pods of these nodes live, and EC2 for these interfaces: what nobody is known to own is
    released only after both."""

    terms: ClassVar[Terms] = Terms(room=Room.RELEASE, urgency=Urgency.RELEASE)

    nodes: tuple[NodeName, ...]
    eni_ids: tuple[EniId, ...]
    node_ended: bool = False
    """The node has been gone for so long that its pods went with it, whatever the API server lists."""


class FindAssociations(_Step, frozen=True, kw_only=True, tag=True):
    """Ask EC2 for the associations of these branches, by the list that is shared."""

    terms: ClassVar[Terms] = Terms(room=Room.RELEASE, urgency=Urgency.RELEASE)

    eni_ids: tuple[EniId, ...]


class Annotate(_Step, frozen=True, kw_only=True, tag=True):
    """Write what a pod was given into its annotation. Never over an existing one."""

    terms: ClassVar[Terms] = Terms(room=Room.PODS, about=KUBERNETES)

    pod_uid: PodUid
    namespace: str
    name: str
    annotation: str
    value: str
    instance_id: InstanceId | None = None
    """The instance whose address it is: nobody else refuses it where the pod runs on another by now."""


class ConfirmGone(_Step, frozen=True, kw_only=True, tag=True):
    """Ask the API server itself whether this pod (by uid) is gone or finished."""

    terms: ClassVar[Terms] = Terms(room=Room.RELEASE, about=KUBERNETES, changes=False)

    pod_uid: PodUid
    namespace: str
    name: str


class InspectPool(_Step, frozen=True, kw_only=True, tag=True):
    terms: ClassVar[Terms] = Terms(
        room=Room.LOOK, urgency=Urgency.NODE, about="DescribeNetworkInterfaces", changes=False
    )

    eni_id: EniId
    began: float = 0.0
    """Epoch seconds: what changed later may be missing in the answer."""


class AssignAddresses(_Step, frozen=True, kw_only=True, tag=True):
    terms: ClassVar[Terms] = Terms(room=Room.ASSIGN, about="AssignPrivateIpAddresses", yields="addresses")

    eni_id: EniId
    count: int
    subnet_id: SubnetId = SubnetId("")


class AssignPrefixes(_Step, frozen=True, kw_only=True, tag=True):
    terms: ClassVar[Terms] = Terms(room=Room.ASSIGN, about="AssignPrivateIpAddresses", yields="prefixes")

    eni_id: EniId
    count: int


class UnassignAddresses(_Step, frozen=True, kw_only=True, tag=True):
    terms: ClassVar[Terms] = Terms(room=Room.RELEASE, urgency=Urgency.RELEASE, about="UnassignPrivateIpAddresses")

    eni_id: EniId
    addresses: tuple[Ipv4, ...]
    warrant: Warrant


class UnassignPrefixes(_Step, frozen=True, kw_only=True, tag=True):
    terms: ClassVar[Terms] = Terms(room=Room.RELEASE, urgency=Urgency.RELEASE, about="UnassignPrivateIpAddresses")

    eni_id: EniId
    prefixes: tuple[Prefix, ...]
    warrant: Warrant


CniNodeAction = CreateCniNode | RepairCniNode | DropFinalizer | CleanDeparted | DeleteCniNode
TrunkAction = CreateTrunk | PermitInterface | AttachTrunk | FinishTrunk | AwaitTrunk | UndoTrunk | SetTrunkGroups
Making = CreateBranch | PermitBranch | AssociateBranch | SetBranchGroups
Releasing = DisassociateBranch | DeleteBranch
BranchAction = Making | Releasing | UntagBranch
PodAction = ResolvePod | Annotate | ConfirmGone
Assign = AssignAddresses | AssignPrefixes
Unassign = UnassignAddresses | UnassignPrefixes
PoolAction = InspectPool | Assign | Unassign

Action = (
    RequestSnapshot
    | CniNodeAction
    | ConfirmNodeGone
    | TrunkAction
    | Advertise
    | PodAction
    | BranchAction
    | Review
    | FindAssociations
    | PoolAction
)
