"""The end of a pod: its branches begin to rest, what was being made for it is not wanted."""

import msgspec

from common.model.ids import PodUid
from common.model.ledger import ON_TRUNK, Branch, BranchState, Ledger
from common.model.pod import is_live
from common.node.branch.claims import drop_pod
from common.node.branch.life import RELEASED
from common.node.confirming import ask_about_pod
from common.node.state import NodeState, Planning


def release_ended(state: Planning) -> None:
    """Pods that are not desired any more: nothing leaves them before the API server itself has confirmed it."""
    if not state.desired.complete:
        return
    for uid, claim in list(state.ledger.claims.items()):
        if not is_live(state.desired.pods.get(uid)) and not any(b.pod_uid == uid for b in _in_use(state)):
            state.ledger = drop_pod(state.ledger, claim.pod_uid, state.now)
    ended = {b.pod_uid: b for b in _in_use(state) if b.pod_uid and not is_live(state.desired.pods.get(b.pod_uid))}
    for uid, branch in ended.items():
        ask_about_pod(state, uid, branch.pod_namespace, branch.pod_name)


def _in_use(state: Planning) -> list[Branch]:
    """Branches that their pods have, or are being made for them."""
    return [b for b in state.ledger.branches.values() if b.state not in RELEASED and not b.unwanted]


def pod_ended(state: NodeState, uid: PodUid) -> None:
    """The API server has just said so."""
    state.ledger = end_pod(state.ledger, uid, state.now)


def end_pod(ledger: Ledger, uid: PodUid, now: float, *, word_at: float | None = None) -> Ledger:
    """The pod is really gone or finished, as the API server said at `word_at` (None: now): what it had begins to rest,
    what was being made for it is not wanted."""
    word_at = now if word_at is None else word_at
    branches = {
        key: _rest(branch, now, word_at) if branch.pod_uid == uid and branch.state in ON_TRUNK else branch
        for key, branch in ledger.branches.items()
    }
    return drop_pod(msgspec.structs.replace(ledger, branches=branches), uid, now)


def _rest(branch: Branch, now: float, word_at: float) -> Branch:
    if branch.state is BranchState.ASSOCIATED:
        return msgspec.structs.replace(branch, unwanted=True)
    return msgspec.structs.replace(branch, state=BranchState.COOLING, since=now, word_at=word_at)
