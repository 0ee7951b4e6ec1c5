"""Custom networking: ENIConfigs by label and by feature."""

from common.model.names import FEATURE_CUSTOM_NETWORKING, FEATURE_POD_GROUPS, LABEL_ENI_CONFIG
from tests.golden import sight
from tests.golden.facts import Facts, matches
from tests.golden.scene import Scene

GROUPS_FEATURE = (FEATURE_POD_GROUPS, "")
BY_FEATURE = ((FEATURE_CUSTOM_NETWORKING, "config"), GROUPS_FEATURE)
BY_LABEL = {LABEL_ENI_CONFIG: "config"}


def custom(scene: Scene, *groups: str) -> str:
    """An ENIConfig `config` with a subnet `<custom>` and groups of these names; its subnet."""
    scene.names["config"] = "<config>"
    subnet = scene.subnet("custom")
    scene.cluster.put_eni_config("config", subnet, [scene.group(name) for name in groups])
    return subnet


def test_custom_by_feature(scene: Scene, facts: Facts) -> None:
    custom(scene, "custom")
    scene.node(features=BY_FEATURE)
    scene.pod("pod")
    scene.served("pod")
    matches(facts, {"node": sight.node(scene), "pod": sight.pod(scene, "pod"), "trunk": sight.trunk(scene)})


def test_custom_by_label(scene: Scene, facts: Facts) -> None:
    custom(scene, "custom one", "custom two")
    scene.node(labels=BY_LABEL)
    scene.web()
    scene.pod("web")
    scene.pod("plain", labels={})
    scene.served("web", "plain")
    seen = {
        "node": sight.node(scene),
        "pod with a policy": sight.pod(scene, "web"),
        "pod without": sight.pod(scene, "plain"),
        "trunk": sight.trunk(scene),
    }
    matches(facts, seen)


def test_custom_changed(scene: Scene, facts: Facts) -> None:
    """Faults, row 9, besides: "a subnet change is reported"."""
    one, two = scene.subnet("custom one"), scene.subnet("custom two", "10.0.128.0/19")
    groups = scene.group("custom one"), scene.group("custom two")
    scene.cluster.put_eni_config("config", one, [groups[0]])
    scene.node(labels=BY_LABEL)
    scene.pod("before")
    scene.served("before")
    scene.cluster.put_eni_config("config", two, [groups[1]])
    scene.pod("after")
    scene.served("after")
    found = sight.trunk(scene)
    assert found is not None
    seen = {"before": sight.pod(scene, "before"), "after": sight.pod(scene, "after"), "trunk subnet": found["subnet"]}
    matches(facts, seen)
    scene.until("the second change in a row is felt", lambda: "Warning TrunkSubnetDiffers" in sight.node_events(scene))


def test_custom_missing(scene: Scene, facts: Facts) -> None:
    scene.node(ready=False, labels=BY_LABEL)
    scene.run(60)
    seen = {"before": sight.node(scene), "left before": sight.left(scene)}
    assert "Warning EniConfigNameNotFound" in sight.node_events(scene)  # "ours says so, too"
    custom(scene, "custom")
    scene.until("capacity", lambda: scene.cluster.capacity("node") is not None)
    matches(facts, {**seen, "capacity after": scene.cluster.capacity("node"), "trunk after": sight.trunk(scene)})


def test_custom_missing_by_feature(scene: Scene, facts: Facts) -> None:
    scene.node(features=BY_FEATURE, ready=False)
    scene.run(120)
    matches(facts, {"capacity": scene.cluster.capacity("node"), "left": sight.left(scene)})
    assert "Warning EniConfigNameNotFound" in sight.node_events(scene)


def test_custom_no_groups(scene: Scene, facts: Facts) -> None:
    custom(scene)
    scene.node(labels=BY_LABEL)
    scene.pod("pod")
    scene.served("pod")
    matches(facts, {"pod": sight.pod(scene, "pod"), "trunk": sight.trunk(scene)})


def test_custom_switched_on(scene: Scene, facts: Facts) -> None:
    """The record has the trunk keep its groups. Faults, row 9: "groups of the trunk follow"; they do where it is in
    the ENIConfig's subnet, and here it is not."""
    own = scene.subnet("node's", "10.0.128.0/19")
    scene.node(subnet=own)
    custom(scene, "custom")
    scene.features("node", *BY_FEATURE)
    scene.run(5)
    scene.pod("pod")
    scene.served("pod")
    scene.run(60)
    matches(facts, {"pod": sight.pod(scene, "pod"), "trunk": sight.trunk(scene)})
