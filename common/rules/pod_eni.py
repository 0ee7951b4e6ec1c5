"""The annotation `vpc.amazonaws.com/pod-eni`: what we write, and what is read in other people's."""

from collections.abc import Iterable
from functools import lru_cache

import msgspec

from common.model.ids import AssociationId, EniId, VlanId
from common.model.ledger import Branch
from common.model.pod import BranchAnnotation, PodRequest, is_live

_DECODER = msgspec.json.Decoder(tuple[BranchAnnotation, ...])


def interfaces_named(pod: PodRequest) -> tuple[tuple[BranchAnnotation, ...], str]:
    """The interfaces that a pod's annotation names, and what is wrong with it ("": nothing)."""
    return _decoded(pod.eni_annotation) if pod.eni_annotation is not None else ((), "")


@lru_cache(maxsize=8192)
def _decoded(text: str) -> tuple[tuple[BranchAnnotation, ...], str]:
    """Read at every plan, and changed once in a pod's life."""
    try:
        return _DECODER.decode(text), ""
    except msgspec.MsgspecError as error:
        return (), str(error)


def vlans_reserved(pod: PodRequest) -> frozenset[VlanId]:
    """VLAN ids that a pod's annotation keeps from others while it lives: as many as it asks for, whatever it says."""
    if not is_live(pod):
        return frozenset()
    return frozenset(entry.vlan for entry in interfaces_named(pod)[0][: pod.branches])


def annotation_of(branches: Iterable[Branch]) -> str:
    """What the VPC CNI plugin reads: one object an interface, in the order of ordinals."""
    entries = [
        BranchAnnotation(
            eni_id=branch.eni_id or EniId(""),
            mac=branch.mac,
            private_ip=branch.private_ip,
            ipv6=branch.ipv6,
            vlan=branch.vlan,
            subnet_cidr=branch.subnet_cidr,
            subnet_v6_cidr=branch.subnet_v6_cidr,
            association=branch.association or AssociationId(""),
        )
        for branch in sorted(branches, key=lambda branch: branch.ordinal)
    ]
    return msgspec.json.encode(entries).decode()
