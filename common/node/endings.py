"""What becomes of a pod's interfaces when the pod ends, or when a step towards them failed for good."""

import msgspec

from common.model.ids import BranchKey, PodUid
from common.model.ledger import Branch, BranchState, Ledger
from common.rules import subjects

_ON_TRUNK = (BranchState.ASSOCIATED, BranchState.ASSIGNED)


def end_pod(ledger: Ledger, uid: PodUid, now: float, *, word_at: float | None = None) -> Ledger:
    """The pod is really gone or finished, as the API server said at `word_at` (None: now): what it had begins to rest,
    what was being made for it is not wanted."""
    word_at = now if word_at is None else word_at
    branches = {
        key: _rest(branch, now, word_at) if branch.pod_uid == uid and branch.state in _ON_TRUNK else branch
        for key, branch in ledger.branches.items()
    }
    return drop_pod(msgspec.structs.replace(ledger, branches=branches), uid, now)


def _rest(branch: Branch, now: float, word_at: float) -> Branch:
    if branch.state is BranchState.ASSOCIATED:
        return msgspec.structs.replace(branch, unwanted=True)
    return msgspec.structs.replace(branch, state=BranchState.COOLING, since=now, word_at=word_at)


def drop_pod(ledger: Ledger, uid: PodUid, now: float) -> Ledger:
    """Forget what was decided for a pod; what was begun for it is not wanted any more."""
    claims = {key: claim for key, claim in ledger.claims.items() if key != uid}
    paces = {
        key: pace for key, pace in ledger.paces.items() if key not in (subjects.claim(uid), subjects.annotate(uid))
    }
    return msgspec.structs.replace(ledger, branches=_unwant(ledger, uid), claims=claims, paces=paces)


def undo_claim(ledger: Ledger, uid: PodUid) -> Ledger:
    """A step failed for good: what was made for the pod so far is taken back, and it begins again with its groups
    looked up anew and tokens of a new generation."""
    claim = ledger.claims.get(uid)
    claims = dict(ledger.claims)
    if claim is not None:
        claims[uid] = msgspec.structs.replace(claim, generation=claim.generation + 1, resolved_at=0.0)
    return msgspec.structs.replace(ledger, branches=_unwant(ledger, uid), claims=claims)


def _unwant(ledger: Ledger, uid: PodUid) -> dict[BranchKey, Branch]:
    settled = (BranchState.COOLING, BranchState.DISASSOCIATED, BranchState.ASSIGNED)
    return {
        key: msgspec.structs.replace(branch, unwanted=True)
        if branch.pod_uid == uid and branch.state not in settled
        else branch
        for key, branch in ledger.branches.items()
    }
