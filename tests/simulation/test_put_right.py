"""What people put right is felt within 15 s by those who waited for it, however long it was wrong. (A permission, a
group, a policy, a subnet: test_outages.py; a device index: test_ec2_as_it_is.py.)"""

from collections.abc import Callable

import pytest

from common.model.names import BRANCH_DESCRIPTION, PRIVATE_IPV4
from tests.simulation.cluster import OTHER_SUBNET, Cluster
from tests.simulation.lives import done, placed, served

Simulate = Callable[..., Cluster]
FELT_SECONDS = 15.0
WRONG_SECONDS = pytest.mark.parametrize("wrong", [5.0, 300.0], ids=["for a moment", "for long"])
DEPLOYMENTS = "/apis/apps/v1/namespaces/kube-system/deployments"
LABELS = {"app": "legacy"}
LEGACY = {
    "apiVersion": "apps/v1",
    "kind": "Deployment",
    "metadata": {"name": "vpc-resource-controller"},
    "spec": {
        "selector": {"matchLabels": LABELS},
        "template": {"metadata": {"labels": LABELS}, "spec": {"containers": [{"name": "main", "image": "i"}]}},
    },
}


@WRONG_SECONDS
@pytest.mark.parametrize("before", ["false", "yes", None], ids=["off", "unreadable", "missing"])
def test_windows_ipam_switched_on(before: str | None, wrong: float, simulate: Simulate) -> None:
    cluster = simulate()
    cluster.configure({} if before is None else {"enable-windows-ipam": before})
    cluster.add_node("w1", windows=True)
    cluster.add_pod("p", "w1", windows=True)
    cluster.run(wrong)
    assert not cluster.all_served()
    cluster.configure({"enable-windows-ipam": "true"})
    assert cluster.run(FELT_SECONDS, lambda: cluster.all_served() and cluster.capacity("w1", PRIVATE_IPV4) is not None)


@WRONG_SECONDS
def test_the_legacy_controller_taken_away(wrong: float, simulate: Simulate) -> None:
    cluster = simulate()
    cluster.configure({"enable-windows-ipam": "true"})
    cluster._post(DEPLOYMENTS, LEGACY)
    cluster.add_node("w1", windows=True)
    cluster.add_pod("p", "w1", windows=True)
    cluster.run(wrong)
    assert not cluster.all_served()
    cluster.kube.request("DELETE", f"{DEPLOYMENTS}/vpc-resource-controller")
    assert cluster.run(FELT_SECONDS, cluster.all_served)


@WRONG_SECONDS
def test_a_missing_eniconfig_that_is_made(wrong: float, simulate: Simulate) -> None:
    cluster = simulate()
    cluster.add_node("n1", labels={"vpc.amazonaws.com/eniConfig": "zone"})
    cluster.add_pod("p", "n1")
    cluster.run(wrong)
    assert not cluster.all_served()
    cluster.put_eni_config("zone", OTHER_SUBNET, [])
    assert cluster.run(FELT_SECONDS, cluster.all_served)
    assert placed(cluster)["p"][0] == OTHER_SUBNET


def test_a_cool_down_that_is_shortened_counts_for_what_rests(simulate: Simulate) -> None:
    cluster = simulate()
    cluster.configure({"branch-eni-cooldown": "3600"})
    cluster.add_node("n1")
    cluster.add_pod("p", "n1")
    served(cluster)
    cluster.remove_pod("p")
    cluster.run(60.0)
    assert len(cluster.ours(BRANCH_DESCRIPTION)) == 1
    cluster.configure({"branch-eni-cooldown": "30"})
    assert cluster.run(FELT_SECONDS, lambda: not cluster.ours(BRANCH_DESCRIPTION))


@WRONG_SECONDS
def test_a_feature_given_to_the_cninode(wrong: float, simulate: Simulate) -> None:
    cluster = simulate()
    cluster.add_node("n1", labels={"vpc.amazonaws.com/has-trunk-attached": None})
    cluster.add_pod("p", "n1")
    done(cluster, lambda: bool(cluster.cninode("n1")), "the CNINode is made")
    cluster.run(wrong)
    assert not cluster.all_served()
    cluster.patch_cninode("n1", {"spec": {"features": [{"name": "SecurityGroupsForPods"}]}})
    assert cluster.run(FELT_SECONDS, cluster.all_served)
