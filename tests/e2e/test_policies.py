"""Security groups that policies select, and pods that get their interface from the webhook for asking."""

from typing import Any

from common.model.names import POD_ENI
from tests.e2e.product import GROUPS
from tests.e2e.scene import Scene, given
from tests.integration.webhook_cluster import POLICIES

WEB, DB = GROUPS["web"], GROUPS["db"]


def test_policies_select_groups(scene: Scene) -> None:
    scene.add_trunk_nodes("policed-1")
    accounts = f"/api/v1/namespaces/{scene.name}/serviceaccounts"
    scene.api.make(accounts, {"metadata": {"name": "keeper", "labels": {"tier": "data"}}})
    scene.add_policy("b-web", [WEB], podSelector={"matchLabels": {"app": "front"}})
    scene.add_policy("a-data", [DB], serviceAccountSelector={"matchLabels": {"tier": "data"}})
    none_matches = scene.interfaces()
    scene.deploy("front", 1)
    scene.deploy("store", 1, serviceAccountName="keeper")
    scene.deploy("other", 1)
    scene.run(3)
    (front,), (store,), (other,) = (scene.pods(app) for app in ("front", "store", "other"))
    assert scene.groups_of(front) == [WEB]
    assert scene.groups_of(store) == [DB]
    # No policy: what the node has.
    assert given(other)[0]["eniId"] not in none_matches
    (primary,) = [
        one
        for one in scene.interfaces().values()
        if one["attachment"]
        and one["attachment"]["instance_id"] == scene.instances["policed-1"]
        and one["attachment"]["device_index"] == 0
    ]
    assert scene.groups_of(other) == list(primary["groups"])
    assert scene.groups_of(other) not in ([WEB], [DB])


def test_a_pod_that_asks_for_nothing_and_matches(scene: Scene) -> None:
    scene.add_trunk_nodes("admitted-1")
    scene.add_policy("web", [WEB], podSelector={"matchLabels": {"app": "front"}})
    scene.deploy("other", 1, resource=None)
    scene.run(1, "other")
    scene.wait("the webhook knows the policy", lambda: _admitted(scene))
    scene.deploy("front", 2, resource=None)
    scene.run(2, "front")
    for pod in scene.pods("front"):
        assert pod["spec"]["containers"][0]["resources"]["limits"] == {POD_ENI: "1"}
        assert pod["status"]["podIP"] == given(pod)[0]["privateIp"]
        assert scene.groups_of(pod) == [WEB]
    (other,) = scene.pods("other")
    assert not given(other)
    assert other["status"]["podIP"].startswith("100.64.")


def test_nobody_else_writes_the_annotation(scene: Scene) -> None:
    scene.add_trunk_nodes("guarded-1")
    scene.deploy("app", 1)
    scene.run(1)
    (pod,) = scene.pods()
    path = f"/api/v1/namespaces/{scene.name}/pods/{pod['metadata']['name']}"
    answer = scene.api.merge(path, {"metadata": {"annotations": {POD_ENI: "[]"}}})
    assert answer.status == 403
    assert given(scene.pods()[0]) == given(pod)


def test_a_change_of_groups_is_told_and_counted(scene: Scene) -> None:
    scene.add_policy("web", [WEB], podSelector={})
    path = f"{POLICIES.format(scene.name)}/web"
    for times, groups in enumerate(([DB], [WEB], [DB])):
        spec = {"securityGroups": {"groupIds": groups}}
        assert scene.api.merge(path, {"spec": spec}).status == 200
        scene.wait(f"change {times + 1} is told", lambda said=times + 1: sum(_told(scene)) == said)  # type: ignore[misc]
    assert sorted(_told(scene)) == [1, 2]  # The third was said before.


def _told(scene: Scene) -> list[int]:
    """How often each event about a policy of this namespace was said."""
    events = scene.api("GET", f"/api/v1/namespaces/{scene.name}/events").body["items"]
    return [one["count"] for one in events if one["involvedObject"]["kind"] == "SecurityGroupPolicy"]


def test_an_account_newer_than_what_the_webhook_has_seen_is_asked_for(scene: Scene) -> None:
    """Whether the watch is faster is chance: another account is made until it was not."""
    scene.add_policy("web", [WEB], podSelector={})
    scene.wait("the webhook knows the policy", lambda: _admitted(scene))

    def asked() -> bool:
        made = {"metadata": {"generateName": "new-"}}
        account = scene.api.make(f"/api/v1/namespaces/{scene.name}/serviceaccounts", made)["metadata"]["name"]
        assert _admitted(scene, serviceAccountName=account)
        return ("", "serviceaccounts", "get") in scene.product.plane.asked_by("webhook")

    scene.wait("one was asked for", asked)


def _admitted(scene: Scene, **spec: Any) -> bool:
    """Whether a pod that is only tried would be made to ask."""
    pod = {"metadata": {"name": "tried", "labels": {"app": "front"}}, "spec": scene.pod_template(resource=None, **spec)}
    answer = scene.api("POST", f"/api/v1/namespaces/{scene.name}/pods?dryRun=All", pod)
    return POD_ENI in answer.body["spec"]["containers"][0].get("resources", {}).get("limits", {})
