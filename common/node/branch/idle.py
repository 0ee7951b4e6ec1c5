"""Branch interfaces that nobody has, kept on their trunk for the next pod: which are kept, taken, given back.

One is kept with the evidence that would let it be released: its pod ended by the API server's word, it has rested, and
no living pod's annotation names it. Before another pod can have it its tag names no pod any more, so that a record that
is made anew asks annotations whose it is (docs/adr/0020-reuse-of-branch-interfaces.md).
"""

from collections.abc import Collection, Iterable

import msgspec

from common.model.actions import UntagBranch
from common.model.config import ClusterConfig
from common.model.ec2 import Interface
from common.model.errors import Denied, OutsideError, Unavailable
from common.model.ids import UNKNOWN_VLAN, BranchKey, EniId, GroupId, PodUid, SubnetId, VlanId
from common.model.ledger import Branch, BranchState, Claim, TrunkState
from common.model.names import LABEL_WARM_TARGET
from common.model.node import NodeFacts
from common.model.notice import EventReason, Severity
from common.model.pod import PodRequest, is_live
from common.node.branch.life import BEING_MADE, COOLING, IDLE, PLANNED, RELEASED
from common.node.retry import PASSING
from common.node.state import NodeState, Planning
from common.node.tokens import found_token, made_ahead
from common.rules import subjects
from common.rules.cluster_config import warm_target
from common.rules.managed import Management, eni_config_name, management, spec_of
from common.rules.pod_eni import interfaces_named, vlans_reserved

LABEL_SUBJECT, TAG_SUBJECT = "warm-target", "untag"
SURPLUS_SECONDS = 60.0
"""For so long more than the target are idle before one is given back, and twice the target at most: pods come and end
unevenly, and what is given back too early is made again."""


def target_of(node: NodeFacts | None, config: ClusterConfig | None) -> int:
    """How many a node keeps idle, by its label, else by the ConfigMap."""
    own = warm_target(node.warm_target_label) if node is not None and node.warm_target_label is not None else None
    if own is not None:
        return own
    return config.branch_warm_target if config is not None else 0


def target(state: Planning) -> int | None:
    """How many are to be kept now. None: that is not known, and all stays as it is."""
    node = state.desired.view.node
    if state.desired.config is None or not state.desired.complete or node is None:
        return None
    spec = spec_of(state.desired.view, state.ledger.cninode_spec)
    managed = management(node, spec, state.desired.config) is Management.LINUX
    return target_of(node, state.desired.config) if managed and _current(state) else 0


def _current(state: Planning) -> bool:
    """The record is of this run of Redis (`believing`)."""
    return bool(state.ledger.epoch) and state.ledger.epoch == state.desired.epoch


# --- kept


def kept(state: Planning, branch: Branch) -> bool:
    """Whether one that may be released is kept instead: up to twice the target, or as many more as pods wait for."""
    if branch.state is not COOLING or branch.unwanted or branch.releasing or not _usable(state, branch):
        return False
    wanted = target(state) or 0
    others = [b for b in state.ledger.branches.values() if b.key != branch.key and counts_as_idle(state, b)]
    return wanted > 0 and len(others) < wanted + max(wanted, state.lacking)


def counts_as_idle(state: Planning, branch: Branch) -> bool:
    """It is idle, or about to be."""
    if branch.unwanted or branch.trunk_id != state.ledger.trunk.eni_id:
        return False
    untagging = branch.state is COOLING and not branch.releasing and subjects.branch(branch.key) in state.busy
    return branch.state is IDLE or untagging or is_ahead(branch)


def is_ahead(branch: Branch) -> bool:
    return branch.state in BEING_MADE and made_ahead(branch.key) and not branch.unwanted


def _usable(state: Planning, branch: Branch) -> bool:
    """Whether a pod could get it without anything being asked of EC2: all that an annotation says is known."""
    trunk, where = state.ledger.trunk, place_of_pods(state)
    return (
        trunk.state is TrunkState.READY
        and branch.trunk_id == trunk.eni_id
        and branch.association is not None
        and branch.vlan != UNKNOWN_VLAN
        and bool(branch.mac and (branch.private_ip or branch.ipv6))
        and bool(branch.groups)
        and (where is None or branch.subnet_id == where[0])
    )


def keep(state: Planning, branch: Branch) -> None:
    """`branch` is `kept`: it becomes idle as soon as its tag names no pod."""
    assert branch.eni_id is not None
    subject = subjects.branch(branch.key)
    if branch.untagged and subject not in state.busy:
        put(state, branch)
        state.look_at(state.now)
    elif not branch.untagged and state.may(subject):
        state.start(UntagBranch(subject=subject, key=branch.key, eni_id=branch.eni_id))


def put(state: NodeState, branch: Branch, *, groups: tuple[GroupId, ...] | None = None) -> None:
    """It is idle from now on, and by its key nobody's. `groups`: (), not known; None: as recorded."""
    assert branch.eni_id is not None
    idle: Branch = msgspec.structs.replace(
        branch,
        key=BranchKey(branch.eni_id),
        state=IDLE,
        pod_uid=PodUid(""),
        pod_namespace="",
        pod_name="",
        ordinal=0,
        groups=branch.groups if groups is None else groups,
        token=branch.token or found_token(branch.eni_id),
        tagged=PodUid(""),
        unwanted=False,
        since=state.now,
    )
    others = {key: one for key, one in state.ledger.branches.items() if key != branch.key}
    state.change(branches={**others, idle.key: idle})


def done(state: NodeState, action: UntagBranch) -> None:
    branch = state.ledger.branches.get(action.key)
    if branch is None:
        return
    state.set_branch(action.key, untagged=True)
    if branch.state is COOLING and not branch.unwanted and not branch.releasing:
        put(state, state.ledger.branches[action.key])


def failed(state: NodeState, action: UntagBranch, error: OutsideError) -> None:
    """One whose tag cannot be changed is nobody's but its pod's: it is released. So it is where the call fails for all:
    its place is not to wait for that."""
    if isinstance(error, PASSING) and not isinstance(error, Unavailable):
        return
    state.set_backoff(action.subject, None)
    state.set_branch(action.key, releasing=True)
    if isinstance(error, Denied):
        state.emit_node_once(
            TAG_SUBJECT,
            EventReason.INVALID_CONFIGURATION,
            f"No branch interface can be kept for the next pod, EC2 refuses CreateTags: {error}",
            Severity.WARNING,
        )


# --- taken


def takeable(state: Planning) -> list[Branch]:
    """Idle ones that pods may get, the last that came first, so that those that nobody needs grow old. None that a
    living pod's annotation names, or whose VLAN id it names, whoever wrote it; none that another ledger has, or that
    the last audit did not find."""
    if not state.desired.complete or not _current(state):
        return []
    living = [pod for pod in state.desired.pods.values() if is_live(pod)]
    named = {entry.eni_id for pod in living for entry in interfaces_named(pod)[0]}
    reserved: set[VlanId] = set().union(*(vlans_reserved(pod) for pod in living))
    elsewhere = _elsewhere(state)
    return sorted(
        (
            b
            for b in state.ledger.branches.values()
            if b.state is IDLE
            and not b.unwanted
            and b.trunk_id == state.ledger.trunk.eni_id
            and b.eni_id not in named
            and b.eni_id not in elsewhere
            and b.eni_id not in state.ledger.suspects
            and b.vlan not in reserved
            and subjects.branch(b.key) not in state.busy
        ),
        key=lambda b: (-b.since, b.key),
    )


def _elsewhere(state: Planning) -> set[EniId | None]:
    ledgers = (s.ledger for s in state.desired.sharers if s.ledger is not None and not s.ledger.yielded)
    return {b.eni_id for ledger in ledgers for b in ledger.branches.values() if b.state not in RELEASED}


def fitting(free: Iterable[Branch], claim: Claim, count: int) -> list[Branch]:
    """Of these, up to `count` that suit: of the claim's subnet, those with its groups first. After an attempt that was
    undone only those: where EC2 refuses to change groups it may give them to a new one. Without groups the default of
    the VPC is meant, which only the making of an interface gives."""
    suit = [branch for branch in free if claim.groups and branch.subnet_id == claim.subnet_id]
    if claim.generation:
        suit = [branch for branch in suit if same_groups(branch, claim)]
    return sorted(suit, key=lambda branch: not same_groups(branch, claim))[:count]


def same_groups(branch: Branch, claim: Claim) -> bool:
    return set(branch.groups) == set(claim.groups)


def taken(branch: Branch, key: BranchKey, pod: PodRequest, ordinal: int, claim: Claim, now: float) -> Branch:
    """The idle one as the pod's, by its key."""
    given: Branch = msgspec.structs.replace(
        branch,
        key=key,
        state=BranchState.ASSOCIATED if same_groups(branch, claim) else BranchState.REGROUPING,
        pod_uid=pod.uid,
        pod_namespace=pod.namespace,
        pod_name=pod.name,
        ordinal=ordinal,
        groups=claim.groups,
        subnet_cidr=claim.subnet_cidr,
        subnet_v6_cidr=claim.subnet_v6_cidr,
        since=now,
        word_at=0.0,
        looked_at=0.0,
    )
    return given


# --- given back


def give_way(state: Planning, spared: Collection[Branch], count: int) -> bool:
    """So many places are lacking for pods: idle ones and those that are made ahead leave the trunk, `spared` excepted.
    Whether that is enough, with those that are leaving."""
    trunk = state.ledger.trunk.eni_id
    mine = [b for b in state.ledger.branches.values() if b.trunk_id == trunk]
    leaving = [b for b in mine if b.state is COOLING and (b.unwanted or b.releasing)]
    spared_keys = {b.key for b in spared}
    able = [b for b in mine if not b.unwanted and (b.state is IDLE or (is_ahead(b) and b.state is PLANNED))]
    able = sorted((b for b in able if b.key not in spared_keys), key=lambda b: (b.state is IDLE, b.since, b.key))
    give = able[: max(0, count - len(leaving))]
    for branch in give:
        state.set_branch(branch.key, unwanted=True)
    return len(leaving) + len(give) >= count


def forget_groups(state: Planning, shown: Iterable[Interface]) -> None:
    """Of idle ones that EC2 shows with other groups than are recorded: somebody changed them. The next pod has its own
    set."""
    groups = {interface.eni_id: set(interface.groups) for interface in shown}
    for branch in list(state.ledger.branches.values()):
        if branch.state is IDLE and branch.eni_id in groups and groups[branch.eni_id] != set(branch.groups):
            state.set_branch(branch.key, groups=())


def keep_target(state: Planning, node: NodeFacts) -> None:
    """Where more than the target have been idle for long the oldest are given back, and at once those of no use."""
    _report_label(state, node)
    wanted = target(state)
    if wanted is None:
        return
    idle = [b for b in state.ledger.branches.values() if b.state is IDLE and not b.unwanted]
    useful = sorted((b for b in idle if _useful(state, b)), key=lambda b: (b.since, b.key))
    useless = [b for b in idle if not _useful(state, b)]
    old = [b for b in useful if wanted == 0 or b.since + SURPLUS_SECONDS <= state.now]
    surplus = old[: max(0, len(old) - wanted - state.lacking)]
    for branch in (*useless, *surplus):
        state.set_branch(branch.key, unwanted=True)
    if 0 < wanted < len(useful) and (due := useful[wanted].since + SURPLUS_SECONDS) > state.now:
        state.look_at(due)


def _useful(state: Planning, branch: Branch) -> bool:
    """A pod of this node may get it yet."""
    trunk, where = state.ledger.trunk, place_of_pods(state)
    if trunk.eni_id is None:
        return True  # It is being looked for.
    return branch.trunk_id == trunk.eni_id and (where is None or branch.subnet_id == where[0])


def place_of_pods(state: Planning) -> tuple[SubnetId, tuple[GroupId, ...]] | None:
    """Subnet of the pods that come, and the groups of those that no policy matches; None: not known."""
    node, instance = state.desired.view.node, state.ledger.instance
    if node is None or instance is None:
        return None
    name = eni_config_name(node, state.ledger.cninode_spec)
    if name is None:
        return instance.subnet.subnet_id, instance.groups
    config = state.desired.view.eni_config
    return (config.subnet, config.groups or instance.groups) if config is not None and config.name == name else None


def _report_label(state: Planning, node: NodeFacts) -> None:
    label = node.warm_target_label
    if label is None or warm_target(label) is not None:
        return
    state.emit_node_once(
        LABEL_SUBJECT,
        EventReason.INVALID_CONFIGURATION,
        f"The label {LABEL_WARM_TARGET} is {label[:40]!r}, which is no number of interfaces: it counts as not set",
        Severity.WARNING,
    )
