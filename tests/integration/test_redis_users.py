"""The product on a Redis with the users of its ACL file: each role does its work and is refused everything else."""

import json
import urllib.request
from collections.abc import Iterator
from typing import Any

import pytest
import redis

from cli.doctor import redis as doctor
from cli.doctor.finding import State
from common.model.ids import EniId, InstanceId, NodeName
from common.store import acl, keys
from common.store.acl import Role
from common.store.broker import NODES, celery_app
from common.store.transport import SUBJECT
from tests.integration.redis_server import RedisServer, free_port, with_users
from tests.integration.rig import CLUSTER, LIFTED_RATES, Process, Rig

PASSWORDS = {role: f"of-{role}" for role in Role}
P = keys.prefix(CLUSTER)
NODE = NodeName("n1")


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RedisServer]:
    users = tmp_path_factory.mktemp("redis") / "users.acl"
    # The test itself is a user that may do everything.
    users.write_text(acl.acl_file(CLUSTER, PASSWORDS) + "user test on >test ~* &* +@all\n")
    with RedisServer(program=with_users(), acl_file=users) as running:
        yield running


def url_of(server: RedisServer, role: Role) -> str:
    return f"redis://{acl.user_name(role)}:{PASSWORDS[role]}@127.0.0.1:{server.port}/0"


def client_of(server: RedisServer, role: Role) -> Any:
    return redis.Redis.from_url(url_of(server, role))


@pytest.fixture(scope="module")
def everything(server: RedisServer) -> Any:
    return redis.Redis(port=server.port, username="test", password="test", decode_responses=True)


# --- what each role is for


class Life:
    """Watcher, worker and Flower, each as its user."""

    def __init__(self, rig: Rig, server: RedisServer) -> None:
        self.rig = rig
        self.flower_port = free_port()
        self.watcher = rig.start_watcher(VPC_RC_REDIS_URL=url_of(server, Role.WATCHER))
        self.worker = rig.start_worker(VPC_RC_REDIS_URL=url_of(server, Role.WORKER))
        command = ("-m", "cli.main", "flower", "--port", str(self.flower_port))
        flowers = {"VPC_RC_REDIS_URL": url_of(server, Role.FLOWER), "FLOWER_UNAUTHENTICATED_API": "true"}
        self.flower = rig.spawn("flower", *command, **flowers)

    def flowers(self, path: str) -> Any:
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{self.flower_port}/api/{path}", timeout=20) as answer:
                return json.loads(answer.read())
        except OSError:
            return {}


@pytest.fixture(scope="module")
def life(server: RedisServer, everything: Any, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Life]:
    rig = Rig(folder=tmp_path_factory.mktemp("rig"), redis_port=server.port)
    try:
        rig.start_ec2()
        rig.start_kube()
        rig.behave(throttling=False, attach_delay=[0.2, 0.5])
        rig.set_config(branch_eni_cooldown="30")
        rig.configure(
            VPC_RC_EC2_RATES=LIFTED_RATES,
            VPC_RC_AUDIT_MIN_SECONDS="5",
            VPC_RC_SWEEP_SECONDS="5",
            VPC_RC_LISTEN_ADDRESS="127.0.0.1",
        )
        everything.acl_log_reset()
        yield Life(rig, server)
    finally:
        rig.stop()


def refused(everything: Any) -> list[tuple[str, str, str]]:
    """What Redis refused since it was last asked: user, why, and command or key."""
    found = [(one["username"], one["reason"], one["object"]) for one in everything.acl_log()]
    everything.acl_log_reset()
    return found


def test_a_life_needs_nothing_that_is_refused(life: Life, server: RedisServer, everything: Any) -> None:
    rig = life.rig
    rig.add_node(NODE)
    rig.add_pod("p1", NODE)
    rig.wait_for_none("served", rig.unserved, 120)
    rig.wait("Flower sees the worker", lambda: "stats" in repr(life.flowers("workers?refresh=true")))
    rig.wait("Flower sees tasks", lambda: bool(life.flowers("tasks?limit=10")))
    assert {one["name"] for one in life.flowers("queues/length")["active_queues"]} == {"nodes", "maintenance"}
    rig.remove_pod("p1")
    rig.wait("released", lambda: not rig.interfaces("aws-k8s-branch-eni"), 120)
    rig.wait("a sweep", lambda: bool(everything.exists(keys.members(P, "sweep"))), 120)
    assert refused(everything) == []
    assert rig.faults_logged() == []


@pytest.mark.parametrize("role", [Role.OPERATOR, Role.WORKER])
def test_status_and_doctor_find_out_all_they_want(life: Life, server: RedisServer, everything: Any, role: Role) -> None:
    """As the user that is for them, and in a worker's pod."""
    refused(everything)
    assert "Workers 1" in told_by(life.rig, "status", url_of(server, role))
    assert refused(everything) == []
    found = {one.what: one.state for one in doctor.check(url_of(server, role))}
    assert found["a password is needed"] is State.OK
    assert found["maxmemory-policy noeviction"] is State.OK
    assert found["appendonly yes"] is State.MISSING
    assert {user for user, *_ in refused(everything)} <= {"default"}


def test_doctor_finds_that_anybody_may_do_everything() -> None:
    with RedisServer() as open_to_all:
        found = {one.what: one for one in doctor.check(open_to_all.url)}
    assert found["a password is needed"].state is State.MISSING
    assert "vpc-rc redis credentials" in found["a password is needed"].advice


def told_by(rig: Rig, command: str, url: str) -> str:
    process: Process = rig.spawn(f"reported-{command}", "-m", "cli.main", command, VPC_RC_REDIS_URL=url)
    process.popen.wait(60)
    return process.log.read_text()


def test_a_worker_takes_back_what_a_dead_one_had(server: RedisServer, everything: Any) -> None:
    """Kombu's own transactions, which a short life does not need."""
    everything.acl_log_reset()
    app: Any = celery_app(url_of(server, Role.WORKER))
    with app.connection_for_read() as connection, connection.channel() as channel:
        channel.queue_declare(queue="nodes-of-a-test")
        sent = channel.prepare_message("{}", headers={SUBJECT: NODE, "id": "1"})
        channel.basic_publish(sent, exchange="", routing_key="nodes-of-a-test")
        message = channel.basic_get("nodes-of-a-test")
        assert message is not None
        channel.qos.visibility_timeout = -1
        channel.qos.restore_visible(num=10, interval=1)
        assert everything.llen("nodes-of-a-test") == 1
        assert everything.hget(keys.waiting(), NODE) == "1+"
        channel.queue_delete("nodes-of-a-test")
        everything.hdel(keys.waiting(), NODE)
    assert refused(everything) == []


# --- what each role is refused

VIEW, LEDGER, LOCK, RATE = (
    keys.view(P, NODE),
    keys.ledger(P, NODE),
    keys.lock(P, NODE),
    keys.rate(P, "DeleteNetworkInterface"),
)
WRITE_IN_SCRIPT = "return redis.call('SET', KEYS[1], 'forged')"
FORBIDDEN = [
    *(
        pytest.param(role, command, id=f"{role}: {' '.join(command)}")
        for role in Role
        for command in (
            ("FLUSHALL",),
            ("FLUSHDB",),
            ("KEYS", "*"),
            ("SCAN", "0"),
            ("CONFIG", "GET", "*"),
            ("CONFIG", "SET", "dir", "/"),
            ("ACL", "LIST"),
            ("ACL", "SETUSER", "default", "on", "nopass"),
            ("CLIENT", "KILL", "TYPE", "normal"),
            ("MONITOR",),
            ("SHUTDOWN", "NOSAVE"),
            ("REPLICAOF", "127.0.0.1", "1"),
            ("SCRIPT", "FLUSH"),
            ("FUNCTION", "LOAD", "#!lua name=x\n"),
            ("SET", "anything", "x"),
            ("GET", keys.view(keys.prefix("other"), NODE)),
        )
    ),
    pytest.param(Role.WORKER, ("SET", VIEW, "x"), id="a worker writes no desired state"),
    pytest.param(Role.WORKER, ("DEL", keys.pods(P, NODE)), id="a worker removes no pods from it"),
    pytest.param(Role.WORKER, ("SET", keys.complete(P), "1"), id="a worker calls no list complete"),
    pytest.param(Role.WORKER, ("SET", keys.term(P), "9"), id="a worker deposes no leader"),
    pytest.param(Role.WORKER, ("EVAL", WRITE_IN_SCRIPT, "1", VIEW), id="a worker writes none in a script"),
    pytest.param(Role.WATCHER, ("SET", LEDGER, "x"), id="a watcher writes no ledger"),
    pytest.param(Role.WATCHER, ("EVAL", WRITE_IN_SCRIPT, "1", LEDGER), id="a watcher writes none in a script"),
    pytest.param(Role.WATCHER, ("DEL", LOCK), id="a watcher breaks no lock"),
    pytest.param(Role.WATCHER, ("DEL", RATE), id="a watcher lifts no limit"),
    pytest.param(
        Role.WATCHER, ("HSET", keys.snapshot(P, InstanceId("i-1")), "at", "1"), id="a watcher invents no look at EC2"
    ),
    pytest.param(Role.WATCHER, ("SADD", keys.seen_available(P), EniId("eni-1")), id="a watcher helps no sweep"),
    pytest.param(Role.WATCHER, ("PUBLISH", "/0.celery.pidbox", "x"), id="a watcher gives workers no orders"),
    pytest.param(Role.FLOWER, ("LPUSH", NODES, "x"), id="Flower queues nothing"),
    pytest.param(Role.FLOWER, ("DEL", NODES), id="Flower empties no queue"),
    pytest.param(Role.FLOWER, ("DEL", "unacked"), id="Flower drops nothing that a worker has"),
    pytest.param(Role.FLOWER, ("GET", VIEW), id="Flower reads no desired state"),
    pytest.param(Role.FLOWER, ("GET", LEDGER), id="Flower reads no ledger"),
    pytest.param(Role.FLOWER, ("EVAL", WRITE_IN_SCRIPT, "1", LEDGER), id="Flower writes none in a script"),
    pytest.param(Role.OPERATOR, ("SET", LEDGER, "x"), id="status writes no ledger"),
    pytest.param(Role.OPERATOR, ("SET", VIEW, "x"), id="status writes no desired state"),
    pytest.param(Role.OPERATOR, ("LPUSH", NODES, "x"), id="status queues nothing"),
    pytest.param(Role.OPERATOR, ("PUBLISH", "/0.celery.pidbox", "x"), id="status gives workers no orders"),
    pytest.param(Role.PROBE, ("INFO",), id="a probe reads nothing"),
]


@pytest.mark.parametrize(("role", "command"), FORBIDDEN)
def test_a_role_is_refused_what_is_not_its_own(server: RedisServer, role: Role, command: tuple[str, ...]) -> None:
    client = client_of(server, role)
    with pytest.raises(redis.exceptions.ResponseError) as raised:
        client.execute_command(*command)
    # In a script each version of Redis has words of its own for it, and no code.
    refused = ("ACL failure", "can't access at least one of the keys")
    assert isinstance(raised.value, redis.exceptions.NoPermissionError) or any(w in str(raised.value) for w in refused)


@pytest.mark.parametrize("command", [("PING",), ("GET", VIEW), ("INFO",)])
def test_nobody_is_let_in_without_a_password(server: RedisServer, command: tuple[str, ...]) -> None:
    stranger: Any = redis.Redis(port=server.port)
    with pytest.raises(redis.exceptions.AuthenticationError):
        stranger.execute_command(*command)


def test_the_probe_may_ask_whether_it_answers(server: RedisServer) -> None:
    assert client_of(server, Role.PROBE).execute_command("PING")


@pytest.mark.parametrize("command", ["shutdown", "pool_shrink", "cancel_consumer", "rate_limit", "revoke", "memdump"])
def test_orders_over_the_broker_are_not_carried_out(life: Life, server: RedisServer, command: str) -> None:
    """Flower may publish them: Redis cannot tell them from its questions."""
    app: Any = celery_app(url_of(server, Role.FLOWER), looks_on=True)
    life.rig.wait("the worker answers", lambda: bool(app.control.ping(timeout=2)), 60)
    arguments = {"cancel_consumer": {"queue": NODES}, "revoke": {"task_id": "x"}}.get(command, {})
    (answer,) = app.control.broadcast(command, arguments=arguments, reply=True, timeout=5)
    assert [*answer.values()] == [{"error": "workers take no orders over the broker"}]
    (queues,) = app.control.inspect(timeout=5).active_queues().values()
    assert {one["name"] for one in queues} == {"nodes", "maintenance"}
    assert life.worker.running


def test_workers_tell_flower_no_password(life: Life, server: RedisServer) -> None:
    app: Any = celery_app(url_of(server, Role.FLOWER), looks_on=True)
    life.rig.wait("the worker answers", lambda: bool(app.control.ping(timeout=2)), 60)
    reported = repr(app.control.inspect(timeout=5).conf(with_defaults=True))
    assert "broker_url" in reported
    assert PASSWORDS[Role.WORKER] not in reported
