"""A large cluster whose controller is restarted: with what Redis knows, and with nothing but EC2 and the pods."""

import random
import time
from collections.abc import Sequence

import redis

from benchmarks import arranged
from benchmarks.figures import Figures
from benchmarks.measure import Journal
from benchmarks.stand import LINUX, Stand, named, standing
from common.model.ids import NodeName
from common.model.ledger import TrunkState
from common.model.names import POD_ENI
from common.store import Store, connect, keys
from tests.integration.rig import CLUSTER

NODES, BRANCHES = 1000, 10
TYPE, CAPACITY = "m5.4xlarge", 54
PROBES = 10
ADOPTION_SECONDS = 900.0
SERVE_SECONDS = 300.0


def restart(figures: Figures) -> None:
    """Times count from the start of our processes, at which moment the new pods are there."""
    with standing(figures, workers=0) as stand:
        names = named("n", NODES)
        fill(stand, names)
        figures.add(nodes=NODES, branches=NODES * BRANCHES)
        stand.start_product()
        figures.add(first_start_all_ready_s=stand.wait_capacity(CAPACITY, NODES, ADOPTION_SECONDS))
        wait_adopted(stand, names)
        _again(stand, figures, names, "intact", empty=False)
        _again(stand, figures, names, "empty", empty=True)
        stand.check(figures)


def _again(stand: Stand, figures: Figures, names: Sequence[str], prefix: str, *, empty: bool) -> None:
    stand.stop_product()
    if empty:
        redis.Redis(port=stand.redis.port).flushall()
    stand.rest()
    nodes = random.Random(prefix).sample(list(names), PROBES)
    stand.start_product()
    meter = stand.meter()
    began = time.monotonic()
    asked = stand.add_pods([(f"{prefix}{number}", node) for number, node in enumerate(nodes)])
    stand.serve(asked, SERVE_SECONDS, figures)
    ends = [stand.watch.served[name] - began for name in asked if name in stand.watch.served]
    figures.add(
        **{f"{prefix}_first_served_s": min(ends, default=0.0), f"{prefix}_all_served_s": max(ends, default=0.0)}
    )
    cpu = meter.cpu_seconds()
    wait_adopted(stand, names)
    figures.add(**{f"{prefix}_all_adopted_s": time.monotonic() - began})
    calls = Journal.read(stand.rig).counts()
    reads = sum(number for action, number in calls.items() if action.startswith("Describe"))
    figures.add(
        **{
            f"{prefix}_describe_calls": reads,
            f"{prefix}_other_calls": calls.total() - reads,
            f"{prefix}_sandbox_cpu_until_served_s": sum(cpu.get(name, 0.0) for name in ("ec2", "kube")),
            f"{prefix}_own_cpu_until_served_s": sum(s for name, s in cpu.items() if name not in ("ec2", "kube")),
        }
    )


def wait_adopted(stand: Stand, names: Sequence[str]) -> None:
    """Until every node has its ledger with its trunk and its branches."""
    store = Store.on(connect(stand.redis.url), keys.prefix(CLUSTER))
    missing = [NodeName(name) for name in names]

    def adopted() -> bool:
        time.sleep(0.5)
        missing[:] = [name for name in missing if not _known(store, name)]
        return not missing

    stand.rig.wait("all nodes adopted", adopted, ADOPTION_SECONDS)


def _known(store: Store, name: NodeName) -> bool:
    ledger = store.ledgers.load(name)
    return ledger is not None and ledger.trunk.state is TrunkState.READY and len(ledger.branches) >= BRANCHES


def fill(stand: Stand, names: Sequence[str]) -> None:
    """Instances with trunks and branches, Nodes, and a pod with its annotation for each branch."""
    stand.add_instances(names, TYPE)
    made = arranged.branches(stand.rig, arranged.trunks(stand.rig, names), BRANCHES)
    stand.add_nodes(names, LINUX)
    pods = [f"old{number:05}" for number in range(len(made))]
    notes = dict(zip(pods, arranged.annotations(stand.rig, made), strict=True))
    with stand.arranging():
        stand.add_pods(((pod, one.node) for pod, one in zip(pods, made, strict=True)), POD_ENI, notes)
    uids = {pod["metadata"]["name"]: pod["metadata"]["uid"] for pod in stand.rig.pods()}
    arranged.name_pods(stand.rig, made, [uids[pod] for pod in pods])


BENCHMARKS = {"restart": restart}
