"""A call that a demoted server refuses goes to its successor, though the pool gives out old connections for a while."""

from typing import Any

import pytest

from common.model.errors import StoreUnavailable
from common.model.ids import NodeName
from common.store import Store, keys
from common.store.connection import Demoted
from common.store.link import DEMOTED_TRIES
from tests.kit.fake_redis import FakeRedis


class Behind(FakeRedis):
    """So many connections of its pool lead to the old server."""

    old = 0

    def execute_command(self, *args: Any, **options: Any) -> Any:
        if self.old:
            self.old -= 1
            raise Demoted("READONLY You can't write against a read only replica.")
        return super().execute_command(*args, **options)


@pytest.mark.parametrize("old", range(DEMOTED_TRIES + 1))
def test_it_is_made_over_a_new_connection(old: int) -> None:
    redis = Behind()
    store = Store.on(redis, keys.prefix("c"))
    redis.old = old
    assert store.wakeups.mark_dirty([NodeName("n")], 1.0) == [NodeName("n")]


def test_without_a_successor_it_fails() -> None:
    redis = Behind()
    store = Store.on(redis, keys.prefix("c"))
    redis.old = DEMOTED_TRIES + 1
    with pytest.raises(StoreUnavailable, match="READONLY"):
        store.wakeups.mark_dirty([NodeName("n")], 1.0)
