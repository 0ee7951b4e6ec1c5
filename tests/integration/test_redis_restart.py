"""A Redis that was restarted between two of the watcher's calls, so that none of them failed."""

import pytest
import redis

from common.store import Store, connect, keys
from tests.integration.redis_server import RedisServer
from tests.kit.api import node, pod
from tests.unit.watcher.bench import N1, NODES, PODS, Watch

PREFIX = keys.prefix("bench")


@pytest.mark.parametrize("restarted", [False, True])
def test_what_a_restarted_redis_lost_is_written_again(restarted: bool) -> None:
    with RedisServer(aof=True) as server:
        watch = Watch(store=Store.on(connect(server.url), PREFIX))
        watch.api.ok("POST", NODES, node("n1"))
        watch.api.ok("POST", PODS, pod("p", "n1"))
        watch.lead()
        watch.worked()
        before = watch.desired(N1)
        # The last second of writes; the completeness mark is older.
        redis.Redis.from_url(server.url).delete(keys.pods(PREFIX, N1))
        if restarted:
            server.kill()
            server.start()
        watch.turn(15)
        if restarted:
            assert watch.desired(N1) == before
            assert watch.published.nodes == [("n1", "redis restarted")]
        else:
            # It takes a restart: what is written is not read again every second.
            assert watch.published.nodes == []


def test_the_run_changes_with_a_restart_only() -> None:
    with RedisServer(aof=True) as server:
        store = Store.on(connect(server.url), PREFIX)
        first = store.server.run_id()
        assert first
        assert store.server.run_id() == first
        server.kill()
        server.start()
        assert store.server.run_id() not in (None, first)


def test_a_redis_that_does_not_tell_its_run_is_used_all_the_same() -> None:
    with RedisServer() as server:
        redis.Redis.from_url(server.url).acl_setuser("default", enabled=True, nopass=True, commands=["+@all", "-info"])
        watch = Watch(store=Store.on(connect(server.url), PREFIX))
        watch.api.ok("POST", NODES, node("n1"))
        watch.lead()
        assert watch.store.server.run_id() is None
        assert watch.desired(N1).complete
