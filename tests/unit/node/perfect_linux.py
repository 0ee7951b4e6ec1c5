"""A Linux node in memory: its trunk, its branch interfaces, its pods, as EC2 and Kubernetes keep them."""

from dataclasses import dataclass, field
from itertools import count
from typing import Any, NoReturn

import msgspec

from common.model import actions as act
from common.model.config import ClusterConfig
from common.model.desired import Desired
from common.model.ec2 import Interface
from common.model.errors import LimitExceeded, NotFound
from common.model.ids import AssociationId, AttachmentId, EniId, GroupId, InstanceId, SubnetId, VlanId
from common.model.names import (
    BRANCH_DESCRIPTION,
    INSTANCE_TAG,
    OWNER_OURS,
    OWNER_TAG,
    POD_UID_TAG,
    TRUNK_DESCRIPTION,
    TRUNK_TAG,
    VLAN_TAG,
)
from common.model.node import CniNodeFacts, NodeFacts, NodeView
from common.model.outcome import Resolution, Reviewed
from common.rules.pod_eni import interfaces_named
from tests.unit.node import builders as make
from tests.unit.node.perfect import World


@dataclass(slots=True)
class Eni:
    """One interface as EC2 has it."""

    eni_id: EniId
    is_trunk: bool = False
    instance: InstanceId = make.INSTANCE
    """The instance in its tag."""
    tags: dict[str, str] = field(default_factory=dict)
    groups: tuple[GroupId, ...] = (make.POD_GROUP,)
    on: tuple[EniId, VlanId, AssociationId] | None = None
    """Trunk, VLAN and association."""
    attached: bool = False
    kept: bool = False
    """DeleteOnTermination is not set."""

    def shown(self) -> Interface:
        common: dict[str, Any] = {
            "eni_id": self.eni_id,
            "groups": self.groups,
            "tags": {OWNER_TAG: OWNER_OURS, INSTANCE_TAG: self.instance, **self.tags},
        }
        if self.is_trunk and self.attached:
            return make.trunk_interface(**common, delete_on_termination=not self.kept)
        if self.is_trunk:
            return Interface(
                **common, subnet_id=make.SUBNET.subnet_id, status="available", description=TRUNK_DESCRIPTION
            )
        return Interface(
            **common,
            subnet_id=make.SUBNET.subnet_id,
            status="in-use" if self.on else "available",
            type="branch" if self.on else "interface",
            description=BRANCH_DESCRIPTION,
        )


class LinuxWorld(World):
    """`limit`: branch interfaces that a trunk carries."""

    def __init__(self, limit: int, cooldown: float = 60.0) -> None:
        super().__init__(make.NOW)
        self.limit, self.cooldown = limit, cooldown
        self.enis: dict[EniId, Eni] = {}
        self.tokens: dict[str, EniId] = {}
        self.node: NodeFacts | None = make.node(capacity={})
        self.cninode: CniNodeFacts | None = make.cninode()
        self.ended: dict[EniId, float] = {}
        """When the pod whose annotation named it ended."""
        self.strays: set[EniId] = set()
        """In EC2 without the ledger's knowing: what is planned can collide with them, and EC2 refuses."""
        self._numbers = count(1)

    def desired(self) -> Desired:
        return Desired(
            view=NodeView(node=self.node, cninode=self.cninode),
            pods=dict(self.pods),
            config=ClusterConfig(cooldown=self.cooldown),
            complete=self.complete,
        )

    def end(self, uid: str, *, finish: bool) -> None:
        pod = next(pod for pod in self.pods.values() if pod.uid == uid)
        for entry in () if pod.finished else interfaces_named(pod)[0]:
            self.ended.setdefault(entry.eni_id, self.now)
        if finish:
            self.change_pod(pod.uid, finished=True)
        else:
            del self.pods[pod.uid]

    def add(self, eni: Eni) -> Eni:
        self.enis[eni.eni_id] = eni
        return eni

    def trunk(self) -> Eni | None:
        return next((e for e in self.enis.values() if e.is_trunk and e.attached and e.instance == make.INSTANCE), None)

    def carried(self, trunk: EniId) -> list[Eni]:
        return [e for e in self.enis.values() if e.on is not None and e.on[0] == trunk]

    def branches(self) -> dict[EniId, Eni]:
        return {e.eni_id: e for e in self.enis.values() if not e.is_trunk}

    def perform(self, action: act.Action) -> Any:
        match action:
            case act.RequestSnapshot():
                self._show()
            case act.ResolvePod():
                return Resolution(groups=(make.POD_GROUP,), matched=True, subnet=make.SUBNET)
            case act.ConfirmGone():
                return self.gone(action)
            case act.ConfirmNodeGone():
                return self.node is None
            case act.Review(eni_ids=eni_ids):
                shown = tuple(self.enis[eni].shown() for eni in eni_ids if eni in self.enis)
                return Reviewed(began_at=self.now, pods=tuple(self.pods.values()), interfaces=shown)
            case act.FindAssociations(eni_ids=eni_ids):
                on = {eni: self.enis[eni].on for eni in eni_ids if eni in self.enis}
                return {eni: AssociationId(f"trunk-assoc-{eni}") for eni, where in on.items() if where is not None}
            case act.Annotate():
                return self._annotate(action)
            case act.Advertise(resource=resource, amount=amount):
                assert self.node is not None
                self.node = msgspec.structs.replace(self.node, capacity={resource: str(amount)})
            case act.CreateCniNode() | act.RepairCniNode():
                self.cninode = self.cninode or make.cninode()
            case act.DropFinalizer() | act.CleanDeparted() | act.DeleteCniNode():
                self.cninode = None
            case _:
                return self._ec2(action)
        return None

    def _ec2(self, action: act.Action) -> Any:
        match action:
            case act.CreateTrunk(token=token):
                return self._create(token, Eni(EniId(f"eni-trunk-{token[:8]}"), is_trunk=True, kept=True))
            case act.CreateBranch(token=token, vlan=vlan, trunk_id=trunk, pod_uid=uid):
                tags = {VLAN_TAG: str(vlan), TRUNK_TAG: trunk, POD_UID_TAG: uid}
                made = Eni(EniId(f"eni-{token[:8]}"), tags=tags, groups=action.groups, instance=action.instance_id)
                return self._create(token, made)
            case act.PermitInterface(eni_id=eni) | act.PermitBranch(eni_id=eni):
                self._of(eni)
            case act.AttachTrunk(eni_id=eni):
                return self._attach(self._of(eni))
            case act.FinishTrunk(eni_id=eni):
                self._of(eni).kept = False
            case act.AwaitTrunk(eni_id=eni):
                return self._of(eni).attached
            case act.UndoTrunk(eni_id=eni):
                self._undo(eni)
            case act.SetTrunkGroups(eni_id=eni, groups=groups):
                self._of(eni).groups = groups
            case act.AssociateBranch():
                return self._associate(action)
            case act.SetBranchGroups(eni_id=eni, groups=groups):
                self._of(eni).groups = groups
            case act.UntagBranch(eni_id=eni):
                self._of(eni).tags[POD_UID_TAG] = ""
            case act.DisassociateBranch():
                self._disassociate(action)
            case act.DeleteBranch():
                self._delete(action)
            case _:
                raise AssertionError(action)
        return None

    def _of(self, eni: EniId) -> Eni:
        return self.enis.get(eni) or _not_found(eni)

    def _create(self, token: str, made: Eni) -> Interface:
        """The same token gives the same answer, also when what it made is long deleted."""
        if token not in self.tokens:
            self.tokens[token] = self.add(made).eni_id
        there = self.enis.get(self.tokens[token])
        return there.shown() if there else Interface(eni_id=self.tokens[token], subnet_id=SubnetId(""))

    def _attach(self, trunk: Eni) -> AttachmentId:
        other = self.trunk()
        if other is not None and other is not trunk:
            raise LimitExceeded("AttachmentLimitExceeded")
        trunk.attached = True
        return AttachmentId("attach-1")

    def _undo(self, eni: EniId) -> None:
        held = [e.eni_id for e in self.carried(eni) if e.eni_id in self.named()]
        assert not held, f"the trunk was detached with living pods' interfaces on it: {held}"
        self.enis.pop(eni, None)
        for carried in self.carried(eni):
            carried.on = None

    def _associate(self, action: act.AssociateBranch) -> AssociationId:
        branch, trunk = self._of(action.eni_id), self._of(action.trunk_id)
        if branch.on is not None:
            assert branch.on[:2] == (trunk.eni_id, action.vlan)
            return branch.on[2]
        others = self.carried(trunk.eni_id)
        known = [e for e in others if e.eni_id not in self.strays]
        full, taken = len(others) >= self.limit, action.vlan in [e.on[1] for e in others if e.on]
        if len(known) < len(others) and (full or taken):
            raise LimitExceeded("BranchInterfaceLimitExceeded" if full else "VlanInUse")
        assert not full, "more branches than the trunk may have"
        assert not taken, f"VLAN {action.vlan} is shared on the trunk"
        for pod in self.live():
            for entry in interfaces_named(pod)[0]:
                assert entry.eni_id == branch.eni_id or entry.vlan != action.vlan, f"VLAN {action.vlan} is {pod.name}'s"
        branch.on = (trunk.eni_id, action.vlan, AssociationId(f"trunk-assoc-{next(self._numbers)}"))
        return branch.on[2]

    def _disassociate(self, action: act.DisassociateBranch) -> None:
        assert action.eni_id not in self.named(), f"taken from {self.named()[action.eni_id].name}"
        due = self.ended.get(action.eni_id, 0.0) + self.cooldown
        assert due <= self.now, f"{action.eni_id} rested {self.cooldown + self.now - due} s"
        branch = self._of(action.eni_id)
        if branch.on is None or action.association not in (None, branch.on[2]):
            _not_found(action.association or "")
        branch.on = None

    def _delete(self, action: act.DeleteBranch) -> None:
        assert action.eni_id not in self.named(), f"taken from {self.named()[action.eni_id].name}"
        branch = self._of(action.eni_id)
        if branch.on is not None:
            raise AssertionError(f"{action.eni_id} was deleted while it was on a trunk")
        del self.enis[action.eni_id]

    def _annotate(self, action: act.Annotate) -> str:
        pod = self.pods.get(action.pod_uid)
        if pod is None:
            raise NotFound("PodGone")
        if pod.eni_annotation is not None:
            return pod.eni_annotation
        annotated = msgspec.structs.replace(pod, eni_annotation=action.value)
        entries, problem = interfaces_named(annotated)
        assert not problem
        assert len({entry.eni_id for entry in entries}) == pod.branches, "not what the pod asked for"
        taken = self.named()
        for entry in entries:
            on = self.enis[entry.eni_id].on if entry.eni_id in self.enis else None
            assert on is not None, f"{entry.eni_id} is on no trunk"
            trunk = self.trunk()
            assert trunk is not None
            assert on == (trunk.eni_id, entry.vlan, entry.association)
            assert entry.eni_id not in taken, f"{entry.eni_id} is {taken[entry.eni_id].name}'s"
        self.pods[pod.uid] = annotated
        return action.value

    def _show(self) -> None:
        mine = [e.shown() for e in self.enis.values() if e.instance == make.INSTANCE]
        trunk = self.trunk()
        attached = (trunk.shown(),) if trunk else ()
        self.shown = make.snapshot(*mine, attached=attached, taken_at=self.now)


def _not_found(what: str) -> NoReturn:
    raise NotFound("Invalid.NotFound", what)
