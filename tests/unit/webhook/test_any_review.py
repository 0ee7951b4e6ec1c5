"""Whatever an API server, a newer one or a broken client sends: an answer, with the review's uid, and a patch that
fits the object."""

import asyncio
import contextlib
import json
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.unit.webhook.any_review import REVIEWS
from tests.unit.webhook.stand import (
    ENI,
    EVERYTHING,
    FARGATE,
    IP,
    OWN_ACCOUNT,
    StandView,
    changes,
    operations,
    patched,
    policy,
)
from webhook.envelope import Undecodable
from webhook.review import MUTATE_POD, VALIDATE_NODE, VALIDATE_POD, Reviews


@pytest.mark.parametrize("path", [MUTATE_POD, VALIDATE_POD, VALIDATE_NODE])
@settings(max_examples=200, deadline=None)
@given(sent=REVIEWS, ipam=st.booleans())
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
