"""The demo's objects in Kubernetes, and what becomes of its pods, as somebody sees it who watches them."""

import threading
from dataclasses import dataclass, replace
from typing import Any

import msgspec

from cli.demo.plan import DEPLOYMENTS, NAMESPACE, DemoFailed
from common import threads
from common.clock import Clock
from common.kube.transport import MERGE_PATCH, HttpTransport, Request
from common.model.names import CONFIG_MAP, POD_ENI, SYSTEM_NAMESPACE
from sandbox.judge.present import Given

LABELS = {"app": "demo"}
_PODS = f"/api/v1/namespaces/{NAMESPACE}/pods"
_APPS = f"/apis/apps/v1/namespaces/{NAMESPACE}/deployments"
_POLICIES = f"/apis/vpcresources.k8s.aws/v1beta1/namespaces/{NAMESPACE}/securitygrouppolicies"


@dataclass(frozen=True, slots=True, kw_only=True)
class SeenPod:
    """Times are epoch seconds at which a watch showed it."""

    uid: str
    name: str
    node: str = ""
    scheduled_at: float | None = None
    annotation: str | None = None
    annotated_at: float | None = None


class Cluster:
    """Thread-safe once `follow` was called."""

    def __init__(self, transport: HttpTransport, clock: Clock) -> None:
        self._transport, self._clock = transport, clock
        self._lock = threading.Lock()
        self._live: dict[str, SeenPod] = {}
        self._waits: dict[str, float] = {}
        self._instances: dict[str, str] = {}
        self._broke = ""

    def prepare(self, cooldown: int, groups: tuple[str, ...]) -> None:
        """ConfigMap, namespace, policy and empty Deployments. Raises DemoFailed."""
        self._create(
            f"/api/v1/namespaces/{SYSTEM_NAMESPACE}/configmaps",
            {"kind": "ConfigMap", "metadata": {"name": CONFIG_MAP}, "data": {"branch-eni-cooldown": str(cooldown)}},
        )
        self._create("/api/v1/namespaces", {"kind": "Namespace", "metadata": {"name": NAMESPACE}})
        self._create(
            _POLICIES,
            {
                "apiVersion": "vpcresources.k8s.aws/v1beta1",
                "kind": "SecurityGroupPolicy",
                "metadata": {"name": "demo"},
                "spec": {"podSelector": {"matchLabels": LABELS}, "securityGroups": {"groupIds": list(groups)}},
            },
        )
        for number in range(DEPLOYMENTS):
            self._create(_APPS, _deployment(f"demo-{number}"))

    def scale(self, pods: int) -> None:
        """Share so many pods out to the Deployments. Raises DemoFailed."""
        for number in range(DEPLOYMENTS):
            replicas = pods // DEPLOYMENTS + (number < pods % DEPLOYMENTS)
            self._ask("PATCH", f"{_APPS}/demo-{number}", {"spec": {"replicas": replicas}}, MERGE_PATCH)

    def ready_nodes(self) -> int:
        """Nodes that can take pods with interfaces. Raises DemoFailed."""
        nodes = self._ask("GET", "/api/v1/nodes")["items"]
        self._instances = {node["metadata"]["name"]: node["spec"]["providerID"].rpartition("/")[2] for node in nodes}
        return sum((node["status"].get("allocatable") or {}).get(POD_ENI, "0") != "0" for node in nodes)

    def live(self) -> list[SeenPod]:
        """Raises ConnectionError where the watch broke."""
        with self._lock:
            if self._broke:
                raise ConnectionError(f"the demo's watch of its pods broke: {self._broke}")
            return list(self._live.values())

    def waits(self) -> list[float]:
        """Seconds from scheduled to annotated, of every pod that was served, those gone since included."""
        with self._lock:
            return list(self._waits.values())

    def given(self) -> list[Given]:
        """Live pods that were served."""
        return [
            Given(
                pod=f"{NAMESPACE}/{pod.name}",
                uid=pod.uid,
                instance_id=self._instances.get(pod.node, ""),
                annotation=pod.annotation,
            )
            for pod in self.live()
            if pod.annotation is not None
        ]

    def follow(self) -> None:
        """Watch the pods from now on, in a thread that ends with the process."""
        threads.start("demo-pods", self._follow)

    def _follow(self) -> None:
        query = {"watch": "true"}
        try:
            while True:
                for line in self._transport.stream(
                    Request("GET", _PODS, query={**query, "timeoutSeconds": "3000"}, timeout=3600)
                ):
                    event = msgspec.json.decode(line)
                    query["resourceVersion"] = event["object"]["metadata"]["resourceVersion"]
                    self._see(event["type"], event["object"])
        except Exception as error:  # noqa: BLE001  # the thread's only way to tell: `live` raises it
            with self._lock:
                self._broke = f"{type(error).__name__}: {error}"

    def _see(self, kind: str, pod: dict[str, Any]) -> None:
        now, metadata = self._clock.now(), pod["metadata"]
        uid = metadata["uid"]
        with self._lock:
            if kind == "DELETED":
                self._live.pop(uid, None)
                return
            seen = self._live.get(uid) or SeenPod(uid=uid, name=metadata["name"])
            node = pod["spec"].get("nodeName")
            if node and seen.scheduled_at is None:
                seen = replace(seen, node=node, scheduled_at=now)
            annotation = (metadata.get("annotations") or {}).get(POD_ENI)
            if annotation is not None and seen.annotated_at is None:
                seen = replace(seen, annotation=annotation, annotated_at=now)
                self._waits[uid] = now - (seen.scheduled_at or now)
            self._live[uid] = seen

    def _create(self, path: str, body: dict[str, Any]) -> None:
        self._ask("POST", path, {"apiVersion": "v1", **body})

    def _ask(self, method: str, path: str, body: Any = None, content_type: str = "application/json") -> Any:
        answer = self._transport.send(Request(method, path, body=body, content_type=content_type))
        if answer.status >= 300:
            raise DemoFailed(f"{method} {path}: {answer.status} {answer.body.decode(errors='replace')[:300]}")
        return msgspec.json.decode(answer.body)


def _deployment(name: str) -> dict[str, Any]:
    labels = {**LABELS, "deployment": name}
    container = {
        "name": "app",
        "image": "registry.k8s.io/pause:3.10",
        # What the admission webhook adds where it is installed.
        "resources": {"limits": {POD_ENI: "1"}, "requests": {POD_ENI: "1"}},
    }
    return {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": {"name": name},
        "spec": {
            "replicas": 0,
            "selector": {"matchLabels": labels},
            "template": {"metadata": {"labels": labels}, "spec": {"containers": [container]}},
        },
    }
