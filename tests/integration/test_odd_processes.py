"""Thousands of objects of each kind, wrong in every field, before real processes of every role: none ends, and no other
object waits."""

import json
import ssl
import threading
import time
import urllib.request
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
import redis

from common.kube.transport import MERGE_PATCH, Request
from common.model.errors import Unsure
from common.model.names import POD_ENI
from common.store.broker import NODES as QUEUE
from sandbox.ports import free_port
from sandbox.redis import RedisServer
from tests.integration import odd
from tests.integration.api_servers import NODES, PODS, Cluster, api_server
from tests.integration.odd import KINDS, OddKind
from tests.integration.rig import GROUP, LIFTED_RATES, SUBNET, Process, Rig
from tests.integration.test_late_tokens import probe
from tests.kit.waiting import until
from watcher.announcer import MESSAGES
from webhook.certificates import self_signed

OBJECTS = 12
"""Objects of each kind by default; the whole run makes 2,000."""
QUIET_PODS = 5
"""Served before anything is odd, to compare with."""
WAITS_SECONDS = 60.0
"""Longest wait of another pod. Seen: 6 s beside 300 objects of each kind, on a machine with seven busy threads for each
core; 57 s, and once more than this, beside 2,000, with up to fourteen, which all went first."""
QUEUED = 2 * MESSAGES
"""Messages that stand before such a pod at most while something changes again and again on which all nodes depend. How
long they take is the machine's business."""
DRAIN_SECONDS = 600.0
"""Until workers have looked at 2,000 nodes that are new."""
INSTANCE = "i-0000000000000600d"
UNREADABLE = 599
"""A thousand unknown fields are answered with a thousand warnings, more headers than Python reads."""
DEPTHS = (900, 1_500, 5_000, 9_900)
ACROSS = 4
"""Requests at once."""


@dataclass
class Scene:
    rig: Rig
    cluster: Cluster
    webhook_port: int
    served: list[float] = field(default_factory=list)
    """Seconds that pods of the healthy node waited."""
    queued: list[int] = field(default_factory=list)
    """Messages that stood before each."""

    def serve(self, name: str, seconds: float = 60.0) -> None:
        """Another object does not wait: a pod of a healthy node."""
        container = {"name": "c", "image": "i", "resources": {"limits": {POD_ENI: "1"}, "requests": {POD_ENI: "1"}}}
        body = {"metadata": {"name": name}, "spec": {"nodeName": "good", "containers": [container]}}
        self.cluster.ok("POST", PODS, {"apiVersion": "v1", "kind": "Pod", **body})
        began = time.monotonic()
        self.queued.append(self.messages())
        while POD_ENI not in self.cluster.ok("GET", f"{PODS}/{name}")["metadata"].get("annotations", {}):
            assert time.monotonic() - began < seconds, f"{name} waits\n{self.rig.logs()}"
            time.sleep(0.1)
        self.served.append(time.monotonic() - began)
        self.cluster.ok("DELETE", f"{PODS}/{name}", {"gracePeriodSeconds": 0})

    def messages(self) -> int:
        client: Any = redis.Redis(port=self.rig.redis_port)
        with client:
            return int(client.llen(QUEUE))

    def review(self, pod: Any) -> dict[str, Any]:
        """What the webhook answers about a pod that is to be made."""
        request = {
            "uid": "1", "operation": "CREATE", "namespace": "default", "object": pod, "name": "x",
            "kind": {"group": "", "version": "v1", "kind": "Pod"},
            "resource": {"group": "", "version": "v1", "resource": "pods"}, "userInfo": {"username": "alice"},
        }  # fmt: skip
        body = {"apiVersion": "admission.k8s.io/v1", "kind": "AdmissionReview", "request": request}
        trust = ssl.create_default_context()
        trust.check_hostname, trust.verify_mode = False, ssl.CERT_NONE
        asked = urllib.request.Request(
            f"https://127.0.0.1:{self.webhook_port}/mutate-v1-pod",
            data=json.dumps(body).encode(),
            headers={"Content-Type": "application/json"},
        )
        with urllib.request.urlopen(asked, timeout=10, context=trust) as answer:
            found: dict[str, Any] = json.load(answer)["response"]
        return found


@contextmanager
def scene(which: str, folder: Path) -> Iterator[Scene]:
    with api_server(which, folder) as cluster, RedisServer() as server:
        rig = Rig(folder=folder, redis_port=server.port)
        try:
            rig.start_ec2()
            rig.behave(throttling=False, attach_delay=[0.2, 0.5])
            rig.configure(
                VPC_RC_KUBECONFIG=str(cluster.kubeconfig), VPC_RC_EC2_RATES=LIFTED_RATES, VPC_RC_KUBE_QPS="200",
                VPC_RC_KUBE_BURST="200",
            )  # fmt: skip
            pair = self_signed(["localhost"], datetime.now(UTC))
            for name, content in (("CERT", pair.certificate), ("KEY", pair.key)):
                (folder / name).write_bytes(content)
                rig.environment[f"VPC_RC_WEBHOOK_{name}_FILE"] = str(folder / name)
            port = free_port()
            rig.run("webhook", *rig.program, "webhook", VPC_RC_WEBHOOK_PORT=str(port))
            rig.start_watcher(VPC_RC_HEALTH_PORT=str(free_port()))
            rig.start_worker(VPC_RC_HEALTH_PORT=str(free_port()))
            node = {"instance_id": INSTANCE, "instance_type": "m5.4xlarge", "subnet": SUBNET, "groups": [GROUP]}
            rig.ec2("POST", "seed", {"nodes": [node]})
            labels = {"kubernetes.io/os": "linux", "vpc.amazonaws.com/has-trunk-attached": "false"}
            body = {
                "metadata": {"name": "good", "labels": labels},
                "spec": {"providerID": f"aws:///us-west-2a/{INSTANCE}"},
            }
            cluster.ok("POST", NODES, {"apiVersion": "v1", "kind": "Node", **body})
            yield Scene(rig, cluster, port)
        finally:
            rig.stop()


def send(cluster: Cluster, kind: OddKind, body: dict[str, Any]) -> int:
    """Have the API server take the object; the status of its answer. Where the product reads one name alone, the object
    takes the place of the one before."""
    request = Request("POST", kind.path, body=body)
    try:
        answer = cluster.transport.send(request)
    except Unsure:
        return UNREADABLE
    if answer.status == 409 and kind.only:
        answer = cluster.transport.send(Request("PUT", f"{kind.path}/{kind.only}", body=body))
    if answer.status < 300 and kind.status and body.get("status"):
        path = f"{kind.path}/{body['metadata']['name']}/status"
        patch = Request("PATCH", path, body={"status": body["status"]}, content_type=MERGE_PATCH)
        return max(answer.status, cluster.transport.send(patch).status)
    return answer.status


def deep(cluster: Cluster, kind: OddKind, name: str, levels: int) -> int:
    """An object nested so deep, which json.dumps cannot write."""
    body = json.dumps({**kind.likely, "metadata": {"name": name}}).replace(
        '"more": {', '"deep": ' + "%s, " + '"more": {'
    )
    text = body % ('{"a":' * levels + "1" + "}" * levels)
    headers = {**cluster.transport._credentials.headers(), "Content-Type": "application/json"}
    url = cluster.transport._url(Request("POST", kind.path))
    return int(cluster.transport._pool.request("POST", url, body=text.encode(), headers=headers).status)


def alive(rig: Rig) -> list[Process]:
    return [process for process in rig.processes if process.running]


def test_every_field_that_the_product_reads_is_spoiled() -> None:
    for kind in KINDS:
        spoiled = {tuple(str(key) for key in path if isinstance(key, str)) for path in odd.paths(kind.likely)}
        read = set(odd.read_fields(kind.read_as)) if kind.read_as else set()
        assert read - spoiled == set(), kind.name


def test_every_field_meets_every_value_in_the_whole_run() -> None:
    """Or, of kinds with many fields, as many of the values as 2,000 objects allow."""
    for kind in KINDS:
        fields = list(odd.paths(kind.likely))
        tried = Counter(path for path, _ in odd.odd_objects(kind, 2_000))
        assert tried.keys() == set(fields)
        assert min(tried.values()) >= min(len(odd.VALUES), 2_000 // len(fields)), kind.name


def make_all(at: Scene, pool: ThreadPoolExecutor, kind: OddKind, count: int) -> None:
    """So many objects of the kind, in the order of the fields where each takes the place of the one before."""
    objects = list(odd.odd_objects(kind, count))
    across = map if kind.only else pool.map
    statuses = list(across(lambda each: send(at.cluster, kind, each[1]), objects))
    taken = {path for (path, _), status in zip(objects, statuses, strict=True) if status < 300}
    fields = {path for path, _ in objects}
    accepted = sum(status < 300 for status in statuses)
    print(f"{kind.name}: {accepted} of {count} taken, wrong in {len(taken)} of {len(fields)} fields")
    assert accepted >= count // 10, f"{kind.name}: nothing was tried: {Counter(statuses)}"
    if kind.deepest and at.cluster.real:
        depths = [levels for levels in DEPTHS if deep(at.cluster, kind, f"deep-{levels}", levels) == 201]
        print(f"{kind.name}: nested {depths} deep")
        assert {900, 1_500} <= set(depths)


class Probing:
    """A pod of a healthy node that comes, is served and goes, again and again, from a thread of its own."""

    def __init__(self, at: Scene) -> None:
        self._at, self._ended = at, threading.Event()
        self.failure: BaseException | None = None
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()

    def end(self) -> None:
        self._ended.set()
        self._thread.join(90)

    def _run(self) -> None:
        number = 0
        try:
            while not self._ended.wait(0.5):
                self._at.serve(f"probe-{(number := number + 1)}")
        except BaseException as error:  # noqa: BLE001  # the test looks at it
            self.failure = error


@pytest.mark.parametrize(
    ("which", "count"),
    [
        pytest.param("sandbox", OBJECTS, id="sandbox"),
        pytest.param(
            "kube-apiserver", 2_000, id="kube-apiserver", marks=[pytest.mark.slow, pytest.mark.timeout(3_600)]
        ),
    ],
)
def test_no_process_ends_and_no_other_object_waits(which: str, count: int, tmp_path: Path) -> None:
    with scene(which, tmp_path) as at:
        at.serve("before")
        at.served.clear()  # It waited for its node, too.
        at.queued.clear()
        for number in range(QUIET_PODS):
            at.serve(f"quiet-{number}")
        print(f"pods waited {max(at.served):.1f} s at most before anything was odd")
        running = alive(at.rig)
        probing = Probing(at)
        with ThreadPoolExecutor(ACROSS) as pool:
            for kind in KINDS:
                if kind.only:
                    # What nodes that are new have put into the queue is not this kind's.
                    until(lambda: at.messages() <= QUEUED, seconds=DRAIN_SECONDS)
                before, asked = len(at.served), len(at.queued)
                make_all(at, pool, kind, count)
                waited = sorted(at.served[before:]) or [0.0]
                queued = max(at.queued[asked:], default=0)
                print(f"  pods of another node waited {waited[len(waited) // 2]:.1f} s, {waited[-1]:.1f} s at most")
                print(f"  behind {queued} messages at most")
                assert waited[-1] < WAITS_SECONDS, f"{kind.name}: {waited}"
                assert queued <= QUEUED or not kind.only, kind.name
                assert probing.failure is None, probing.failure
                assert alive(at.rig) == running, at.rig.logs()
            (pods,) = (kind for kind in KINDS if kind.name == "Pod")
            list(pool.map(at.review, [body for _, body in odd.odd_objects(pods, count)]))
        probing.end()
        at.serve("after")
        assert probing.failure is None, probing.failure
        assert alive(at.rig) == running, at.rig.logs()
        for process in running:
            if port := process.environment.get("VPC_RC_HEALTH_PORT"):
                assert probe(f"http://127.0.0.1:{port}/healthz")[0] == 200
        print(f"{len(at.served)} pods of another node waited {max(at.served):.1f} s at most")
        assert at.rig.faults_logged() == []
