"""When a failed step is tried again."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from common.model import errors
from common.model.errors import OutsideError
from common.model.ledger import Backoff
from common.node.retry import after_failure

KINDS: list[tuple[type[OutsideError], float, float]] = [
    (errors.Throttled, 1.0, 5.0),
    (errors.Unsure, 0.5, 5.0),
    (errors.Conflict, 0.2, 5.0),
    (errors.InUse, 1.0, 30.0),
    (errors.NotFound, 2.0, 60.0),
    (errors.Denied, 5.0, 60.0),
    (errors.SubnetExhausted, 5.0, 120.0),
    (errors.LimitExceeded, 5.0, 120.0),
    (errors.TokenMismatch, 2.0, 120.0),
    (errors.Invalid, 2.0, 120.0),
]


@pytest.mark.parametrize(("kind", "first", "longest"), KINDS)
def test_intervals_double_from_the_first_to_the_longest(kind: type[OutsideError], first: float, longest: float) -> None:
    backoff, intervals = Backoff(), []
    for _ in range(20):
        backoff = after_failure(backoff, kind("Code", "words"), 100.0, 1.0)
        intervals.append(backoff.not_before - 100.0)
    assert intervals[:2] == [pytest.approx(first), pytest.approx(2 * first)]
    assert intervals == sorted(intervals)
    assert intervals[-1] == pytest.approx(longest)
    assert (backoff.attempts, backoff.code, backoff.message, backoff.reserved) == (20, "Code", "words", False)


@given(st.sampled_from(KINDS), st.integers(0, 10_000), st.floats(0, 1, exclude_max=True))
def test_however_often_it_failed_it_is_tried_again_within_the_cap(
    kind: tuple[type[OutsideError], float, float], attempts: int, jitter: float
) -> None:
    one, first, longest = kind
    backoff = after_failure(Backoff(attempts=attempts), one("Code"), 0.0, jitter)
    assert 0.75 * first <= backoff.not_before <= longest


def test_a_subnet_without_a_free_block_is_asked_again_after_two_minutes() -> None:
    error = errors.SubnetExhausted("InsufficientCidrBlocks")
    assert after_failure(Backoff(), error, 1000.0, 0.0).not_before == 1120.0
    assert after_failure(Backoff(attempts=9), error, 1000.0, 0.9).not_before == 1120.0
