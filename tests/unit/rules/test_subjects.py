"""Ledgers of earlier releases hold these texts as keys."""

import pytest

from common.model.ids import BranchKey, PodUid
from common.rules import subjects

UID = PodUid("0-1")


@pytest.mark.parametrize(
    ("made", "recorded"),
    [
        pytest.param(subjects.branch(BranchKey("0-1/0/2")), "branch/0-1/0/2", id="a branch"),
        pytest.param(subjects.claim(UID), "claim/0-1", id="a pod's groups"),
        pytest.param(subjects.annotate(UID), "annotate/0-1", id="writing an annotation"),
        pytest.param(subjects.pod(UID), "pod/0-1", id="a pod's end"),
        pytest.param(subjects.annotation(UID), "annotation/0-1", id="what an annotation says"),
    ],
)
def test_a_subject_is_the_text_that_ledgers_have_recorded(made: str, recorded: str) -> None:
    kind, _, rest = recorded.partition("/")
    assert made == recorded
    assert subjects.parts(made) == (kind, rest)


def test_subjects_that_only_begin_like_a_kind_are_not_of_it() -> None:
    assert subjects.is_kind("annotate/0-1", subjects.ANNOTATE)
    assert not subjects.is_kind("annotation/0-1", subjects.ANNOTATE)
    assert not subjects.is_kind("branch", subjects.BRANCH)
