"""What we did for one node and mean to do: the record that survives restarts.

Everything derivable (free VLANs, capacity, due times) is derived, never stored beside it.
"""

from enum import StrEnum

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
from common.model.limits import InstanceLimits
from common.model.node import CniNodeSpec, NodeFacts


class Backoff(msgspec.Struct, frozen=True, kw_only=True):
    """When a step that failed, or waits for its turn, may start again."""

    not_before: float = 0.0
    """Epoch seconds."""
    attempts: int = 0
    """Failures in a row."""
    reserved: bool = msgspec.field(name="turn", default=False)
    """A place in the rate limiter's queue is already ours for `not_before`."""
    code: str = ""
    """EC2's or Kubernetes' code of the last failure; "" after a success."""
    message: str = ""
    scope: str = ""
    """What failed for all, and is waited for: once it works for anybody, `not_before` does not count."""


class InstanceFacts(msgspec.Struct, frozen=True, kw_only=True):
    """An instance and its primary interface, as EC2 showed them last."""

    instance_id: InstanceId
    instance_type: str
    vpc_id: str
    subnet: Subnet
    primary_eni: EniId
    groups: tuple[GroupId, ...]
    """The primary interface's."""
    limits: InstanceLimits | None = None
    """As EC2 gives them for a type that common.model.limits does not have."""
    read_at: float = 0.0
    """Epoch seconds of the snapshot that showed it."""


class TrunkState(StrEnum):
    ABSENT = "absent"
    CREATING = "creating"
    """CreateNetworkInterface may have taken effect."""
    CREATED = "created"
    PERMITTED = "permitted"
    ATTACHING = "attaching"
    """AttachNetworkInterface may have taken effect."""
    ATTACHED = "attached"
    READY = "ready"
    UNDOING = "undoing"
    """A step failed: detach (where attached) and delete, then begin again."""


class Trunk(msgspec.Struct, frozen=True, kw_only=True):
    state: TrunkState = TrunkState.ABSENT
    generation: int = 0
    """Counts the trunks made for this instance: part of the client token."""
    eni_id: EniId | None = None
    attachment_id: AttachmentId | None = None
    device_index: int | None = None
    subnet_id: SubnetId | None = None
    groups: tuple[GroupId, ...] = ()
    adopted: bool = False
    made_at: float = 0.0
    """Epoch seconds at which EC2 made it, or was first seen to have it."""
    undone: EniId | None = None
    """The one before it, which we detached and deleted: EC2 may still show it for some seconds."""


class BranchState(StrEnum):
    """Life of a branch interface; each state says what is known to have happened. Steps: common.node.branch.life."""

    PLANNED = "planned"
    CREATING = "creating"
    """CreateNetworkInterface may have taken effect."""
    CREATED = "created"
    PERMITTED = "permitted"
    ASSOCIATING = "associating"
    """AssociateTrunkInterface may have taken effect."""
    REGROUPING = "regrouping"
    """Taken from the idle ones for a pod of other groups: ModifyNetworkInterfaceAttribute may have taken effect."""
    ASSOCIATED = "associated"
    ASSIGNED = "assigned"
    """Its pod's annotation names it, or may name it."""
    COOLING = "cooling"
    IDLE = "idle"
    """Rested, on its trunk and nobody's: the next pod of its subnet may have it."""
    DISASSOCIATED = "disassociated"


ON_TRUNK = (BranchState.ASSOCIATED, BranchState.ASSIGNED)
"""Ready for a pod, or its own."""


class Branch(msgspec.Struct, frozen=True, kw_only=True):
    """One branch interface, from intent to deletion. It leaves the ledger when EC2 has deleted it."""

    key: BranchKey
    state: BranchState
    instance_id: InstanceId
    trunk_id: EniId
    pod_uid: PodUid
    """"" where the pod is not known (found in EC2)."""
    pod_namespace: str = ""
    pod_name: str = ""
    ordinal: int = 0
    vlan: VlanId
    subnet_id: SubnetId
    groups: tuple[GroupId, ...] = ()
    token: ClientToken = ClientToken("")
    eni_id: EniId | None = None
    mac: str = ""
    private_ip: Ipv4 = Ipv4("")
    ipv6: str = ""
    subnet_cidr: str = ""
    subnet_v6_cidr: str = ""
    association: AssociationId | None = None
    unwanted: bool = False
    """Undo: its pod ended, or a step failed for good, before it was used."""
    associations_ended: int = 0
    """Associations of this interface that somebody ended: part of the client token of the next one."""
    made_at: float = 0.0
    """Epoch seconds at which EC2 made it, or was first seen to have it."""
    since: float = 0.0
    """Epoch seconds at which it was planned, or its last step took effect."""
    tagged: PodUid = PodUid("")
    """Found in EC2: the uid in its tag, of the pod that it was made for."""
    word_at: float = 0.0
    """Epoch seconds of the API server's word that its pod has ended, or that no pod of its nodes has it; 0: never."""
    looked_at: float = 0.0
    """Epoch seconds at which a look at EC2 began that showed it without an owner; 0: never."""
    untagged: bool = False
    """EC2's tag of it names no pod: whoever's annotation names it has it."""
    releasing: bool = False
    """DisassociateTrunkInterface was begun, and may take effect whenever: no other pod may get it."""

    @property
    def found(self) -> bool:
        """It was found in EC2, not made by this ledger: its token and what came before are not known."""
        return not self.token

    @property
    def made_for(self) -> PodUid:
        """The pod that it was made for, or given to, by its key or the tag that EC2 shows; "" where neither tells, as
        of an idle one: whoever's annotation names it."""
        return self.tagged if self.found or str(self.key) == self.eni_id else PodUid(self.key.rsplit(".", 2)[0])


class Claim(msgspec.Struct, frozen=True, kw_only=True):
    """What was decided for a pod before its interfaces are made."""

    pod_uid: PodUid
    namespace: str
    name: str
    generation: int = 0
    """Counts the attempts that were undone: part of the client tokens."""
    groups: tuple[GroupId, ...] = ()
    subnet_id: SubnetId = SubnetId("")
    subnet_cidr: str = ""
    subnet_v6_cidr: str = ""
    resolved_at: float = 0.0
    matched: bool = True
    """A policy matched; False: the groups are the node's."""
    annotated: bool = False
    """The annotation is there."""
    annotated_at: float = 0.0
    """Epoch seconds at which it was known to be there first."""


class AddressState(StrEnum):
    WARM = "warm"
    ASSIGNED = "assigned"
    COOLING = "cooling"
    RELEASING = "releasing"
    """UnassignPrivateIpAddresses may have taken effect."""


class Address(msgspec.Struct, frozen=True, kw_only=True):
    """One IPv4 address of a Windows node's pool."""

    ip: Ipv4
    state: AddressState = AddressState.WARM
    prefix: Prefix | None = None
    """The prefix it is out of; None for a secondary address."""
    pod_uid: PodUid = PodUid("")
    pod_namespace: str = ""
    pod_name: str = ""
    annotated: bool = False
    since: float = 0.0
    unasked: bool = False
    """Found in EC2: it may be a living pod's, and is free only after the API server was asked about the node's pods."""


class LastUse(msgspec.Struct, frozen=True, kw_only=True):
    """The last owner of an address or prefix of a pool, and what is known since: the evidence for giving it back."""

    found: bool = False
    """EC2 showed it, no answer to an assignment of ours named it: who had it before is not known."""
    pod_uid: PodUid = PodUid("")
    """The last pod that had it, or an address of it; "" for none that is known."""
    at: float = 0.0
    """Epoch seconds at which it was last in use, or came."""
    word_at: float = 0.0
    """Epoch seconds of the API server's word that no living pod has it; 0: not since it was in use."""


class Pool(msgspec.Struct, frozen=True, kw_only=True):
    """A Windows node's addresses. A prefix lists only addresses in use or cooling; the rest of its sixteen
    are free."""

    addresses: dict[Ipv4, Address] = {}
    prefixes: dict[Prefix, float] = {}
    """Prefixes held, each with the epoch seconds at which it came."""
    releasing_prefixes: tuple[Prefix, ...] = ()
    assigning: int = 0
    """AssignPrivateIpAddresses for so many addresses or prefixes was begun and its outcome is not recorded."""
    suspect: bool = True
    """EC2 must be looked at before anything else is asked of it: new, or a call whose outcome is unknown."""
    suspect_since: float = 0.0
    """Epoch seconds; only a look that began later settles it."""
    looked_at: float = 0.0
    """Epoch seconds at which the last look at EC2 that was compared began."""
    look_at: float = 0.0
    """Epoch seconds of a look that is wanted because the last one found something odd; 0: none is."""
    released_at: float = 0.0
    """Epoch seconds at which the last UnassignPrivateIpAddresses was begun, or ended with an unknown outcome."""
    fresh: dict[str, float] = {}
    """Addresses and prefixes that EC2 assigned and no look has shown yet, with the epoch seconds at which they came."""
    missing: dict[str, float] = {}
    """Addresses and prefixes on record that a look did not show: the epoch seconds of that look. They are given to
    nobody."""
    given_back: dict[str, float] = {}
    """Addresses and prefixes given back a moment ago: EC2 may show them yet."""
    uses: dict[str, LastUse] = {}
    """By address or prefix. Nothing is known of one that is not listed."""
    refused: dict[str, int] = {}
    """How many addresses or prefixes EC2 refused last, by subject of the call."""
    epoch: str = ""
    """The run of Redis in which this was right; in a later one it may come from an old copy. "": not known."""


LEDGER_VERSION = 3
"""The version that this code writes. Add one with every field that must not be lost: a worker of the release before
would decode the ledger without it, and write it back so; and with every value that it could not decode. What earlier
versions said otherwise: common.store.older_ledgers."""


class Ledger(msgspec.Struct, frozen=True, kw_only=True):
    node: NodeName
    version: int = LEDGER_VERSION
    """The version of the code that wrote it; the first had none."""
    instance: InstanceFacts | None = None
    trunk: Trunk = Trunk()
    branches: dict[BranchKey, Branch] = {}
    claims: dict[PodUid, Claim] = {}
    pool: Pool | None = None
    cninode_spec: CniNodeSpec | None = None
    """As last seen: what is made again when it is deleted from under a living node."""
    backoffs: dict[str, Backoff] = msgspec.field(name="paces", default_factory=dict)
    """By subject of a step (`trunk`, `branch/<key>`, ...)."""
    emitted: dict[str, str] = msgspec.field(name="told", default_factory=dict)
    """The last event emitted, by subject: its message or reason."""
    gone_since: float | None = None
    """Epoch seconds at which the node's absence was first confirmed."""
    gone_asked_at: float = 0.0
    """Epoch seconds at which it was last confirmed."""
    snapshot_after: float | None = None
    """A snapshot of EC2 that began to be read after this moment is wanted; None: none is."""
    sought: NodeFacts | None = None
    """The Node as it stood when EC2 did not know its instance: another is a reason to look again at once."""
    audit_at: float = 0.0
    """Epoch seconds of the next comparison with EC2."""
    audit_interval: float = 0.0
    suspects: tuple[EniId, ...] = ()
    """What the last audit could not explain; only what the next one sees again is acted on."""
    yielded: bool = False
    """Another node name's ledger serves the instance: what stands here is for it to take, and nothing is done with it
    here (common.node.sharing)."""
    took: tuple[NodeName, ...] = ()
    """Node names whose ledgers' content was taken over into this one; they may forget it."""
    cooldown_seen: float | None = None
    """Seconds; a change has an event."""
    epoch: str = ""
    """The run of Redis in which this was right, where interfaces are reused (common.node.branch.believing); in a later
    one it may come from an old copy. "": none is reused."""
