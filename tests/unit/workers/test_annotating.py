"""Annotations of pods: whose they are is looked at before what stands there counts."""

from typing import Any

import pytest

from common.kube.api import Kube
from common.model.actions import Annotate
from common.model.errors import Conflict
from common.model.ids import PodUid
from common.model.names import POD_ENI
from common.store import Store, keys
from tests.kit.api import InProcess, cluster, pod
from tests.kit.clock import VirtualClock
from tests.kit.fake_redis import FakeRedis
from tests.unit.ec2.scripted import Script
from tests.unit.watcher.bench import Published
from workers.lookups import LookupCache
from workers.steps import Ports
from workers.steps.pods import annotate

PODS = "/api/v1/namespaces/default/pods"


def ports(api: InProcess, clock: VirtualClock) -> Ports:
    kube = Kube(api)
    return Ports(
        ec2=Script().ec2(),
        kube=kube,
        store=Store.on(FakeRedis(), keys.prefix("c")),
        publisher=Published(),
        lookups=LookupCache(kube, clock),
        clock=clock,
        cluster="c",
        account="123456789012",
    )


def made(api: InProcess, annotation: str | None) -> dict[str, Any]:
    body = pod("p", "n1")
    if annotation is not None:
        body["metadata"]["annotations"] = {POD_ENI: annotation}
    found: dict[str, Any] = api.ok("POST", PODS, body)["metadata"]
    return found


@pytest.mark.parametrize("annotation", ["theirs", None], ids=["that was served", "that was not"])
def test_a_successor_of_the_same_name_is_not_the_pod(annotation: str | None) -> None:
    """What stands at it would be taken for the pod's own."""
    clock = VirtualClock()
    api = cluster(clock)
    successor = made(api, annotation)
    action = Annotate(
        subject="annotate/u", pod_uid=PodUid("u"), namespace="default", name="p", annotation=POD_ENI, value="ours"
    )
    with pytest.raises(Conflict):
        annotate(action, ports(api, clock))
    stands = api.ok("GET", f"{PODS}/p")["metadata"]
    assert stands["uid"] == successor["uid"]
    assert stands.get("annotations", {}).get(POD_ENI) == annotation


def test_what_stands_at_the_pod_is_never_overwritten() -> None:
    clock = VirtualClock()
    api = cluster(clock)
    uid = PodUid(made(api, "earlier")["uid"])
    action = Annotate(
        subject=f"annotate/{uid}", pod_uid=uid, namespace="default", name="p", annotation=POD_ENI, value="ours"
    )
    assert annotate(action, ports(api, clock)) == "earlier"
    assert api.ok("GET", f"{PODS}/p")["metadata"]["annotations"][POD_ENI] == "earlier"
