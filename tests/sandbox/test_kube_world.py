"""The model in process, without threads or an event loop, as simulations use it."""

from __future__ import annotations

from typing import Any

import pytest

from sandbox.kube import KubeWorld
from sandbox.kube.admission import WebhookUnreachable
from tests.kit.clock import VirtualClock
from tests.sandbox.kube_fixtures import MERGE, config_map, pod

PODS = "/api/v1/namespaces/default/pods"
MAPS = "/api/v1/namespaces/default/configmaps"


def new_world(seed: int = 0, **options: Any) -> KubeWorld:
    return KubeWorld(clock=VirtualClock().now, seed=seed, **options)


def history(seed: int) -> list[Any]:
    world = new_world(seed)
    watch = world.watch("/api/v1/pods")
    for _ in range(3):
        world.request("POST", PODS, body=pod("", generateName="g-"))
    seen = []
    while (event := watch.next_event()) is not None:
        seen.append(event)
    return seen


def test_the_same_seed_gives_the_same_history() -> None:
    assert history(1) == history(1)
    assert history(1) != history(2)


def test_a_watch_is_read_at_the_readers_pace() -> None:
    world = new_world()
    watch = world.watch(MAPS)
    assert not watch.pending()
    assert watch.next_event() is None
    world.request("POST", MAPS, body=config_map("a"))
    world.request("DELETE", f"{MAPS}/a")
    assert watch.pending()
    assert [watch.next_event()["type"], watch.next_event()["type"]] == ["ADDED", "DELETED"]  # type: ignore[index]
    assert not watch.pending()


def test_a_reader_that_is_overtaken_by_compaction_gets_410_once() -> None:
    world = new_world()
    watch = world.watch(MAPS)
    world.request("POST", MAPS, body=config_map("a"))
    world.compact()
    event = watch.next_event()
    assert event is not None
    assert (event["type"], event["object"]["code"]) == ("ERROR", 410)
    assert watch.closed
    assert watch.next_event() is None


def test_history_is_bounded() -> None:
    world = new_world(history_limit=10)
    version = world.request("POST", MAPS, body=config_map("a")).json()["metadata"]["resourceVersion"]
    for i in range(30):
        world.request("PATCH", f"{MAPS}/a", body={"data": {"i": str(i)}}, content_type=MERGE)
    event = world.watch(MAPS, {"resourceVersion": version}).next_event()
    assert event is not None
    assert event["object"]["reason"] == "Expired"


def test_what_a_caller_does_to_his_objects_does_not_reach_the_store() -> None:
    world = new_world()
    body = config_map("a", x="1")
    world.request("POST", MAPS, body=body)
    body["data"]["x"] = "2"
    world.request("GET", f"{MAPS}/a").json()["data"]["x"] = "3"
    assert world.request("GET", f"{MAPS}/a").json()["data"] == {"x": "1"}


def test_a_patch_without_version_lands_on_what_another_wrote_meanwhile() -> None:
    def interfering(client: Any, review: dict[str, Any], timeout: float) -> dict[str, Any]:
        if review["request"]["object"]["data"].get("other") is None:
            world.store.put(*_changed(world, "other"))
        return {"response": {"uid": review["request"]["uid"], "allowed": True}}

    world = new_world(call_webhook=interfering)
    world.request("POST", MAPS, body=config_map("a", x="1"))
    _register(world)
    answer = world.request("PATCH", f"{MAPS}/a", body={"data": {"x": "2"}}, content_type=MERGE)
    assert (answer.status, answer.json()["data"]) == (200, {"x": "2", "other": "1"})


def test_a_put_with_a_version_conflicts_with_what_another_wrote_meanwhile() -> None:
    def interfering(client: Any, review: dict[str, Any], timeout: float) -> dict[str, Any]:
        world.store.put(*_changed(world, "other"))
        return {"response": {"uid": review["request"]["uid"], "allowed": True}}

    world = new_world(call_webhook=interfering)
    created = world.request("POST", MAPS, body=config_map("a", x="1")).json()
    _register(world)
    assert world.request("PUT", f"{MAPS}/a", body={**created, "data": {}}).status == 409


def _changed(world: KubeWorld, key: str) -> tuple[Any, Any, Any]:
    resource = world.registry.find("", "v1", "configmaps")
    assert resource is not None
    present = world.store.get(resource, "default", "a")
    assert present is not None
    obj = present.object()
    obj["data"][key] = "1"
    return resource, obj, present


def _register(world: KubeWorld) -> None:
    rule = {"operations": ["UPDATE"], "apiGroups": [""], "apiVersions": ["v1"], "resources": ["configmaps"]}
    hook = {"name": "h.example.com", "clientConfig": {"url": "https://x"}, "rules": [rule], "sideEffects": "None"}
    body = {"metadata": {"name": "h"}, "webhooks": [hook]}
    path = "/apis/admissionregistration.k8s.io/v1/validatingwebhookconfigurations"
    assert world.request("POST", path, body=body).status == 201


def test_a_webhook_can_be_a_function() -> None:
    def down(client: Any, review: dict[str, Any], timeout: float) -> dict[str, Any]:
        raise WebhookUnreachable("down")

    world = new_world(call_webhook=down)
    world.request("POST", MAPS, body=config_map("a"))
    _register(world)
    refused = world.request("PATCH", f"{MAPS}/a", body={"data": {"x": "1"}}, content_type=MERGE)
    assert (refused.status, refused.json()["reason"]) == (500, "InternalError")


@pytest.mark.parametrize(
    ("method", "path", "query", "verb", "subresource"),
    [
        ("GET", PODS, {}, "list", ""),
        ("GET", PODS, {"watch": "true"}, "watch", ""),
        ("GET", f"{PODS}/a", {}, "get", ""),
        ("PATCH", "/api/v1/nodes/a/status", {}, "patch", "status"),
        ("POST", f"{PODS}/a/binding", {}, "create", "binding"),
        ("DELETE", PODS, {}, "deletecollection", ""),
        ("GET", "/version", {}, "get", ""),
    ],
)
def test_requests_are_described_as_rbac_does(
    method: str, path: str, query: dict[str, str], verb: str, subresource: str
) -> None:
    info = new_world().info(method, path, query)
    assert (info.verb, info.subresource) == (verb, subresource)
