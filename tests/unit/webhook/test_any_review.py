"""Whatever an API server, a newer one or a broken client sends: an answer, with the review's uid, and a patch that
fits the object."""

import asyncio
import contextlib
import json
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.unit.webhook.stand import (
    ENI,
    EVERYTHING,
    FARGATE,
    IP,
    OWN_ACCOUNT,
    PROFILE,
    StandView,
    changes,
    operations,
    patched,
    policy,
)
from webhook.envelope import Undecodable
from webhook.review import MUTATE_POD, VALIDATE_NODE, VALIDATE_POD, Reviews

JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-3, 3) | st.floats(allow_nan=False) | st.text(max_size=4),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=4), inner, max_size=3),
    max_leaves=8,
)


def maybe(**fields: st.SearchStrategy[Any]) -> st.SearchStrategy[dict[str, Any]]:
    """Objects that have any of these fields, each of them right, null or nonsense, and fields that nobody knows."""
    fitted = {name: st.one_of(right, right, right, st.none(), JSON) for name, right in fields.items()}
    return st.fixed_dictionaries({}, optional={**fitted, "unknown": JSON})


QUANTITIES = st.dictionaries(st.sampled_from(["cpu", ENI, IP]), st.sampled_from(["0", "1", "2", 1, "1k"]), max_size=3)
RESOURCES = maybe(limits=QUANTITIES, requests=QUANTITIES)
CONTAINER = maybe(name=st.text(max_size=3), resources=RESOURCES)
OS = st.sampled_from(["linux", "windows", "Windows"])
SELECTOR = st.dictionaries(st.sampled_from(["kubernetes.io/os", "beta.kubernetes.io/os", "x"]), OS, max_size=2)
ANNOTATIONS = st.dictionaries(st.sampled_from([ENI, IP, FARGATE, "a/b~c"]), st.text(max_size=3), max_size=3)
OBJECT = maybe(
    metadata=maybe(
        labels=st.dictionaries(st.sampled_from([PROFILE, "app"]), st.text(max_size=2), max_size=2),
        annotations=ANNOTATIONS,
        namespace=st.sampled_from(["shop", "bank"]),
        resourceVersion=st.text(max_size=2),
    ),
    spec=maybe(
        containers=st.lists(CONTAINER, max_size=3),
        initContainers=st.lists(CONTAINER, max_size=2),
        hostNetwork=st.booleans(),
        nodeSelector=SELECTOR,
        serviceAccountName=st.sampled_from(["default", "absent", ""]),
        os=maybe(name=OS),
    ),
)
REQUEST = maybe(
    uid=st.text(max_size=5),
    operation=st.sampled_from(["CREATE", "UPDATE", "DELETE", "CONNECT"]),
    namespace=st.sampled_from(["shop", "bank"]),
    kind=maybe(group=st.sampled_from(["", "apps"]), kind=st.sampled_from(["Pod", "Node"])),
    userInfo=maybe(username=st.sampled_from(["alice", "system:serviceaccount:kube-system:aws-node"])),
    object=OBJECT,
    oldObject=OBJECT,
)


@pytest.mark.parametrize("path", [MUTATE_POD, VALIDATE_POD, VALIDATE_NODE])
@settings(max_examples=200, deadline=None)
@given(sent=st.one_of(maybe(request=REQUEST), JSON), ipam=st.booleans())
def test_any_review_is_answered(path: str, sent: Any, ipam: bool) -> None:
    view = StandView(given=(policy("all", "sg-1", pod=EVERYTHING),), ipam=ipam)
    try:
        body, _ = asyncio.run(Reviews(view, OWN_ACCOUNT).answer(path, json.dumps(sent).encode()))
    except Undecodable:
        return
    response = json.loads(body)["response"]
    request = (sent or {}).get("request") or {}
    assert response["uid"] == (request.get("uid") or "")
    assert response["allowed"] in (True, False)
    patch = operations(response)
    if patch:
        assert path == MUTATE_POD
        after = patched(request["object"], patch)
        assert all(ENI in name or IP in name or FARGATE in name for name in changes(request["object"], after))


@settings(max_examples=100, deadline=None)
@given(body=st.binary(max_size=40))
def test_any_body_is_answered_or_undecodable(body: bytes) -> None:
    with contextlib.suppress(Undecodable):
        asyncio.run(Reviews(StandView(), OWN_ACCOUNT).answer(MUTATE_POD, body))


def test_deep_nesting_is_no_crash() -> None:
    for body in (b'{"request":' * 100_000, b'{"request":{"object":' + b"[" * 100_000):
        with pytest.raises(Undecodable):
            asyncio.run(Reviews(StandView(), OWN_ACCOUNT).answer(MUTATE_POD, body))
