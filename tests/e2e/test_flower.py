"""Flower shows the workers and what they did."""

import json
import urllib.request
from typing import Any

from tests.e2e.product import Product
from tests.e2e.scene import Scene


def _flower(product: Product, path: str) -> Any:
    with urllib.request.urlopen(f"http://127.0.0.1:{product.flower_port}/api/{path}", timeout=10) as answer:
        return json.loads(answer.read())


def test_tasks_and_workers_are_shown(scene: Scene) -> None:
    product = scene.product
    scene.add_node("shown-1")
    scene.wait("CNINode", lambda: scene.cninode("shown-1") is not None)
    scene.wait("the task is shown", lambda: bool(_tasks_of(product, "shown-1")))
    scene.wait(
        "it succeeded", lambda: any(task["state"] == "SUCCESS" for task in _tasks_of(product, "shown-1").values())
    )
    alive = {str(worker.popen.pid) for worker in product.workers if worker.popen.poll() is None}
    # Flower waits a second for answers; a worker that has just started may take longer.
    scene.wait("every worker is shown", lambda: alive <= _answering(product))


def _tasks_of(product: Product, node: str) -> dict[str, Any]:
    tasks = _flower(product, "tasks?taskname=workers.tasks.reconcile_node&limit=1000")
    return {uuid: task for uuid, task in tasks.items() if node in task["args"]}


def _answering(product: Product) -> set[str]:
    """Pids of the workers whose queues are shown."""
    shown = {name.split("@")[0] for name, task in _workers(product).items() if task.get("active_queues")}
    return {name.removeprefix("vpc-rc-").split("-")[0] for name in shown}


def _workers(product: Product) -> dict[str, Any]:
    found: dict[str, Any] = _flower(product, "workers?refresh=true")
    return found
