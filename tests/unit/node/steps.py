"""Actions of a pod's branch interface, as the planner starts them."""

from typing import Any

from common.model import actions as act
from common.model.ec2 import Interface
from common.model.ids import EniId, Ipv4, PodUid
from common.model.ledger import BranchState
from common.model.names import POD_ENI
from tests.unit.node.builders import GROUP, INSTANCE, SUBNET, TRUNK, branch, leave, pod

KEY = branch("a").key
ENI = EniId("eni-a-0")
UID = PodUid("uid-a")


def create(**fields: Any) -> act.CreateBranch:
    one = branch("a", BranchState.PLANNED)
    return act.CreateBranch(
        **{
            "subject": f"branch/{KEY}",
            "key": KEY,
            "subnet_id": one.subnet_id,
            "groups": one.groups,
            "token": one.token,
            "vlan": one.vlan,
            "trunk_id": TRUNK,
            "instance_id": INSTANCE,
            "pod_uid": UID,
            "extra_tags": {},
            **fields,
        }
    )


def associate(**fields: Any) -> act.AssociateBranch:
    one = branch("a")
    return act.AssociateBranch(
        subject=f"branch/{KEY}", key=KEY, eni_id=ENI, trunk_id=TRUNK, vlan=one.vlan, token=one.token, **fields
    )


PERMIT = act.PermitBranch(subject=f"branch/{KEY}", key=KEY, eni_id=ENI)
DISASSOCIATE = act.DisassociateBranch(
    subject=f"branch/{KEY}", key=KEY, eni_id=ENI, association=None, token=branch("a").token, warrant=leave(ENI)
)
DELETE = act.DeleteBranch(subject=f"branch/{KEY}", key=KEY, eni_id=ENI, warrant=leave(ENI))
MADE = Interface(eni_id=ENI, subnet_id=SUBNET.subnet_id, mac="02:01", primary_ip=Ipv4("10.0.3.9"), ipv6="2600::9")
RESOLVE = act.ResolvePod(
    subject="claim/uid-a",
    pod=pod("a"),
    instance_groups=(GROUP,),
    instance_subnet=SUBNET,
    eni_config=None,
)


def annotate(value: str = "[]") -> act.Annotate:
    return act.Annotate(
        subject="annotate/uid-a", pod_uid=UID, namespace="default", name="a", annotation=POD_ENI, value=value
    )
