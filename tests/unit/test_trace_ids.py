"""Every process finds the same trace and the same first span for a pod, with nothing but its uid."""

import uuid

import pytest
from hypothesis import given
from hypothesis import strategies as st

from common.trace_ids import is_sampled, node_trace, pod_root

UID = "a3f2c9bf-9c63-46b9-90f2-44556f25e2a2"


def test_the_trace_of_a_pod_is_its_uid_without_dashes() -> None:
    root = pod_root(UID)
    assert f"{root.trace:032x}" == UID.replace("-", "")
    assert f"{root.span:016x}" == "c0c1f85d53f37d3c", "as other versions have it, which run beside this one"


@pytest.mark.parametrize(
    "uid",
    [
        "",
        "0f1e2d3c4b5a69788796a5b4c3d2e1f0",  # of a static pod before the API server gives it another
        "00000000-0000-0000-0000-000000000000",
        "not a uid\n",
    ],
)
def test_what_is_no_uuid_has_a_trace_all_the_same(uid: str) -> None:
    root = pod_root(uid)
    assert 0 < root.trace < 1 << 128
    assert 0 < root.span < 1 << 64
    assert root == pod_root(uid)


@given(st.uuids(), st.uuids())
def test_two_pods_share_neither_trace_nor_first_span(one: uuid.UUID, other: uuid.UUID) -> None:
    if one != other:
        assert pod_root(str(one)).trace != pod_root(str(other)).trace
        assert pod_root(str(one)).span != pod_root(str(other)).span


def test_a_node_has_a_trace_for_each_instance_and_no_first_span() -> None:
    first, second = node_trace("n", "i-1"), node_trace("n", "i-2")
    assert first == node_trace("n", "i-1")
    assert len({first.trace, second.trace, node_trace("m", "i-1").trace}) == 3
    assert first.span == second.span == 0


@given(st.uuids(version=4))
def test_all_traces_are_sampled_at_1_and_none_at_0(uid: uuid.UUID) -> None:
    assert is_sampled(uid.int, 1.0)
    assert not is_sampled(uid.int, 0.0)


@pytest.mark.parametrize("ratio", [0.1, 0.5, 0.9])
def test_the_sampled_part_of_the_pods_is_the_ratio(ratio: float) -> None:
    """Though some bits of a UUID are the same in all."""
    uids = [uuid.uuid5(uuid.NAMESPACE_DNS, str(number)) for number in range(4000)]
    sampled = sum(is_sampled(pod_root(str(uid)).trace, ratio) for uid in uids)
    assert abs(sampled / len(uids) - ratio) < 0.03
