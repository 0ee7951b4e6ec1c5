"""EC2 fails in four ways, one after the other, under load: when the last pod is served after all is well."""

import time

from benchmarks.faults import Faults, Load, busy_share, ready_nodes, report
from benchmarks.figures import Figures, ideal_seconds, linux_calls
from benchmarks.measure import Journal
from benchmarks.stand import Stand, standing

NODES = 20
EACH_SECONDS = 20.0
WAYS: dict[str, dict[str, object]] = {
    "InternalError": {"code": "InternalError", "status": 500},
    "reset after the effect": {"code": "reset", "when": "after"},
    "throttled": {"code": "RequestLimitExceeded", "status": 503, "rate": 0.7},
    "no addresses": {
        "action": "CreateNetworkInterface",
        "code": "InsufficientFreeAddressesInSubnet",
        "status": 400,
    },
}


def outage(figures: Figures, each: float = EACH_SECONDS) -> None:
    """80 s of faults at five pods per second. The bound is what EC2's limits take for the pods that wait at their
    end."""
    faults = Faults()
    with standing(figures, workers=0, judged=True, config={"branch_eni_cooldown": "30"}) as stand:
        stand.start_product(watchers=2)
        nodes = ready_nodes(stand, NODES)
        stand.rest()
        cpu, _ = busy_share()
        load = Load(stand, nodes, 5.0)
        with load.running():
            for name, rule in WAYS.items():
                faults.note(name)
                stand.rig.ec2("POST", "faults", [rule])
                time.sleep(each)
                stand.rig.ec2("DELETE", "faults")
        well, well_epoch = time.monotonic(), time.time()
        backlog = [name for name in load.asked if name not in stand.watch.served]
        bound = max(ideal_seconds(linux_calls(len(backlog))), 0.0)
        full = max((number / 5.0 for number in linux_calls(len(backlog)).values()), default=0.0)
        stand.watch.wait(load.asked, 600.0)
        last = max((stand.watch.served.get(name, float("inf")) for name in backlog), default=well)
        figures.add(
            backlog=len(backlog),
            last_after_all_is_well_s=last - well,
            limits_from_full_buckets_s=bound,
            limits_from_empty_buckets_s=full,
            machine_busy=busy_share(cpu)[1],
        )
        _calls(stand, figures, well_epoch)
        report(stand, figures, load, faults)


def _calls(stand: Stand, figures: Figures, well: float) -> None:
    """Calls that pods need, while EC2 failed and from then on: what was spent on asking, and what on throttling."""
    calls = Journal.read(stand.rig).calls
    for action in linux_calls(1):
        before = [call for call in calls if call["action"] == action and call["time"] < well]
        after = [call for call in calls if call["action"] == action and call["time"] >= well]
        refused = sum(call["outcome"] == "RequestLimitExceeded" for call in after)
        figures.add(**{action: f"{len(before)} while it failed, {len(after)} after ({refused} throttled)"})


BENCHMARKS = {"outage": outage}
