"""The sandbox's Kubernetes model behind the transport protocol, in process, with faults by the test's choice."""

from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import yaml

from common.kube.transport import Request, Response, WatchRefused
from common.model.errors import Unsure
from sandbox.kube import KubeWorld
from sandbox.kube.status import ApiError
from tests.kit.clock import VirtualClock

CRDS = Path(__file__).parents[2] / "deploy" / "crds"
Fault = Callable[[str, str, Mapping[str, str]], Response | None]
"""Given method, path and query: an answer in place of the server's, or an exception."""


class InProcess:
    """A `Transport`. A watch ends where nothing more has happened."""

    def __init__(self, world: KubeWorld) -> None:
        self.world = world
        self.before: Fault = lambda *_: None
        self.after: Callable[[str, str, Response], Response] = lambda _method, _path, response: response
        self.calls: list[tuple[str, str]] = []

    def send(self, request: Request) -> Response:
        self.calls.append((request.method, request.path))
        answer = self.before(request.method, request.path, request.query)
        if answer is not None:
            return answer
        found = self.world.request(
            request.method, request.path, request.query, request.body, request.content_type, accept=request.accept
        )
        return self.after(request.method, request.path, Response(found.status, found.body))

    def stream(self, request: Request) -> Iterator[bytes]:
        path, query = request.path, request.query
        self.calls.append(("WATCH", path))
        answer = self.before("WATCH", path, query)
        if answer is not None:
            raise WatchRefused(answer)
        try:
            watch = self.world.watch(path, query, request.accept)
        except ApiError as error:
            refused = self.world.request("GET", path, {k: v for k, v in query.items() if k != "watch"})
            raise WatchRefused(Response(error.code, refused.body)) from error
        while (line := watch.next_line()) is not None:
            yield line
        if watch.bookmarks and not watch.closed:
            yield watch.bookmark()

    def ok(self, method: str, path: str, body: Any = None, content_type: str = "application/json") -> dict[str, Any]:
        """For tests' own requests: past faults, and it must succeed."""
        response = self.world.request(method, path, None, body, content_type)
        assert response.status < 300, response
        found: dict[str, Any] = response.json()
        return found


def cut(*_: object) -> Response | None:
    """A fault: the connection breaks."""
    raise Unsure("ConnectionReset", "injected")


def cluster(clock: VirtualClock, *, definitions: bool = True, seed: int = 0) -> InProcess:
    transport = InProcess(KubeWorld(clock=clock.now, seed=seed))
    if definitions:
        for file in sorted(CRDS.glob("*_*.yaml")):
            path = "/apis/apiextensions.k8s.io/v1/customresourcedefinitions"
            transport.ok("POST", path, yaml.safe_load(file.read_text()))
    return transport


def node(name: str, instance: str = "i-0123456789abcdef0", **labels: str) -> dict[str, Any]:
    labels = {"kubernetes.io/os": "linux"} | {key.replace("__", "/"): value for key, value in labels.items()}
    return {
        "apiVersion": "v1",
        "kind": "Node",
        "metadata": {"name": name, "labels": labels},
        "spec": {"providerID": f"aws:///us-west-2c/{instance}"},
    }


def pod(name: str, node_name: str | None, *, asks: int = 1, namespace: str = "default") -> dict[str, Any]:
    amount = {"vpc.amazonaws.com/pod-eni": str(asks)} if asks else {}
    spec: dict[str, Any] = {"containers": [{"name": "c", "image": "i", "resources": {"limits": amount}}]}
    if node_name is not None:
        spec["nodeName"] = node_name
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": name, "namespace": namespace, "labels": {"app": name}},
        "spec": spec,
    }
