"""Windows pods get addresses of their node's interface, and prefixes when the ConfigMap says so."""

from collections.abc import Iterator
from ipaddress import ip_address, ip_network
from typing import Any

import pytest

from tests.e2e.product import CONFIG_MAP, Product
from tests.e2e.scene import Scene, address

ADDRESS = "vpc.amazonaws.com/PrivateIPv4Address"
IPAM, PREFIXES = "enable-windows-ipam", "enable-windows-prefix-delegation"


@pytest.fixture
def config_map(product: Product) -> Iterator[Any]:
    def write(**data: str | None) -> None:
        assert product.plane.api.merge(CONFIG_MAP, {"data": data}).status == 200

    yield lambda data: write(**data)
    write(**{IPAM: None, PREFIXES: None})


def test_addresses_and_then_prefixes(scene: Scene, config_map: Any) -> None:
    scene.add_node("win-1", system="windows")
    config_map({IPAM: "true"})
    seconds = scene.wait("capacity", lambda: scene.amount("allocatable", "win-1", ADDRESS) == 9)
    print(f"\nWindows: capacity {seconds:.2f} s after IPAM was switched on")
    scene.wait("the webhook knows", lambda: _admitted(scene))
    scene.deploy("app", 4, resource=None, system="windows")
    scene.run(4)
    singles = {pod["metadata"]["uid"]: address(pod) for pod in scene.pods()}
    for pod in scene.pods():
        assert address(pod) == f"{pod['status']['podIP']}/16"
    assert len(set(singles.values())) == 4
    assert {value.split("/")[0] for value in singles.values()} <= _assigned(scene)

    config_map({PREFIXES: "true"})
    seconds = scene.wait("capacity", lambda: scene.amount("allocatable", "win-1", ADDRESS) == 144)
    print(f"Windows: capacity of prefixes {seconds:.2f} s after they were switched on")
    scene.scale("app", 8)
    scene.run(8)
    prefixes = [ip_network(prefix) for prefix in _primary(scene)["prefixes"]]
    for pod in scene.pods():
        if (uid := pod["metadata"]["uid"]) in singles:
            assert address(pod) == singles[uid], "what a pod has, it keeps"
        else:
            assert address(pod) == f"{pod['status']['podIP']}/32"
            assert any(ip_address(pod["status"]["podIP"]) in prefix for prefix in prefixes)
    assert len({address(pod) for pod in scene.pods()}) == 8


def _primary(scene: Scene) -> dict[str, Any]:
    (primary,) = [
        one
        for one in scene.interfaces().values()
        if one["attachment"] and one["attachment"]["instance_id"] == scene.instances["win-1"]
    ]
    return primary


def _assigned(scene: Scene) -> set[str]:
    return set(_primary(scene)["secondary_ips"])


def _admitted(scene: Scene) -> bool:
    pod = {"metadata": {"name": "tried"}, "spec": scene.pod_template(resource=None, system="windows")}
    answer = scene.api("POST", f"/api/v1/namespaces/{scene.name}/pods?dryRun=All", pod)
    return ADDRESS in answer.body["spec"]["containers"][0].get("resources", {}).get("limits", {})
