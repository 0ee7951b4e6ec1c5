"""One client against the webhook's process: the API server's reviews are answered, and memory stays bounded."""

import asyncio
import gzip
import json
import multiprocessing
import ssl
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager, suppress
from multiprocessing.synchronize import Event
from pathlib import Path
from statistics import median, quantiles

import pytest
import urllib3

from tests.integration.webhook_cluster import POLICIES, Cluster, WebhookProcess, cluster
from tests.kit.waiting import until
from tests.unit.webhook.stand import pod, review
from webhook.review import MUTATE_POD, VALIDATE_NODE, VALIDATE_POD

MEMORY_MIB = 150
REVIEWS = 20
UNDER_WAY_SECONDS = 2.0
FIRST_SECONDS = 5.0
LONGEST_SECONDS = 9.0
"""Less than the API server's patience; attacker and webhook share the machine."""
JSON_TYPE = b"Content-Type: application/json\r\n"


@pytest.fixture(scope="module")
def api(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    with cluster("sandbox", tmp_path_factory.mktemp("cluster")) as found:
        found.install_crds()
        found.namespace("shop")
        spec = {"podSelector": {}, "securityGroups": {"groupIds": ["sg-1"]}}
        found.make(
            POLICIES.format("shop"),
            {
                "apiVersion": "vpcresources.k8s.aws/v1beta1",
                "kind": "SecurityGroupPolicy",
                "metadata": {"name": "all"},
                "spec": spec,
            },
        )
        yield found


@pytest.fixture
def webhook(api: Cluster, tmp_path: Path) -> Iterator[WebhookProcess]:
    process = WebhookProcess(api, tmp_path)
    try:
        yield process
    finally:
        process.kill()


def memory_mib(process: WebhookProcess, key: str = "VmHWM") -> float:
    """The most that it ever had."""
    status = Path(f"/proc/{process.process.pid}/status").read_text()
    return int(next(line for line in status.splitlines() if line.startswith(key)).split()[1]) / 1024


class Attacker:
    """Keeps so many connections busy with the same thing until the end; one that is closed is opened again."""

    def __init__(
        self, port: int, connections: int, act: Callable[["Attacker"], Awaitable[None]], address: str = "127.0.0.1"
    ) -> None:
        self.port, self._address = port, (address, 0)
        self.attempts = 0
        self._connections, self._act = connections, act
        self.tls = ssl.create_default_context()
        self.tls.check_hostname, self.tls.verify_mode = False, ssl.CERT_NONE

    @asynccontextmanager
    async def attacking(self) -> AsyncIterator[None]:
        tasks = [asyncio.create_task(self._again()) for _ in range(self._connections)]
        try:
            yield
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)

    async def _again(self) -> None:
        while True:
            self.attempts += 1
            with suppress(OSError, asyncio.IncompleteReadError, EOFError):
                await self._act(self)
            await asyncio.sleep(0.01)

    @asynccontextmanager
    async def connection(self, *, tls: bool = True) -> AsyncIterator[tuple[asyncio.StreamReader, asyncio.StreamWriter]]:
        reader, writer = await asyncio.open_connection(
            "127.0.0.1", self.port, ssl=self.tls if tls else None, local_addr=self._address
        )
        try:
            yield reader, writer
        finally:
            writer.transport.abort()


def post(path: str, body: bytes, *more: bytes, length: int | None = None) -> bytes:
    size = b"Content-Length: %d\r\n" % (len(body) if length is None else length)
    return b"POST %s HTTP/1.1\r\nHost: x\r\n" % path.encode() + JSON_TYPE + size + b"".join(more) + b"\r\n" + body


async def idle(attacker: Attacker) -> None:
    async with attacker.connection() as (reader, _):
        await reader.read()


async def no_handshake(attacker: Attacker) -> None:
    async with attacker.connection(tls=False) as (reader, _):
        await reader.read()


def sends(*requests: bytes) -> Callable[[Attacker], Awaitable[None]]:
    """One after the other, each answer read."""

    async def act(attacker: Attacker) -> None:
        async with attacker.connection() as (reader, writer):
            while True:
                for request in requests:
                    writer.write(request)
                    await writer.drain()
                    header = await reader.readuntil(b"\r\n\r\n")
                    size = int(header.lower().split(b"content-length:")[1].split(b"\r\n")[0])
                    await reader.readexactly(size)

    return act


def stalls(sent: bytes) -> Callable[[Attacker], Awaitable[None]]:
    async def act(attacker: Attacker) -> None:
        async with attacker.connection() as (reader, writer):
            writer.write(sent)
            await reader.read()

    return act


async def invents(attacker: Attacker) -> None:
    async with attacker.connection() as (reader, writer):
        while True:
            attacker.attempts += 1
            name = f"invented-{attacker.attempts}"
            writer.write(post(MUTATE_POD, json.dumps(review(pod(serviceAccountName=name))).encode()))
            header = await reader.readuntil(b"\r\n\r\n")
            await reader.readexactly(int(header.lower().split(b"content-length:")[1].split(b"\r\n")[0]))


LARGE = json.dumps(review(pod(annotations={"a": "b" * (6 * 1024 * 1024)}))).encode()
MANY = json.dumps(review(pod(annotations={f"{n}": "" for n in range(300_000)}))).encode()
LISTS = (
    json.dumps(
        review({}, old={}, operation="UPDATE", kind="Node", username="system:serviceaccount:kube-system:aws-node")
    )
    .encode()
    .replace(b'"object": {}', b'"object": {"x": [' + b"[]," * 2_000_000 + b"[]]}")
)
BOMB = gzip.compress(b" " * 554 * 1024 * 1024, 9)[: 554 * 1024]

ATTACKS: dict[str, tuple[int, Callable[[Attacker], Awaitable[None]]]] = {
    "idle connections": (800, idle),
    "connections without a handshake": (800, no_handshake),
    "half a header": (400, stalls(b"POST /mutate-v1-pod HTTP/1.1\r\nX: ")),
    "bodies that do not come": (400, stalls(post(MUTATE_POD, b"{", length=7_000_000))),
    "gzip bombs": (80, sends(post(MUTATE_POD, BOMB, b"Content-Encoding: gzip\r\n"))),
    "large bodies": (40, sends(post(MUTATE_POD, LARGE))),
    "very many annotations": (20, sends(post(VALIDATE_POD, MANY))),
    "very many empty lists": (20, sends(post(VALIDATE_NODE, LISTS))),
    "invented service accounts": (250, invents),
}


def attack_for_ever(port: int, attack: str, begun: Event, address: str, under_way: float) -> None:
    """The body of a process of its own: what it does slows its own requests down, not the API server's."""

    async def scenario() -> None:
        attacker = Attacker(port, *ATTACKS[attack], address)
        async with attacker.attacking():
            await asyncio.sleep(under_way)
            begun.set()
            await asyncio.Event().wait()

    asyncio.run(scenario())


@contextmanager
def under(attack: str, port: int, address: str = "127.0.0.1", under_way: float = UNDER_WAY_SECONDS) -> Iterator[None]:
    """From `address`, and under way for so many seconds."""
    context = multiprocessing.get_context("spawn")
    begun = context.Event()
    process = context.Process(target=attack_for_ever, args=(port, attack, begun, address, under_way), daemon=True)
    process.start()
    try:
        assert begun.wait(60)
        yield
        assert process.is_alive()
    finally:
        process.kill()
        process.join()


def ask(pool: urllib3.PoolManager, port: int) -> tuple[int, bool, float]:
    """A review as the API server sends it, by a connection of its own: status, whether it was patched, seconds."""
    body = json.dumps(review(pod({"app": "web"}))).encode()
    headers = {"Content-Type": "application/json", "Connection": "close"}
    began = time.monotonic()
    answer = pool.request(
        "POST", f"https://127.0.0.1:{port}{MUTATE_POD}", body=body, headers=headers, timeout=10, retries=False
    )
    return answer.status, "patch" in json.loads(answer.data)["response"], time.monotonic() - began


SLOW = [pytest.param(name, marks=pytest.mark.slow) if name not in ("half a header", "gzip bombs") else name
        for name in ATTACKS]  # fmt: skip


@pytest.mark.parametrize("attack", SLOW)
def test_reviews_are_answered_under_attack(api: Cluster, webhook: WebhookProcess, tmp_path: Path, attack: str) -> None:
    pool = urllib3.PoolManager(ca_certs=str(tmp_path / "ca.crt"))
    before = memory_mib(webhook)
    seconds = []
    with under(attack, webhook.port):
        for _ in range(REVIEWS):
            status, patched, took = ask(pool, webhook.port)
            assert (status, patched) == (200, True)
            seconds.append(took)
    print(
        f"{attack}: median {quantiles(seconds, n=2)[0] * 1000:.0f} ms, longest {max(seconds) * 1000:.0f} ms, "
        f"memory {before:.0f} to {memory_mib(webhook):.0f} MiB"
    )
    assert max(seconds) < LONGEST_SECONDS
    assert memory_mib(webhook) < MEMORY_MIB
    assert webhook.process.poll() is None


@pytest.mark.slow
@pytest.mark.parametrize("attack", ATTACKS)
def test_another_client_gets_answers_from_an_attacks_first_moment(
    webhook: WebhookProcess, tmp_path: Path, attack: str
) -> None:
    """Over a new connection each, while the attacker makes his."""
    pool = urllib3.PoolManager(ca_certs=str(tmp_path / "ca.crt"))
    ask(pool, webhook.port)
    seconds = []
    with under(attack, webhook.port, "127.0.0.2", under_way=0.0):
        began = time.monotonic()
        while time.monotonic() - began < FIRST_SECONDS:
            status, patched, took = ask(pool, webhook.port)
            assert (status, patched) == (200, True)
            seconds.append(took)
    print(
        f"{attack}, first seconds: {len(seconds)} reviews, median {median(seconds) * 1000:.0f} ms, longest "
        f"{max(seconds) * 1000:.0f} ms, memory {memory_mib(webhook):.0f} MiB"
    )
    assert max(seconds) < LONGEST_SECONDS
    assert memory_mib(webhook) < MEMORY_MIB


CREATED_PODS = 100


@pytest.fixture(scope="module")
def real(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Cluster, WebhookProcess]]:
    """A real API server that asks the webhook about each new pod, and lets by those that it gets no answer about."""
    with cluster("real", tmp_path_factory.mktemp("real")) as found:
        webhook = WebhookProcess(found, tmp_path_factory.mktemp("tls"))
        try:
            webhook.register(found, "configurations/mutating.yaml")
            found.install_crds()
            found.namespace("shop")
            spec = {"podSelector": {}, "securityGroups": {"groupIds": ["sg-1"]}}
            body = {"apiVersion": "vpcresources.k8s.aws/v1beta1", "kind": "SecurityGroupPolicy"}
            found.make(POLICIES.format("shop"), {**body, "metadata": {"name": "all"}, "spec": spec})
            until(lambda: asked_for_a_branch(found))
            yield found, webhook
        finally:
            webhook.kill()


def asked_for_a_branch(api: Cluster) -> bool:
    body = {
        "metadata": {"name": "p"},
        "spec": {"serviceAccountName": "default", "containers": [{"name": "c", "image": "example/c:1"}]},
    }
    answer = api("POST", "/api/v1/namespaces/shop/pods?dryRun=All", body)
    assert answer.status == 201, answer
    return "vpc.amazonaws.com/pod-eni" in answer.body["spec"]["containers"][0]["resources"].get("limits", {})


@pytest.mark.slow
@pytest.mark.timeout(300)
@pytest.mark.parametrize("attack", ATTACKS)
def test_a_real_api_server_gets_its_answers_under_attack(real: tuple[Cluster, WebhookProcess], attack: str) -> None:
    api, webhook = real
    seconds = []
    with under(attack, webhook.port):
        for _ in range(CREATED_PODS):
            began = time.monotonic()
            assert asked_for_a_branch(api), "the API server got no answer, and let the pod by"
            seconds.append(time.monotonic() - began)
    shares = quantiles(seconds, n=100)
    print(
        f"{attack}: pods made in p50 {shares[49] * 1000:.0f} ms, p99 {shares[98] * 1000:.0f} ms, longest "
        f"{max(seconds) * 1000:.0f} ms, memory {memory_mib(webhook):.0f} MiB"
    )
    assert max(seconds) < LONGEST_SECONDS
    assert memory_mib(webhook) < MEMORY_MIB
    assert webhook.process.poll() is None
