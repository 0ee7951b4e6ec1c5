"""What more worker processes bring, and that they cost EC2 nothing."""

from collections.abc import Sequence

from benchmarks.figures import Figures, per_hundred
from benchmarks.linux import BRANCHES, EVERY_SECONDS, FAST_KUBE, TYPE
from benchmarks.measure import Journal
from benchmarks.stand import LINUX, named, spread_over, standing

FEW_THREADS = {"VPC_RC_WORKER_THREADS": "4", "VPC_RC_EC2_MAX_CONNECTIONS": "16"}
"""So few that waiting for EC2 is what limits one process, and not the machine."""
NODES, PODS = 40, 240
THROTTLED_NODES, THROTTLED_PODS = 20, 300


def workers(figures: Figures) -> None:
    """The same burst with one, two and four workers: where EC2 is slow, and where its limits are what they are."""
    taken = {}
    for number in (1, 2, 4):
        with standing(figures, workers=number, lifted=True, settings={**FEW_THREADS, **FAST_KUBE}) as stand:
            names = named("n", NODES)
            stand.add_instances(names, TYPE)
            stand.add_nodes(names, LINUX)
            stand.wait_capacity(BRANCHES, NODES, 240)
            stand.scale(latencies=2)
            asked = stand.add_pods(spread_over(PODS, names))
            waits = stand.serve(asked, EVERY_SECONDS, figures)
            taken[number] = _last(stand.watch.served, asked)
            figures.add(**{f"slow_ec2_{number}_workers_s": taken[number]})
            figures.waits(f"slow_ec2_{number}_workers_wait", waits)
            stand.check(figures)
    if len(taken) == 3:
        figures.add(two_workers_times_faster=taken[1] / taken[2], four_workers_times_faster=taken[1] / taken[4])
    for number in (1, 4):
        with standing(figures, workers=number) as stand:
            names = named("n", THROTTLED_NODES)
            stand.add_instances(names, TYPE)
            stand.add_nodes(names, LINUX)
            stand.wait_capacity(BRANCHES, THROTTLED_NODES, 240)
            stand.rest()
            asked = stand.add_pods(spread_over(THROTTLED_PODS, names))
            stand.serve(asked, EVERY_SECONDS, figures)
            journal = Journal.read(stand.rig)
            prefix = f"default_limits_{number}_workers"
            figures.add(
                **{
                    f"{prefix}_s": _last(stand.watch.served, asked),
                    f"{prefix}_throttled": journal.throttled(),
                    f"{prefix}_throttled_per_hundred": per_hundred(journal.throttled(), len(journal.calls)),
                }
            )
            stand.check(figures)


def _last(served: dict[str, float], asked: dict[str, float]) -> float:
    ends: Sequence[float] = [served[name] for name in asked if name in served]
    return max(ends, default=0.0) - min(asked.values())


BENCHMARKS = {"workers": workers}
