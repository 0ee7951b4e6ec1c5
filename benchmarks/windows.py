"""Windows nodes: pods out of a warm pool, bursts past it, and many nodes that start at once."""

import statistics
import time
from collections import Counter
from collections.abc import Iterable, Sequence

from benchmarks.figures import Figures, ideal_seconds, spread
from benchmarks.measure import Journal
from benchmarks.stand import WINDOWS, Stand, instance_id, named, spread_over, standing
from common.model.names import PRIVATE_IPV4
from tests.integration.windows_churn import IPAM, PREFIXES, Churn

ASSIGN = "AssignPrivateIpAddresses"
SECONDS = 180.0


def warm(figures: Figures) -> None:
    """30 pods on a node with 30 warm addresses."""
    with standing(figures, config={**IPAM, "windows_warm_ip_target": "30"}) as stand:
        names = _nodes(stand, 1, "m5.16xlarge", 49)
        stand.rig.wait("a full pool", lambda: min(_held(stand, names)) >= 30, 60)
        stand.rest()
        _burst(stand, figures, names, 30)


def burst(figures: Figures) -> None:
    """12 pods at once on each of 20 nodes with the usual three warm addresses."""
    with standing(figures, config=IPAM) as stand:
        names = _nodes(stand, 20, "m5.xlarge", 14)
        stand.rig.wait("full pools", lambda: min(_held(stand, names)) >= 3, 120)
        stand.rest()
        _burst(stand, figures, names, 12)


def start(figures: Figures) -> None:
    """50 nodes at once; as soon as all pools are full, 14 pods on each."""
    with standing(figures, config=IPAM) as stand:
        _nodes(stand, 1, "m5.xlarge", 14, "first")
        stand.rest()
        began = time.monotonic()
        names = _nodes(stand, 50, "m5.xlarge", 14)
        stand.rig.wait("full pools", lambda: min(_held(stand, names)) >= 3, SECONDS)
        figures.add(pools_full_s=time.monotonic() - began)
        _burst(stand, figures, names, 14)
        # One call for a node's pool and one for the addresses that its pods need beyond it.
        figures.add(ideal_s=ideal_seconds({ASSIGN: 2 * len(names)}))


def switch(figures: Figures) -> None:
    """Five pods per second for two minutes on six nodes, each alive for 5 to 15 s; the mode changes four times."""
    switches = [(at, PREFIXES if number % 2 == 0 else IPAM) for number, at in enumerate((24.0, 48.0, 72.0, 96.0))]
    feature = {"VPC_RC_ENABLE_WINDOWS_PREFIX_DELEGATION": "true"}
    with standing(figures, config=IPAM, settings=feature) as stand:
        names = _nodes(stand, 6, "m5.16xlarge", 49)
        stand.rig.wait("full pools", lambda: min(_held(stand, names)) >= 3, 60)
        churn = Churn(stand.rig, {name: instance_id(name) for name in names}, 5, 120.0, switches)
        churn.run()
        figures.add(pods=len(churn.asked), last_served_after_s=churn.settled(SECONDS))
        figures.waits("wait", churn.waits)
        stand.calls(figures)
        figures.wrong += churn.problems
        stand.check(figures, branches=False)


def _nodes(stand: Stand, number: int, instance_type: str, capacity: int, prefix: str = "w") -> list[str]:
    names = named(prefix, number)
    stand.add_instances(names, instance_type, "windows")
    stand.add_nodes(names, WINDOWS)
    stand.wait_capacity(capacity, number, SECONDS, PRIVATE_IPV4)
    return names


def _burst(stand: Stand, figures: Figures, names: Sequence[str], each: int) -> None:
    pods = each * len(names)
    before = Journal.read(stand.rig).counts()[ASSIGN]
    meter, wall = stand.meter(), time.time() - time.monotonic()
    asked = stand.add_pods(spread_over(pods, names), PRIVATE_IPV4)
    waits = stand.serve(asked, SECONDS, figures)
    stand.account(figures, meter, pods)
    first = min(asked.values())
    last = max((stand.watch.served[name] for name in asked if name in stand.watch.served), default=first)
    figures.add(pods=pods, nodes=len(names), creating_pods_s=max(asked.values()) - first, all_served_s=last - first)
    figures.waits("wait", waits)
    journal = stand.calls(figures)
    during = [call for call in journal.calls if wall + first <= call["time"] <= wall + last]
    assigned = Counter(call["params"]["NetworkInterfaceId"] for call in journal.of(ASSIGN)[before:])
    figures.add(
        ec2_calls_until_last_annotation=len(during),
        assign_calls_a_node=spread(assigned.values()) if assigned else 0,
        assign_calls_a_node_median=statistics.median(assigned.values()) if assigned else 0,
    )
    figures.wrong += _misplaced(stand)
    stand.check(figures, branches=False)


def _primaries(stand: Stand) -> dict[str, list[str]]:
    """Secondary addresses by instance."""
    return {
        one["attachment"]["instance_id"]: one["secondary_ips"]
        for one in stand.rig.ec2("GET", "state")["interfaces"]
        if one["attachment"] and one["attachment"]["device_index"] == 0
    }


def _held(stand: Stand, names: Iterable[str]) -> list[int]:
    time.sleep(0.1)
    held = _primaries(stand)
    return [len(held[instance_id(name)]) for name in names]


def _misplaced(stand: Stand) -> list[str]:
    """Addresses given twice, or not the node's own."""
    found, owners, held = [], dict[str, str](), _primaries(stand)
    for pod in stand.rig.pods():
        name, address = pod["metadata"]["name"], pod["metadata"].get("annotations", {}).get(PRIVATE_IPV4, "")
        if not address:
            continue
        if address in owners:
            found.append(f"{address} is given to {name} and {owners[address]}")
        owners[address] = name
        bare, _, length = address.partition("/")
        if length != "16" or bare not in held[instance_id(pod["spec"]["nodeName"])]:
            found.append(f"{name}: {address} is not one of its node's")
    return found


BENCHMARKS = {"windows-warm": warm, "windows-burst": burst, "windows-start": start, "windows-switch": switch}
