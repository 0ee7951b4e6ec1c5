"""The three outside worlds in process: EC2, Kubernetes, Redis; each call passes the crash points."""

from collections.abc import Callable, Iterator, Mapping
from typing import Any

from botocore.exceptions import ClientError, ConnectionClosedError

from common.kube.transport import Request, Response
from common.model.errors import Unsure
from common.model.ids import NodeName
from sandbox.ec2.errors import Ec2ConnectionReset, Ec2Fault
from sandbox.ec2.world import Ec2World
from sandbox.kube.world import KubeWorld
from tests.kit.clock import VirtualClock
from tests.simulation.crashes import CrashPoints


def invoker(
    world: Ec2World, clock: VirtualClock, points: CrashPoints
) -> Callable[[str, dict[str, Any]], dict[str, Any]]:
    """EC2 as the product's `Invoke`."""

    def invoke(action: str, params: dict[str, Any]) -> dict[str, Any]:
        outcome = points.call(f"EC2 {action}", lambda: world.call(action, params))
        clock.sleep(outcome.latency)
        try:
            return {**outcome.unwrap(), "ResponseMetadata": {"RequestId": "simulated"}}
        except Ec2Fault as fault:
            answer: Any = {
                "Error": {"Code": fault.code, "Message": str(fault)},
                "ResponseMetadata": {"HTTPStatusCode": fault.status, "RequestId": "simulated"},
            }
            raise ClientError(answer, action) from fault
        except Ec2ConnectionReset as reset:
            raise ConnectionClosedError(endpoint_url="simulated") from reset

    return invoke


class KubeInProcess:
    """Kubernetes as the product's transport."""

    def __init__(self, world: KubeWorld, clock: VirtualClock, points: CrashPoints | None = None) -> None:
        self.world = world
        self.clock = clock
        self.points = points or CrashPoints()
        self.away = False

    def send(self, request: Request) -> Response:
        if self.away:
            raise Unsure("ConnectionRefused", "the API server is away")

        def effect() -> Response:
            answer = self.world.request(request.method, request.path, request.query, request.body, request.content_type)
            return Response(answer.status, answer.body)

        return self.points.call(f"Kubernetes {request.method} {request.path}", effect)

    def stream(self, request: Request) -> Iterator[bytes]:
        raise NotImplementedError("the simulation pumps the watcher itself")


class TaskQueue:
    """A broker in process: keeps messages in order, at most one for a subject, and can lose or double them."""

    def __init__(self) -> None:
        self.tasks: list[tuple[str, ...]] = []

    def reconcile(self, node: NodeName, reason: str) -> None:
        self._put("reconcile", node)

    def reconcile_all(self, reasons: Mapping[NodeName, str]) -> None:
        for node, reason in reasons.items():
            self.reconcile(node, reason)

    def load_instances(self) -> None:
        self._put("load")

    def sweep(self) -> None:
        self._put("sweep")

    def _put(self, *task: str) -> None:
        if task not in self.tasks:
            self.tasks.append(task)

    def take(self, pick: Callable[[int], int]) -> tuple[str, ...] | None:
        return self.tasks.pop(pick(len(self.tasks))) if self.tasks else None
