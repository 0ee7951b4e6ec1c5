"""Branch interfaces that EC2 shows and the ledger does not know."""

from collections.abc import Iterable

import msgspec

from common.model.ec2 import Interface, Subnet
from common.model.ids import FIRST_VLAN, LAST_VLAN, UNKNOWN_VLAN, BranchKey, EniId, InstanceId, PodUid, VlanId
from common.model.ledger import Branch, BranchState, Claim, Ledger
from common.model.names import BRANCH_DESCRIPTION, OWNER_OURS, OWNER_TAG, POD_UID_TAG
from common.model.pod import BranchAnnotation, PodRequest, is_live
from common.node.branch.owning import may_own
from common.node.tokens import generation_after_loss
from common.rules.leaks import being_made
from common.rules.pod_eni import interfaces_named


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
    pods: dict[PodUid, PodRequest],
    now: float,
) -> Ledger:
    """Take over branch interfaces that the ledger does not know. One that a living pod has, by its annotation and the
    tag that EC2 shows, stays that pod's; any other begins to rest now, whatever state EC2 shows it in, for that may be
    older than its association. A pod that such an interface was made for gets a generation of its own, so that its
    client tokens meet no old interface."""
    interfaces = [i for i in interfaces if is_branch(i, trunk)]
    owners = _owners(interfaces, pods, ledger.branches.values())
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
                generation=generation_after_loss(now),
            )
    return msgspec.structs.replace(ledger, branches=branches, claims=claims)


Owner = tuple[PodRequest, BranchAnnotation | None]


def _owners(
    interfaces: Iterable[Interface], pods: dict[PodUid, PodRequest], known: Iterable[Branch]
) -> dict[EniId, Owner]:
    """Which living pod has each interface. An annotation counts for an interface whose tag names its pod; for one
    without that tag (made by the reference) the oldest pod that names it counts. A pod whose annotation cannot be read,
    or names nothing of its own, of these interfaces or the `known` ones, has what was made for it: that is not
    absence."""
    shown = {interface.eni_id: _tagged(interface) for interface in interfaces}
    owners: dict[EniId, Owner] = {}
    unclear, known = set(), list(known)
    for pod in sorted(pods.values(), key=lambda pod: (pod.scheduled_at, pod.uid)):
        if not is_live(pod) or pod.eni_annotation is None:
            continue
        named = interfaces_named(pod)[0]
        own = [e for e in named if e.eni_id in shown and shown[e.eni_id] in ("", pod.uid)]
        has = {b.eni_id for b in known if may_own(b, pod.uid)}
        for entry in own:
            owners.setdefault(entry.eni_id, (pod, entry))
        if not own and not any(e.eni_id in has for e in named):
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
        untagged=interface.tags.get(POD_UID_TAG) == "",
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
