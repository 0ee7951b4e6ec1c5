"""Many nodes that join at once, each with a pod bound to it already."""

from benchmarks.figures import Figures, ideal_seconds, linux_calls
from benchmarks.linux import BRANCHES, EVERY_SECONDS, TYPE
from benchmarks.stand import LINUX, named, spread_over, standing

NODES = 200


def join(figures: Figures) -> None:
    """Default limits. The ideal is that of the calls for trunks and branches together."""
    with standing(figures) as stand:
        names = named("n", NODES)
        stand.add_instances(names, TYPE)
        # Workers that are still starting are not what is measured.
        stand.add_instances(["first0000"], TYPE)
        stand.add_nodes(["first0000"], LINUX)
        stand.wait_capacity(BRANCHES, 1, 60)
        stand.rest()
        meter = stand.meter()
        asked: dict[str, float] = {}
        for name, pod in zip(names, spread_over(NODES, names), strict=True):
            stand.add_nodes([name], LINUX)
            asked |= stand.add_pods([pod])
        waits = stand.serve(asked, EVERY_SECONDS, figures)
        stand.wait_capacity(BRANCHES, NODES + 1, EVERY_SECONDS)
        stand.account(figures, meter, NODES)
        ends = [stand.watch.served[name] for name in asked if name in stand.watch.served]
        served = max(ends, default=0.0) - min(asked.values())
        ideal = ideal_seconds(linux_calls(NODES, NODES))
        figures.add(all_served_s=served, ideal_s=ideal, times_ideal=served / ideal)
        figures.waits("wait", waits)
        journal = stand.calls(figures)
        trunks = journal.of("ModifyNetworkInterfaceAttribute")
        first = min(call["time"] for call in journal.calls)
        figures.add(last_trunk_s=max(call["time"] for call in trunks) - first)
        stand.check(figures)


BENCHMARKS = {"join": join}
