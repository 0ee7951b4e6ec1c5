"""Chapter: learn the instance, and take over what EC2 already has for it. All from one snapshot, nothing is called."""

from collections.abc import Iterable

import msgspec

from common.model.actions import RequestSnapshot
from common.model.ec2 import Instance, InstanceSnapshot, Interface, Subnet
from common.model.ids import FIRST_VLAN, LAST_VLAN, UNKNOWN_VLAN, BranchKey, EniId, InstanceId, PodUid, VlanId
from common.model.ledger import (
    Branch,
    BranchState,
    Claim,
    InstanceFacts,
    Ledger,
    Pace,
    Trunk,
    TrunkState,
)
from common.model.limits import InstanceLimits
from common.model.names import BRANCH_DESCRIPTION, OWNER_OURS, OWNER_TAG, POD_UID_TAG, TRUNK_DESCRIPTION
from common.model.node import NodeFacts
from common.model.pod import BranchAnnotation, PodWish, is_live
from common.node.retry import grown
from common.node.state import Planning
from common.node.windows.contents import LOOK_AGAIN_SECONDS, adopted_pool
from common.rules.leaks import being_made
from common.rules.managed import WINDOWS
from common.rules.pod_eni import interfaces_named

SUBJECT = "snapshot"
FIRST_SECONDS, LONGEST_SECONDS = 2.0, 300.0
"""Between looks for an instance that EC2 does not know: the first interval and the longest."""


def take_snapshot(state: Planning) -> InstanceSnapshot | None:
    """The snapshot that the ledger waits for, once it is there; asks for it until then."""
    wanted_after = state.ledger.snapshot_after
    if wanted_after is None:
        return None
    if wanted_after > state.now:
        state.look_at(wanted_after)
        return None
    snapshot = state.snapshot
    if snapshot is not None and snapshot.taken_at >= wanted_after:
        state.change(snapshot_after=None)
        return snapshot
    node = state.desired.view.node
    if node is not None and node.instance_id is not None and state.may(SUBJECT):
        state.start(RequestSnapshot(subject=SUBJECT, node=node.name, instance_id=node.instance_id))
    return None


def know_instance(state: Planning, node: NodeFacts) -> bool:
    """Whether the ledger is about the node's present instance; on the way there, adoption."""
    assert node.instance_id is not None
    if not state.desired.complete:
        return False  # A living pod's annotation may not be known yet: its interface would be taken for a stray.
    ledger = state.ledger
    if ledger.instance is not None and ledger.instance.instance_id == node.instance_id:
        if node.os != WINDOWS and ledger.trunk.state is TrunkState.ABSENT and ledger.snapshot_after is not None:
            snapshot = take_snapshot(state)
            if snapshot is not None:
                _adopt(state, node, snapshot)
        return True
    if ledger.instance is not None:
        # Another instance under the same name: what the old one had is released, each entry with its own trunk.
        paces = {k: p for k, p in ledger.paces.items() if k.startswith(("branch/", "pod/"))}
        # Subnet and groups were found with the old instance.
        claims = {uid: msgspec.structs.replace(claim, resolved_at=0.0) for uid, claim in ledger.claims.items()}
        # A generation of its own, so that no outcome of the old trunk is taken for the new one's.
        trunk = Trunk(generation=ledger.trunk.generation + 1)
        state.change(
            instance=None, trunk=trunk, pool=None, snapshot_after=state.now, paces=paces, claims=claims, told={}
        )
    if state.ledger.snapshot_after is None or (ledger.sought is not None and ledger.sought != node):
        # Not looked for yet, or in vain for the node as it was.
        paces = {k: p for k, p in state.ledger.paces.items() if k != SUBJECT}
        state.change(snapshot_after=state.now, sought=None, paces=paces)
    snapshot = take_snapshot(state)
    if snapshot is None:
        return False
    return _adopt(state, node, snapshot)


def facts_of(snapshot: InstanceSnapshot, instance_id: InstanceId) -> InstanceFacts | None:
    """None where EC2 does not show the instance whole."""
    instance = snapshot.instance
    primary = instance.primary if instance is not None else None
    if instance is None or primary is None or snapshot.subnet is None:
        return None
    return InstanceFacts(
        instance_id=instance_id,
        instance_type=instance.instance_type,
        vpc_id=instance.vpc_id,
        subnet=snapshot.subnet,
        primary_eni=primary.eni_id,
        groups=primary.groups,
        limits=snapshot.limits,
        read_at=snapshot.taken_at,
    )


def _adopt(state: Planning, node: NodeFacts, snapshot: InstanceSnapshot) -> bool:
    assert node.instance_id is not None
    instance_id = node.instance_id
    facts = facts_of(snapshot, instance_id)
    instance, primary = snapshot.instance, snapshot.instance.primary if snapshot.instance is not None else None
    if facts is None or instance is None or primary is None:
        attempts = state.pace(SUBJECT).attempts
        again = state.now + grown(FIRST_SECONDS, LONGEST_SECONDS, attempts)
        state.change(
            snapshot_after=again,
            paces={**state.ledger.paces, SUBJECT: Pace(not_before=again, attempts=attempts + 1, code="NoInstance")},
            sought=node,
        )
        state.look_at(again)
        state.tell_node_once(
            "instance",
            "InstanceNotFound",
            f"EC2 knows no running instance {instance_id} of this node",
        )
        return False
    # What was asked for is here: the next snapshot may be asked for as soon as it is wanted.
    paces = {k: p for k, p in state.ledger.paces.items() if k != SUBJECT}
    state.change(instance=facts, sought=None, paces=paces)
    if node.os == WINDOWS:
        # Looked at again before anything found has rested: EC2's answer can be older than our last call.
        pool = adopted_pool(primary, state.desired.pods, state.now)
        state.change(pool=pool, audit_at=state.now + LOOK_AGAIN_SECONDS if pool.addresses else 0.0, audit_interval=0.0)
        return True
    if state.ledger.trunk.state is TrunkState.ABSENT:
        limits = state.options.limits.get(instance.instance_type)
        trunk = found_trunk(instance, snapshot.interfaces, limits, state.ledger.trunk)
        if trunk.state is TrunkState.CREATED:
            trunk = msgspec.structs.replace(trunk, made_at=state.now)
        state.change(trunk=trunk)
        if trunk.eni_id is not None:
            state.ledger = adopt_branches(
                state.ledger,
                instance_id,
                trunk.eni_id,
                facts.subnet,
                snapshot.interfaces,
                state.desired.pods,
                state.now,
            )
    return True


def found_trunk(
    instance: Instance,
    tagged: Iterable[Interface],
    limits: InstanceLimits | None,
    before: Trunk,
) -> Trunk:
    """The instance's trunk as EC2 shows it: attached, left over from a crash before it was attached, or none (then
    with the device index that a new one gets, None where none is free). What was undone before is none of these."""
    generation = before.generation
    attached = next((i for i in instance.interfaces if i.type == "trunk" and i.eni_id != before.undone), None)
    if attached is not None:
        ready = attached.attachment_status == "attached" and attached.delete_on_termination
        return Trunk(
            state=TrunkState.READY if ready else TrunkState.ATTACHING,
            generation=generation,
            eni_id=attached.eni_id,
            attachment_id=attached.attachment_id,
            device_index=attached.device_index,
            subnet_id=attached.subnet_id,
            groups=attached.groups,
            adopted=True,
        )
    index = free_device_index(instance, limits)
    loose = next(
        (
            i
            for i in tagged
            if i.eni_id != before.undone
            and i.status == "available"
            and i.description == TRUNK_DESCRIPTION
            and i.tags.get(OWNER_TAG) == OWNER_OURS
        ),
        None,
    )
    if loose is not None:
        return Trunk(
            state=TrunkState.CREATED,
            generation=generation,
            eni_id=loose.eni_id,
            device_index=index,
            subnet_id=loose.subnet_id,
            groups=loose.groups,
            adopted=True,
        )
    return Trunk(generation=generation, device_index=index, undone=before.undone)


def free_device_index(instance: Instance, limits: InstanceLimits | None) -> int | None:
    """The highest free device index of the default network card: the VPC CNI takes them from below."""
    if limits is None:
        return None
    used = {i.device_index for i in instance.interfaces if i.network_card == 0}
    highest = min(limits.max_interfaces, limits.default_card_interfaces) - 1
    return next((index for index in range(highest, 0, -1) if index not in used), None)


def is_branch(interface: Interface, trunk: EniId) -> bool:
    if interface.instance_id is not None or interface.type == "trunk":
        return False
    return interface.trunk_tag == trunk or (
        interface.description == BRANCH_DESCRIPTION and interface.tags.get(OWNER_TAG) == OWNER_OURS
    )


def adopt_branches(
    ledger: Ledger,
    instance_id: InstanceId,
    trunk: EniId,
    subnet: Subnet,
    interfaces: Iterable[Interface],
    pods: dict[PodUid, PodWish],
    now: float,
) -> Ledger:
    """Take over branch interfaces that the ledger does not know. One that a living pod has, by its annotation and the
    tag that EC2 shows, stays that pod's; any other begins to rest now, whatever state EC2 shows it in, for that may be
    older than its association. A pod that such a stray was made for gets a generation of its own, so that its client
    tokens meet no old interface."""
    interfaces = [i for i in interfaces if is_branch(i, trunk)]
    owners = _owners(interfaces, pods)
    known = {branch.eni_id for branch in ledger.branches.values()}
    branches, claims = dict(ledger.branches), dict(ledger.claims)
    for interface in interfaces:
        if interface.eni_id in known or being_made(ledger, interface):
            continue
        owner = owners.get(interface.eni_id)
        branch = _branch_of(interface, instance_id, trunk, owner, subnet, now)
        branches[branch.key] = branch
        if owner is not None:
            pod = owner[0]
            claims[pod.uid] = Claim(pod_uid=pod.uid, namespace=pod.namespace, name=pod.name, annotated=True)
            continue
        made_for = pods.get(branch.tagged)
        if made_for is not None and made_for.uid not in claims:
            claims[made_for.uid] = Claim(
                pod_uid=made_for.uid,
                namespace=made_for.namespace,
                name=made_for.name,
                generation=int(now),
            )
    return msgspec.structs.replace(ledger, branches=branches, claims=claims)


Owner = tuple[PodWish, BranchAnnotation | None]


def _owners(interfaces: Iterable[Interface], pods: dict[PodUid, PodWish]) -> dict[EniId, Owner]:
    """Which living pod has each interface. An annotation counts for an interface whose tag names its pod; for one
    without that tag (made by the reference) the oldest pod that names it counts. A pod whose annotation cannot be read,
    or names nothing of its own, has what was made for it: that is not absence."""
    shown = {interface.eni_id: _tagged(interface) for interface in interfaces}
    owners: dict[EniId, Owner] = {}
    unclear = set()
    for pod in sorted(pods.values(), key=lambda pod: (pod.scheduled_at, pod.uid)):
        if not is_live(pod) or pod.eni_annotation is None:
            continue
        own = [e for e in interfaces_named(pod)[0] if e.eni_id in shown and shown[e.eni_id] in ("", pod.uid)]
        for entry in own:
            owners.setdefault(entry.eni_id, (pod, entry))
        if not own:
            unclear.add(pod.uid)
    for eni_id, tagged in shown.items():
        if tagged in unclear:
            owners.setdefault(eni_id, (pods[tagged], None))
    return owners


def _tagged(interface: Interface) -> PodUid:
    return PodUid(interface.tags.get(POD_UID_TAG, ""))


def _branch_of(
    interface: Interface, instance_id: InstanceId, trunk: EniId, owner: Owner | None, subnet: Subnet, now: float
) -> Branch:
    pod, entry = owner if owner is not None else (None, None)
    own_subnet = interface.subnet_id == subnet.subnet_id
    vlans = (interface.vlan_tag, entry.vlan if entry is not None else None)
    return Branch(
        key=BranchKey(interface.eni_id),
        state=BranchState.ASSIGNED if pod is not None else BranchState.COOLING,
        instance_id=instance_id,
        trunk_id=interface.trunk_tag or trunk,
        pod_uid=pod.uid if pod is not None else PodUid(""),
        pod_namespace=pod.namespace if pod is not None else "",
        pod_name=pod.name if pod is not None else "",
        tagged=_tagged(interface),
        vlan=next((VlanId(v) for v in vlans if v is not None and FIRST_VLAN <= v <= LAST_VLAN), UNKNOWN_VLAN),
        subnet_id=interface.subnet_id,
        groups=interface.groups,
        eni_id=interface.eni_id,
        mac=interface.mac,
        private_ip=interface.primary_ip,
        ipv6=interface.ipv6,
        subnet_cidr=subnet.cidr if own_subnet else "",
        subnet_v6_cidr=subnet.ipv6_cidr if own_subnet else "",
        made_at=now,
        since=now,
    )
