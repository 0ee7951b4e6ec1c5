"""`python -m benchmarks.churn`: pods that come at a steady rate and live for a while, at EC2's default limits.

Faster than EC2 makes interfaces the backlog grows, unless interfaces of ended pods are used again (`--warm-target`).
Prints how long pods waited and what calls each cost; exit status 1 where a result is wrong, however slow.
"""

import argparse
import heapq
import sys
import time
from collections.abc import Iterable

from rich.console import Console

from benchmarks.figures import Figures
from benchmarks.stand import LINUX, Stand, named, spread_over, standing
from common.kube.transport import Request

TYPE, BRANCHES = "c5.4xlarge", 54
READY_SECONDS = 120.0
IDLE_SECONDS = 600.0
"""In which EC2 makes what is idle at first."""
LAST_SECONDS = 5.0
"""For the pods of the last second."""
PODS = "/api/v1/namespaces/default/pods"


def churn(
    figures: Figures,
    *,
    rate: float,
    life: float,
    nodes: int,
    minutes: float,
    before: float,
    warm_target: int,
    rest: int,
) -> None:
    """`rate` pods a second, each for `life` seconds, on `nodes` in turns; those of `before` minutes are not counted."""
    names = named("n", nodes)
    config = {"branch-eni-warm-target": str(warm_target), "branch-eni-cooldown": str(rest)}
    with standing(figures, config=config) as stand:
        stand.add_instances(names, TYPE)
        stand.add_nodes(names, LINUX)
        stand.wait_capacity(BRANCHES, nodes, READY_SECONDS)
        wait_idle(stand, nodes * warm_target)
        stand.rest()
        seconds = 60 * (before + minutes)
        pods = spread_over(int(rate * seconds), names)
        uncounted = int(rate * 60 * before)
        meter = stand.meter()
        asked = live(stand, pods, rate, life, uncounted)
        counted = [name for name, _ in pods[uncounted:]]
        stand.watch.wait(counted[-max(1, int(rate)) :], LAST_SECONDS)
        served = {name: stand.watch.served[name] - asked[name] for name in counted if name in stand.watch.served}
        figures.add(rate=rate, life_s=life, nodes=nodes, minutes=minutes, warm_target=warm_target, cooldown_s=rest)
        figures.add(pods=len(counted), not_served=len(counted) - len(served))
        figures.waits("wait", list(served.values()))
        stand.account(figures, meter, len(pods))
        journal = stand.calls(figures)
        figures.add(ec2_calls_a_pod=len(journal.calls) / max(1, len(counted)))
        stand.check(figures)


def wait_idle(stand: Stand, idle: int) -> None:
    """Until EC2 has made so many, as nobody has any."""

    def made() -> bool:
        time.sleep(1.0)
        calls = stand.rig.ec2("GET", "journal")
        done = [call for call in calls if call["action"] == "AssociateTrunkInterface" and call["outcome"] == "ok"]
        return len(done) >= idle

    stand.rig.wait(f"{idle} idle interfaces", made, IDLE_SECONDS)


def live(stand: Stand, pods: Iterable[tuple[str, str]], rate: float, life: float, uncounted: int) -> dict[str, float]:
    """Each pod at its moment, whatever the ones before wait for, and its end; when each was asked for. EC2's calls so
    far are forgotten when the first that counts comes."""
    began = time.monotonic()
    asked: dict[str, float] = {}
    ends: list[tuple[float, str]] = []

    def until(moment: float) -> None:
        while ends and ends[0][0] <= moment:
            end, name = heapq.heappop(ends)
            time.sleep(max(0.0, end - time.monotonic()))
            stand.api.send(Request("DELETE", f"{PODS}/{name}", body={"gracePeriodSeconds": 0}))
        time.sleep(max(0.0, moment - time.monotonic()))

    for number, pod in enumerate(pods):
        until(began + number / rate)
        if number == uncounted:
            stand.rig.ec2("DELETE", "journal")
        asked |= stand.add_pods([pod])
        heapq.heappush(ends, (asked[pod[0]] + life, pod[0]))
    return asked


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.churn", description=__doc__)
    parser.add_argument("--rate", type=float, default=10.0, help="pods a second (10)")
    parser.add_argument("--life", type=float, default=60.0, help="seconds that each lives (60)")
    parser.add_argument("--nodes", type=int, default=50, help="(50)")
    parser.add_argument("--minutes", type=float, default=5.0, help="in which pods count (5)")
    parser.add_argument("--before", type=float, default=0.0, help="minutes of pods that do not count (0)")
    parser.add_argument("--warm-target", type=int, default=0, help="idle interfaces on each node (0)")
    parser.add_argument("--cooldown", type=int, default=60, help="seconds that an interface rests (60)")
    options = parser.parse_args()
    figures = Figures("churn")
    churn(
        figures,
        rate=options.rate,
        life=options.life,
        nodes=options.nodes,
        minutes=options.minutes,
        before=options.before,
        warm_target=options.warm_target,
        rest=options.cooldown,
    )
    figures.show(Console(width=None if sys.stdout.isatty() else 120))
    return 1 if figures.wrong else 0


if __name__ == "__main__":
    sys.exit(main())
