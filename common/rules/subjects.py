"""The subjects of actions, backoffs and events: one function per kind, and the one place that takes them apart.

Ledgers in Redis hold these strings as keys: another text for a kind loses what is recorded under the old one.
"""

from common.model.ids import BranchKey, PodUid

BRANCH, CLAIM, ANNOTATE, POD, ANNOTATION = "branch", "claim", "annotate", "pod", "annotation"
OF_PODS = (POD, CLAIM, ANNOTATE, ANNOTATION)
"""Kinds whose rest is a pod's uid."""


def branch(key: BranchKey) -> str:
    """The steps of one branch interface."""
    return f"{BRANCH}/{key}"


def claim(uid: PodUid) -> str:
    """A pod's groups, and the whole attempts at its interfaces."""
    return f"{CLAIM}/{uid}"


def annotate(uid: PodUid) -> str:
    """Writing a pod's annotation."""
    return f"{ANNOTATE}/{uid}"


def pod(uid: PodUid) -> str:
    """Whether a pod is gone, and the last event about why it waits."""
    return f"{POD}/{uid}"


def annotation(uid: PodUid) -> str:
    """The last event about what a pod's annotation says."""
    return f"{ANNOTATION}/{uid}"


def of_pod(uid: PodUid) -> frozenset[str]:
    """What a failure to serve a pod may be recorded under, its branches' own subjects apart."""
    return frozenset((claim(uid), annotate(uid), pod(uid)))


def is_kind(subject: str, *kinds: str) -> bool:
    return subject.partition("/")[0] in kinds and "/" in subject


def parts(subject: str) -> tuple[str, str]:
    """Kind and rest; a subject that the node has one of has no rest."""
    kind, _, rest = subject.partition("/")
    return kind, rest
