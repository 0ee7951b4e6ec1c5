"""The annotation `vpc.amazonaws.com/pod-eni`: what we write, and what is read in other people's."""

from collections.abc import Iterable

import msgspec

from common.model.ids import AssociationId, EniId
from common.model.ledger import Branch
from common.model.pod import BranchAnnotation, PodWish

_DECODER = msgspec.json.Decoder(tuple[BranchAnnotation, ...])


def interfaces_named(pod: PodWish) -> tuple[tuple[BranchAnnotation, ...], str]:
    """The interfaces that a pod's annotation names, and what is wrong with it ("": nothing)."""
    if pod.eni_annotation is None:
        return (), ""
    try:
        return _DECODER.decode(pod.eni_annotation), ""
    except msgspec.MsgspecError as error:
        return (), str(error)


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
