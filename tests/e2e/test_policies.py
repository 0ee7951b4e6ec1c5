"""Security groups that policies select, and pods that get their interface from the webhook for asking."""

from common.model.names import POD_ENI
from tests.e2e.product import GROUPS
from tests.e2e.scene import Scene, given

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


def _admitted(scene: Scene) -> bool:
    """Whether a pod that is only tried would be made to ask."""
    pod = {"metadata": {"name": "tried", "labels": {"app": "front"}}, "spec": scene.pod_template(resource=None)}
    answer = scene.api("POST", f"/api/v1/namespaces/{scene.name}/pods?dryRun=All", pod)
    return POD_ENI in answer.body["spec"]["containers"][0].get("resources", {}).get("limits", {})
