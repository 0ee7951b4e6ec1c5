"""Hypothesis strategies: a Linux node in any state of EC2, annotations and ledger that a life with faults can leave."""

from collections.abc import Callable
from itertools import count
from typing import Any

import msgspec
from hypothesis import strategies as st

from common.model.ids import AssociationId, EniId, PodUid, VlanId
from common.model.ledger import Backoff, Branch, BranchState, Claim, Ledger, Trunk, TrunkState
from common.model.names import POD_UID_TAG, TRUNK_TAG, VLAN_TAG
from common.model.pod import PodRequest
from common.node.branch.life import BEING_MADE
from common.node.branch.serving import counts
from tests.unit.node import builders as make
from tests.unit.node.perfect_linux import Eni, LinuxWorld

MALFORMED = ("", "{}", "[", '[{"eniId": 7}]', '[{"vlanId": "x"}]', "null")
OLD_TRUNK = EniId("eni-old-trunk")
Draw = Callable[[st.SearchStrategy[Any]], Any]


class Situation:
    """A world and a ledger about it, drawn piece by piece."""

    def __init__(self, draw: Draw) -> None:
        self.draw = draw
        self.world = LinuxWorld(draw(st.integers(1, 4)), draw(st.sampled_from([30.0, 60.0, 300.0])))
        self.branches: list[Branch] = []
        self.claims: list[Claim] = []
        self.vlans = count(1)

    def yes(self) -> bool:
        return bool(self.draw(st.booleans()))

    def in_ec2(self, branch: Branch, *, associated: bool) -> Branch:
        """Its interface exists. The association is known to the ledger, or not yet."""
        eni = branch.eni_id or EniId(f"eni-of-{branch.token[:8]}")
        on = (branch.trunk_id, branch.vlan, AssociationId(f"trunk-assoc-{eni}")) if associated else None
        self.world.add(
            Eni(
                eni,
                instance=branch.instance_id,
                on=on,
                tags={VLAN_TAG: str(branch.vlan), TRUNK_TAG: branch.trunk_id, POD_UID_TAG: branch.pod_uid},
            )
        )
        self.world.tokens[branch.token] = eni
        return msgspec.structs.replace(branch, association=on[2] if on and branch.association else None)

    def know(self, branch: Branch) -> None:
        self.branches.append(branch)

    def branch(self, of: PodRequest | str, state: BranchState, **fields: Any) -> Branch:
        """One in this state, with its interface behind it, ahead of it or gone."""
        made = make.branch(
            of,
            state,
            vlan=VlanId(next(self.vlans)),
            since=make.NOW - self.draw(st.sampled_from([0.0, 20.0, 1000.0])),
            **fields,
        )
        match state:
            case BranchState.PLANNED:
                exists, associated = False, False
            case BranchState.CREATING:
                exists, associated = self.yes(), False
            case BranchState.ASSOCIATING:
                exists, associated = True, self.yes()
            case (
                BranchState.REGROUPING
                | BranchState.ASSOCIATED
                | BranchState.ASSIGNED
                | BranchState.COOLING
                | BranchState.IDLE
            ):
                exists, associated = True, True
            case _:
                exists, associated = True, False
        if exists:
            made = self.in_ec2(made, associated=associated)
        return made

    def lose(self, branch: Branch) -> None:
        """Somebody deletes it in EC2 behind our back, sometimes."""
        if branch.eni_id is not None and self.draw(st.integers(0, 7)) == 0:
            self.world.enis.pop(branch.eni_id, None)

    def ended_pod(self, name: str) -> None:
        state = self.draw(st.sampled_from(list(BranchState)))
        unwanted = state in (*BEING_MADE, BranchState.COOLING, BranchState.DISASSOCIATED) and self.yes()
        made = self.branch(name, state, unwanted=unwanted)
        self.lose(made)
        self.know(made)
        if self.yes():
            self.claims.append(make.claim(name, resolved_at=self.draw(st.sampled_from([0.0, make.NOW]))))

    def stray(self, name: str) -> None:
        """In EC2 and not in the ledger: on the trunk or loose."""
        self.branch(name, self.draw(st.sampled_from([BranchState.CREATED, BranchState.COOLING])))

    def living_pod(self, name: str) -> None:
        pod = make.pod(
            name,
            self.draw(st.integers(1, 2)),
            scheduled_at=make.NOW - self.draw(st.integers(0, 5)),
            finished=self.draw(st.integers(0, 5)) == 0,
        )
        match self.draw(st.sampled_from(["new", "claimed", "made", "assigned", "annotated", "foreign", "malformed"])):
            case "claimed":
                resolved = self.draw(st.sampled_from([0.0, make.NOW - 60, make.NOW]))
                self.claims.append(make.claim(pod, resolved_at=resolved, generation=self.draw(st.integers(0, 2))))
            case "made":
                self.claims.append(make.claim(pod))
                for ordinal in range(pod.branches):
                    made = self.branch(pod, self.draw(st.sampled_from(BEING_MADE)), ordinal=ordinal)
                    if made.state is not BranchState.ASSOCIATED:  # Nothing is asked of it before its pod has it.
                        self.lose(made)
                    self.know(made)
            case "assigned":
                self.claims.append(make.claim(pod))
                for ordinal in range(pod.branches):
                    self.know(self.branch(pod, BranchState.ASSIGNED, ordinal=ordinal))
            case "annotated":
                pod = self.annotated(pod)
            case "foreign":
                vlan = next(self.vlans)
                entry = {"eniId": f"eni-foreign-{name}", "ifAddress": "", "privateIp": "", "vlanId": vlan}
                pod = msgspec.structs.replace(pod, eni_annotation=make.json_of(entry))
            case "malformed":
                pod = msgspec.structs.replace(pod, eni_annotation=self.draw(st.sampled_from(MALFORMED)))
            case _:
                pass
        self.world.pods[pod.uid] = pod

    def annotated(self, pod: PodRequest) -> PodRequest:
        """The ledger knows it, knows nothing of it, or takes it for another's or for something that goes."""
        made = [self.branch(pod, BranchState.ASSIGNED, ordinal=ordinal) for ordinal in range(pod.branches)]
        for one in made:
            match self.draw(st.sampled_from(["known", "unknown", "another's", "cooling", "associated"])):
                case "known":
                    self.know(one)
                case "another's":
                    self.know(msgspec.structs.replace(one, pod_uid=PodUid("uid-nobody")))
                case "cooling":
                    self.know(msgspec.structs.replace(one, state=BranchState.COOLING, unwanted=self.yes()))
                case "associated":
                    self.know(msgspec.structs.replace(one, state=BranchState.ASSOCIATED, unwanted=self.yes()))
                case _:
                    pass
        if self.yes():
            self.claims.append(make.claim(pod, annotated=self.yes()))
        return msgspec.structs.replace(pod, eni_annotation=make.names(*made))

    def trunk(self) -> Trunk:
        """With branches about the trunk is in use; else it is anything."""
        if self.branches or len(self.world.enis) > 0:
            kept = self.draw(st.integers(0, 3)) == 0
            self.world.add(Eni(make.TRUNK, is_trunk=True, attached=True, kept=kept, groups=(make.GROUP,)))
            known = set(self.world.enis) - {make.TRUNK} <= {b.eni_id for b in self.branches}
            found = [TrunkState.READY, TrunkState.ATTACHED, TrunkState.ATTACHING]
            states = found if kept and known else [TrunkState.READY]  # Found together with its branches.
            return make.trunk(self.draw(st.sampled_from(states)))
        state = self.draw(st.sampled_from(list(TrunkState)))
        if state in (TrunkState.ABSENT, TrunkState.CREATING):
            index = 2 if state is TrunkState.CREATING else self.draw(st.sampled_from([None, 2]))
            return make.trunk(state, eni_id=None, attachment_id=None, device_index=index)
        behind = state in (TrunkState.ATTACHING, TrunkState.UNDOING)
        attached = state in (TrunkState.ATTACHED, TrunkState.READY) or (behind and self.yes())
        if self.draw(st.integers(0, 4)):
            self.world.add(Eni(make.TRUNK, is_trunk=True, attached=attached, kept=self.yes(), groups=(make.GROUP,)))
        known = state in (TrunkState.ATTACHED, TrunkState.READY) or (behind and attached and self.yes())
        return make.trunk(state, **({} if known else {"attachment_id": None}))

    def backoffs(self) -> dict[str, Backoff]:
        subjects = [
            "trunk",
            "snapshot",
            "capacity",
            *(f"branch/{b.key}" for b in self.branches),
            *(f"{kind}/{uid}" for kind in ("claim", "pod", "annotate") for uid in self.world.pods),
        ]
        backoffs = st.builds(
            Backoff,
            not_before=st.sampled_from([0.0, make.NOW + 20]),
            attempts=st.integers(0, 5),
            reserved=st.booleans(),
            code=st.just("Throttling"),
        )
        found: dict[str, Backoff] = self.draw(st.dictionaries(st.sampled_from(subjects), backoffs, max_size=3))
        return found

    def ledger(self) -> Ledger:
        trunk = self.trunk()
        known = self.draw(st.sampled_from(["known", "known", "lost", "replaced"]))
        taken = {b.vlan for b in self.branches if counts(b)}
        taken |= {e.on[1] for e in self.world.carried(make.TRUNK) if e.on}
        self.world.strays = set(self.world.enis) - {b.eni_id for b in self.branches if b.eni_id}
        self.world.limit = max(self.world.limit, len(taken))
        if known == "lost":
            return Ledger(node=make.NODE)
        common: dict[str, Any] = {
            "claims": self.claims,
            "backoffs": self.backoffs(),
            "audit_at": self.draw(st.sampled_from([0.0, make.NOW + 600])),
            "suspects": tuple(self.draw(st.lists(st.sampled_from(list(self.world.enis) or [make.TRUNK]), max_size=2))),
        }
        if known == "replaced":
            self._of_another_instance()
            facts = make.instance_facts(make.OTHER_INSTANCE)
            return make.ledger(
                *self.branches, instance=facts, trunk=make.trunk(TrunkState.READY, eni_id=OLD_TRUNK), **common
            )
        return make.ledger(*self.branches, trunk=trunk, **common)

    def _of_another_instance(self) -> None:
        """All that the ledger has was made for the instance that had this node's name before; its pods went."""
        enis = [b.eni_id for b in self.branches if b.eni_id is not None and b.eni_id in self.world.enis]
        self.world.add(Eni(OLD_TRUNK, is_trunk=True, attached=True, instance=make.OTHER_INSTANCE))
        for eni in (self.world.enis[e] for e in enis):
            eni.instance = make.OTHER_INSTANCE
            eni.tags[TRUNK_TAG] = OLD_TRUNK
            if eni.on is not None:
                eni.on = (OLD_TRUNK, *eni.on[1:])
        self.branches = [
            msgspec.structs.replace(b, instance_id=make.OTHER_INSTANCE, trunk_id=OLD_TRUNK) for b in self.branches
        ]


@st.composite
def situations(draw: Draw) -> tuple[LinuxWorld, Ledger]:
    about = Situation(draw)
    for number in range(draw(st.integers(0, 4))):
        about.living_pod(f"p{number}")
    for number in range(draw(st.integers(0, 3))):
        about.ended_pod(f"gone{number}")
    for number in range(draw(st.integers(0, 2))):
        about.stray(f"stray{number}")
    return about.world, about.ledger()
