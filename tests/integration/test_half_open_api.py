"""Connections to the API server that carry nothing any more, of which neither end learns: every watch is begun anew
within its bound, in a process' first minute and later."""

import json
import time
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from benchmarks.proxy import Proxy
from common.kube.reflector import MARGIN_SECONDS, WATCH_SECONDS
from sandbox.ports import free_port
from tests.integration.rig import Process, Rig, running
from watcher.kinds import RESOURCES

NOTICED_SECONDS = WATCH_SECONDS[1] + MARGIN_SECONDS
assert NOTICED_SECONDS == 20.0
AGAIN_SECONDS = 1.0
"""The first back-off, and the look of this test."""
POLICIES = "/apis/vpcresources.k8s.aws/v1beta1/namespaces/default/securitygrouppolicies"
POLICY = {
    "apiVersion": "vpcresources.k8s.aws/v1beta1",
    "kind": "SecurityGroupPolicy",
    "metadata": {"name": "by-account"},
    "spec": {
        "serviceAccountSelector": {"matchLabels": {"team": "pay"}},
        "securityGroups": {"groupIds": ["sg-0000000000000001"]},
    },
}
"""With it service accounts are followed as well."""


@pytest.fixture
def rig(tmp_path: Path) -> Iterator[Rig]:
    with running(tmp_path, watchers=0, workers=0) as (found, _):
        yield found
        assert found.faults_logged() == []


def broken(rig: Rig, watcher: Process) -> set[str]:
    """Kinds whose watch was given up as silent."""
    return {
        resource.name
        for resource in RESOURCES.values()
        if rig.metric(watcher, "vpc_rc_watch_restarts_total", kind=resource.name, reason="ReadTimeoutError") > 0
    }


@pytest.mark.slow
@pytest.mark.parametrize("after", [0.0, 70.0], ids=["in the first minute", "later"])
def test_every_watch_is_begun_anew(rig: Rig, after: float) -> None:
    config = json.dumps(json.loads((rig.folder / "kubeconfig").read_text()))
    proxy = Proxy(int(urlsplit(rig.kube_url).port or 0))
    file = rig.folder / "kubeconfig-proxied"
    file.write_text(config.replace(rig.kube_url, f"http://127.0.0.1:{proxy.port}"))
    rig.kube("POST", POLICIES, POLICY)
    watcher = rig.start_watcher(VPC_RC_KUBECONFIG=str(file), VPC_RC_HEALTH_PORT=str(free_port()))

    def knows(kind: str, number: int) -> bool:
        return rig.metric(watcher, "vpc_rc_watched", kind=kind) == number

    rig.wait("it leads", lambda: rig.metric(watcher, "vpc_rc_leader") == 1)
    rig.register("before", "aws:///us-west-2a/i-0000000000000000a", **{"kubernetes.io/os": "linux"})
    rig.wait("it knows the node", lambda: knows("nodes", 1))
    time.sleep(after)
    assert broken(rig, watcher) == set()
    proxy.set("half-open")
    began = time.monotonic()
    rig.register("after", "aws:///us-west-2a/i-0000000000000000b", **{"kubernetes.io/os": "linux"})
    every = {resource.name for resource in RESOURCES.values()}
    seconds = rig.wait(
        "every watch is given up", lambda: broken(rig, watcher) == every, NOTICED_SECONDS + AGAIN_SECONDS
    )
    rig.wait("it knows the other node", lambda: knows("nodes", 2), 10)
    print(f"all given up after {seconds:.1f} s, the node known after {time.monotonic() - began:.1f} s")
    assert rig.metric(watcher, "vpc_rc_leader") == 1
    assert watcher.stop() == 0
