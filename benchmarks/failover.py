"""Processes that are killed, frozen and ended under load: what pods wait for it. In the last Redis fails, too."""

import random
import time

import redis

from benchmarks import restart
from benchmarks.faults import TYPE, Faults, Load, busy_share, kill, pace, ready_nodes, report, restarted
from benchmarks.figures import Figures
from benchmarks.stand import LINUX, Stand, named, standing
from tests.integration.rig import Process

NODES = 20
REST = {"branch_eni_cooldown": "30"}
SETTLE_SECONDS = 5.0
FREEZE_SECONDS = (20.0, 50.0)
RESTART_NODES, NEW_PODS = 1000, 20


def failover(figures: Figures, seconds: float = 120.0, kills: int = 24) -> None:
    """24 x kill -9 in two minutes among two workers and two watchers, at three pods per second."""
    rng = random.Random(16)

    def act(stand: Stand, faults: Faults, number: int) -> None:
        restarted(stand)
        chosen = stand.own[number % len(stand.own)]
        faults.note(f"kill {_role(chosen)}")
        kill(stand, chosen)

    _under_load(figures, 3.0, seconds, kills, act, rng, watchers=2)


def failover_alone(figures: Figures, seconds: float = 60.0) -> None:
    """One watcher only, killed every five seconds, at three pods per second."""

    def act(stand: Stand, faults: Faults, number: int) -> None:
        del number
        faults.note("kill watcher")
        kill(stand, next(p for p in stand.own if _role(p) == "watcher"))

    _under_load(figures, 3.0, seconds, round(seconds / 5), act, random.Random(5), watchers=1)


def failover_all(figures: Figures, nodes: int = RESTART_NODES) -> None:
    """kill -9 of everything with a thousand nodes of ten branches each, started again at once: new pods served."""
    with standing(figures, workers=0) as stand:
        names = named("n", nodes)
        restart.fill(stand, names)
        stand.start_product(watchers=2)
        stand.wait_capacity(restart.CAPACITY, nodes, restart.ADOPTION_SECONDS)
        restart.wait_adopted(stand, names)
        stand.rest()
        cpu, _ = busy_share()
        for process in stand.own:
            process.kill()
        stand.start_product(watchers=2)
        began = time.monotonic()
        placed = [(f"new{n}", names[n * 37 % nodes]) for n in range(NEW_PODS)]
        asked = stand.add_pods(placed)
        stand.serve(asked, restart.SERVE_SECONDS, figures)
        ends = [stand.watch.served[name] - began for name in asked if name in stand.watch.served]
        figures.add(
            nodes=nodes,
            first_served_s=min(ends, default=0.0),
            all_served_s=max(ends, default=0.0),
            machine_busy=busy_share(cpu)[1],
        )
        stand.check(figures)


def failover_mixed(figures: Figures, seconds: float = 240.0) -> None:
    """Kills, SIGTERMs, freezes of 20 to 50 s, Redis killed, frozen for 5 s and flushed, nodes added, at four pods a
    second. A process is thawed with the first fault after its time, at the latest at the end."""
    rng = random.Random(61)
    thawed: list[tuple[float, Process]] = []

    def thaw() -> None:
        for moment, process in [one for one in thawed if one[0] <= time.monotonic()]:
            if process.running:
                process.go_on()
            thawed.remove((moment, process))

    def act(stand: Stand, faults: Faults, number: int) -> None:
        thaw()
        restarted(stand)
        awake = [p for p in stand.own if all(p is not frozen for _, frozen in thawed)]
        chosen = rng.choice(awake)
        match number % 8:
            case 0 | 4:
                faults.note(f"kill {_role(chosen)}")
                kill(stand, chosen)
            case 1:
                faults.note(f"SIGTERM {_role(chosen)}")
                kill(stand, chosen, "term")
            case 2 if len([p for p in awake if _role(p) == _role(chosen)]) > 1:
                faults.note(f"freeze {_role(chosen)}")
                chosen.pause()
                thawed.append((time.monotonic() + rng.uniform(*FREEZE_SECONDS), chosen))
            case 3:
                faults.note("Redis killed")
                stand.redis.kill()
                stand.redis.start()
            case 5:
                faults.note("Redis flushed")
                redis.Redis(port=stand.redis.port).flushall()
            case 6:
                faults.note("Redis frozen")
                client = redis.Redis(port=stand.redis.port)
                client.client_pause(5000)
            case _:
                faults.note("node added")
                _add_node(stand)

    try:
        _under_load(figures, 4.0, seconds, round(seconds / 10), act, rng, watchers=2)
    finally:
        for _, process in thawed:
            if process.running:
                process.go_on()


def _add_node(stand: Stand) -> None:
    """One more, without pods."""
    new = f"r{int(time.monotonic()):05}"
    stand.add_instances([new], TYPE)
    stand.add_nodes([new], LINUX)


def _under_load(
    figures: Figures, rate: float, seconds: float, times: int, act: object, rng: random.Random, *, watchers: int
) -> None:
    assert callable(act)
    faults = Faults()
    with standing(figures, workers=0, judged=True, config=REST) as stand:
        stand.start_product(watchers=watchers)
        load = Load(stand, ready_nodes(stand, NODES), rate)
        cpu, _ = busy_share()
        with load.running():
            time.sleep(SETTLE_SECONDS)
            pace(seconds, times, lambda number: act(stand, faults, number), rng)
            restarted(stand)
        figures.add(machine_busy=busy_share(cpu)[1])
        report(stand, figures, load, faults)


def _role(process: Process) -> str:
    return "watcher" if process.name.startswith("watcher") else "worker"


BENCHMARKS = {
    "failover": failover,
    "failover-alone": failover_alone,
    "failover-all": failover_all,
    "failover-mixed": failover_mixed,
}
