"""Pods with branch interfaces on Linux nodes: bursts at EC2's default limits, at raised ones, and without any."""

import statistics
from collections.abc import Callable

from benchmarks.figures import Benchmark, Figures, ideal_seconds, linux_calls
from benchmarks.measure import Journal
from benchmarks.stand import LINUX, Stand, named, spread_over, standing
from benchmarks.tenant import CREATE, OtherClient
from cli.demo.ideal import POD_OPERATIONS, scaled
from common.settings import DEFAULT_EC2_RATES, RateLimit

TYPE, BRANCHES = "m5.xlarge", 18
EVERY_SECONDS = 400.0
"""None of these takes so long by far unless something is wrong."""
FAST_KUBE = {"VPC_RC_KUBE_QPS": "500", "VPC_RC_KUBE_BURST": "500"}
"""Settings with which the API server is not the limit."""


def burst(pods: int, nodes: int) -> Benchmark:
    """Nodes ready and buckets full, then all pods at once."""

    def run(figures: Figures) -> None:
        with standing(figures) as stand:
            burst_of(stand, figures, pods, nodes)

    return run


def lifted(figures: Figures) -> None:
    """What we add to the calls that EC2 needs: of each pod its wait, less what its own calls took."""
    with standing(figures, lifted=True, settings=FAST_KUBE) as stand:
        waits, journal = burst_of(stand, figures, 50, 10)
        needs = journal.latencies(stand.rig.pods())
        added = [wait - needs[name] for name, wait in waits.items()]
        figures.add(added_median_ms=1000 * statistics.median(added), added_longest_ms=1000 * max(added))


def raised(figures: Figures) -> None:
    """An account with ten times the usual limits, which no setting mentions."""
    with standing(figures) as stand:
        stand.scale(buckets=10)
        burst_of(stand, figures, 500, 50, scaled(10))
        figures.add(ideal_by_table_s=ideal_seconds(linux_calls(500)))


def halved(figures: Figures) -> None:
    """An account with half the usual limits, which no setting mentions."""
    with standing(figures) as stand:
        stand.scale(buckets=0.5)
        burst_of(stand, figures, 500, 50, scaled(0.5))


def shared(figures: Figures) -> None:
    """Somebody else in the account uses half of what EC2 allows of one action."""
    with standing(figures) as stand, OtherClient(stand.rig.ec2_url, 2.5) as other:
        rates = dict(DEFAULT_EC2_RATES)
        limit = rates[CREATE]
        rates[CREATE] = RateLimit(burst=limit.burst, refill=limit.refill - other.rate)
        burst_of(stand, figures, 500, 50, rates)
        figures.add(others_calls=other.calls)


def burst_of(
    stand: Stand, figures: Figures, pods: int, nodes: int, rates: dict[str, RateLimit] | None = None
) -> tuple[dict[str, float], Journal]:
    """How long each pod waited, and EC2's calls."""
    names = named("n", nodes)
    stand.add_instances(names, TYPE)
    stand.add_nodes(names, LINUX)
    figures.add(pods=pods, nodes=nodes, nodes_ready_s=stand.wait_capacity(BRANCHES, nodes, 120))
    stand.rest()
    meter = stand.meter()
    asked = stand.add_pods(spread_over(pods, names))
    waits = stand.serve(asked, EVERY_SECONDS, figures)
    stand.account(figures, meter, pods)
    served = {name: stand.watch.served[name] - began for name, began in asked.items() if name in stand.watch.served}
    first = min(asked.values())
    last = max((stand.watch.served[name] for name in asked if name in stand.watch.served), default=first) - first
    ideal = ideal_seconds(linux_calls(pods), rates)
    figures.add(creating_pods_s=max(asked.values()) - first, all_served_s=last, ideal_s=ideal)
    figures.add(times_ideal=last / ideal if ideal else None)
    figures.waits("wait", waits)
    journal = stand.calls(figures)
    figures.add(ec2_needs_s=journal.mean_latency(*POD_OPERATIONS))
    stand.check(figures)
    return served, journal


BENCHMARKS: dict[str, Callable[[Figures], None]] = {
    "linux-small": burst(50, 10),
    "linux-demo": burst(300, 20),
    "linux-large": burst(500, 50),
    "linux-lifted": lifted,
    "raised": raised,
    "halved": halved,
    "shared": shared,
}
