"""A Redis that takes no writes, because it is full or because it could not save itself: watcher and worker live on,
tell it, and go on by themselves when it takes writes again."""

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import redis

from sandbox.ports import free_port
from tests.integration.rig import Rig, running
from tests.integration.standing import unserved
from tests.integration.test_worker_process import get
from tests.kit.waiting import until

Client = redis.Redis


@pytest.fixture(scope="module")
def parts(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Rig, Client, dict[str, int]]]:
    """One node that is served, and the health ports of its watcher and worker."""
    ports = {"watcher": free_port(), "worker": free_port()}
    with running(tmp_path_factory.mktemp("full"), workers=0, watchers=0) as (rig, server):
        rig.start_watcher("watcher", VPC_RC_HEALTH_PORT=str(ports["watcher"])).supervised = True
        rig.start_worker("worker", VPC_RC_HEALTH_PORT=str(ports["worker"])).supervised = True
        rig.add_node("n0")
        rig.wait("the node", lambda: rig.capacity("n0") == "9")
        with redis.Redis.from_url(server.url) as client:
            yield rig, client, ports
        assert rig.faults_logged() == []


def full(client: Client) -> Callable[[], object]:
    client.config_set("maxmemory", 1)
    with pytest.raises(redis.exceptions.OutOfMemoryError):
        client.set("more", "x")
    return lambda: client.config_set("maxmemory", 0)


def unsaved(client: Client) -> Callable[[], object]:
    """MISCONF: the last snapshot could not be written, for its place is taken."""
    place = Path(str(client.config_get("dir")["dir"])) / str(client.config_get("dbfilename")["dbfilename"])
    place.mkdir()
    client.config_set("save", "3600 1")
    client.bgsave()
    until(lambda: client.info("persistence")["rdb_last_bgsave_status"] == "err", 10)
    with pytest.raises(redis.exceptions.ResponseError, match="MISCONF"):
        client.set("more", "x")

    def room() -> None:
        place.rmdir()
        client.bgsave()

    return room


@pytest.mark.parametrize("kind", [full, unsaved], ids=["OOM", "MISCONF"])
def test_watcher_and_worker_go_on_by_themselves_when_redis_takes_writes_again(
    kind: Callable[[Client], Callable[[], object]], parts: tuple[Rig, Client, dict[str, int]]
) -> None:
    rig, client, ports = parts
    before, name = {p.name: p.popen.pid for p in rig.processes}, kind.__name__
    room = kind(client)
    rig.add_pod(name, "n0")
    for role, port in ports.items():
        rig.wait(f"{role} tells it", lambda port=port: get(port, "/readyz")[0] == 503, 20)  # type: ignore[misc]
        assert get(port, "/healthz")[0] == 200, role
    assert unserved(rig) == [name]
    room()
    rig.wait_for_none("unserved", lambda: unserved(rig), 30)
    for role, port in ports.items():
        rig.wait(f"{role} is ready", lambda port=port: get(port, "/readyz")[0] == 200, 20)  # type: ignore[misc]
    rig.add_pod(f"{name}-after", "n0")
    rig.wait_for_none("unserved", lambda: unserved(rig), 10)
    assert {p.name: p.popen.pid for p in rig.processes} == before, "nobody was started again"
