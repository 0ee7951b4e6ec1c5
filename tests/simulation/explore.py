"""Random cluster lives: `python -m tests.simulation.explore --seeds 200`, and `--seed N` replays one with its timeline;
with `--shrink` a failing one is made as short as it goes and printed as a test.

The generator draws from everything that Kubernetes, EC2, Redis and people do (happenings.py), at random moments: before
a step, at one of a worker's calls, and at the first where some subject is in a state that soon passes. Then there is
peace, and what worlds.py asks of every life is asked, and that a fresh cluster with the same objects comes to the same
(differential.py).
"""

import argparse
import logging
import os
import random
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass, field
from multiprocessing import get_context

import structlog

from tests.kit.clock import START, VirtualClock
from tests.simulation import happenings as it
from tests.simulation import worlds
from tests.simulation.cluster import GROUP, OTHER_GROUP, Cluster
from tests.simulation.coverage import STATES, Met, states, table
from tests.simulation.differential import differences
from tests.simulation.happenings import Happening
from tests.simulation.shrink import Step, as_test, shrink, sort_of, take
from watcher.kinds import Kind

LINUX, WINDOWS = ("n1", "n2"), ("w1",)
LINUX_TYPES = ("m5.large", "c5.xlarge")
STEPS = 25
WARM_SEEDS = 1
"""Lives of seeds with this rest of three keep idle interfaces."""
MOST_PODS = 7
"""On each node, so that all can be served."""
PAUSES = (0.2, 1.0, 3.0, 10.0, 65.0)
APPS = (None, "web", "db")
POLICIES = ("one", "two")
GROUPS = ((GROUP,), (OTHER_GROUP,), (GROUP, OTHER_GROUP))
SETTINGS = (
    ("branch-eni-cooldown", ("30", "45", "60", "soon")),
    ("enable-windows-prefix-delegation", ("true", "false")),
    ("warm-ip-target", ("1", "3", "0", "many")),
    ("minimum-ip-target", ("1", "5")),
    ("warm-prefix-target", ("0", "1", "2")),
)
"""Keys of the ConfigMap with the values that they get: right ones and wrong ones."""
TOLD_LINES = 60

Draw = Callable[[random.Random, Cluster], Happening | None]


def _pod(rng: random.Random, cluster: Cluster) -> str:
    return rng.choice(cluster.pod_names() or ["nobody"])


def _node(rng: random.Random, cluster: Cluster) -> str:
    return rng.choice([name for name in cluster.instances if cluster.node_there(name)] or ["n1"])


def _comes(rng: random.Random, cluster: Cluster) -> Happening | None:
    node = _node(rng, cluster)
    room = MOST_PODS - sum(cluster.asked_of(node).values())
    count = rng.choice((1, 1, 1, 2, 3))
    app = rng.choice(APPS)
    return it.PodComes(f"p{rng.getrandbits(20)}", node, count, app) if count <= room else None


def _configured(rng: random.Random, cluster: Cluster) -> Happening | None:
    key, values = rng.choice(SETTINGS)
    return it.Configured(key, rng.choice((*values, None)))


def _forged(rng: random.Random, cluster: Cluster) -> Happening | None:
    """Somebody spoils an annotation; one that a pod runs with is all that tells what it has of what was made before."""
    pods = cluster.pod_names()
    return it.Annotated(rng.choice(pods), worlds.JUNK) if pods else None


VOCABULARY: tuple[tuple[int, Draw], ...] = (
    (30, _comes),
    (10, lambda rng, c: it.PodGoes(_pod(rng, c))),
    (6, lambda rng, c: it.PodFinishes(_pod(rng, c))),
    (4, lambda rng, c: it.PodReplaced(_pod(rng, c))),
    (3, lambda rng, c: it.NodeAway(_node(rng, c), rng.choice((0.5, 2.0, 20.0)))),
    (2, lambda rng, c: it.SecondNode(f"{_node(rng, c)}-again", _node(rng, c))),
    (3, lambda rng, c: it.InstanceReplaced(_node(rng, c))),
    (2, lambda rng, c: it.RedisEmptied()),
    (2, lambda rng, c: it.RedisRestored(rng.choice((1.0, 5.0, 60.0)))),
    (1, lambda rng, c: it.RedisClockSteps(rng.choice((-120.0, -5.0, 5.0, 120.0)))),
    (2, lambda rng, c: it.WatchSilent(rng.choice((5.0, 100.0)), (rng.choice((Kind.PODS, Kind.NODES, Kind.CNINODES)),))),
    (2, lambda rng, c: it.SaidGone(_node(rng, c), rng.random() < 0.5, rng.choice((3.0, 75.0)))),
    (2, lambda rng, c: it.WorkerOvertaken()),
    (1, lambda rng, c: it.WorkersAway(rng.choice((5.0, 120.0)))),
    (1, lambda rng, c: it.SweepComes()),
    (1, lambda rng, c: it.AnnotationCopied(_pod(rng, c), _pod(rng, c))),
    (1, _forged),
    (3, lambda rng, c: it.Ec2Fails(code=rng.choice(("InternalError", "reset")), after=rng.random() < 0.5, count=3)),
    (2, lambda rng, c: it.Ec2Behaves("describe_lag", rng.choice(([0.0, 0.0], [0.0, 3.0], [2.0, 3.0])))),
    (1, lambda rng, c: it.Ec2Behaves("latencies", rng.choice(({"mutate": [2.0, 4.0]}, {"mutate": [0.05, 0.1]})))),
    (3, lambda rng, c: it.Healed()),
    (3, lambda rng, c: it.PolicyPut(rng.choice(POLICIES), rng.choice(("web", "db")), rng.choice(GROUPS))),
    (1, lambda rng, c: it.PolicyGoes(rng.choice(POLICIES))),
    (1, lambda rng, c: it.CustomNetworking("n3", rng.choice(GROUPS), rng.choice(LINUX_TYPES))),
    (1, lambda rng, c: it.EniConfigChanged(rng.choice(GROUPS))),
    (1, lambda rng, c: it.NodeLeaves(_node(rng, c))),
    (3, _configured),
)  # fmt: skip


def draw(rng: random.Random, cluster: Cluster) -> Happening | None:
    _, how = rng.choices(VOCABULARY, weights=[weight for weight, _ in VOCABULARY])[0]
    return how(rng, cluster)


def node_types(rng: random.Random) -> list[str]:
    """The first that a seed picks."""
    return [rng.choice(LINUX_TYPES) for _ in LINUX]


def begin(cluster: Cluster) -> None:
    settings = {"enable-windows-ipam": "true", "branch-eni-cooldown": "30"}
    if cluster.seed % 3 == WARM_SEEDS:
        settings["branch-eni-warm-target"] = "2"
    cluster.configure(settings)
    types = node_types(random.Random(cluster.seed))
    joins = [it.NodeJoins(name, kind) for name, kind in zip(LINUX, types, strict=True)]
    worlds.begin(cluster, *joins, *(it.NodeJoins(name, windows=True) for name in WINDOWS))


def drawn(rng: random.Random, cluster: Cluster) -> Step | None:
    one = draw(rng, cluster)
    if one is None:
        return None
    moment = rng.random()
    within = rng.randrange(1, 80) if moment < 0.4 else None
    when = rng.choice(STATES) if moment > 0.8 else None
    cut = rng.randrange(1, 160) if rng.random() < 0.2 else None
    pause = rng.choice(PAUSES)
    return Step(one, pause, within, cut, when)


met: Met = Met()
"""What the present life met."""


def live(cluster: Cluster, steps: Iterable[Step]) -> None:
    begin(cluster)
    cluster.on_happening = lambda name: met.update((state, name) for state in states(cluster))
    for step in steps:
        take(cluster, step)
        if cluster.judge.violations:
            break
    worlds.right(cluster)
    worlds.peace(cluster, alike)


def alike(cluster: Cluster) -> None:
    found = differences(cluster)
    assert not found, "\n".join(found)


def draws(seed: int, cluster: Cluster, taken: list[Step]) -> Iterator[Step]:
    """The seed's steps, each drawn when the one before it is over; they are kept in `taken`."""
    rng = random.Random(seed)
    node_types(rng)
    for _ in range(STEPS):
        step = drawn(rng, cluster)
        if step is not None:
            taken.append(step)
            yield step


def made(seed: int) -> Cluster:
    """A cluster whose settings the seed picks, too; Redis' clock is its own."""
    rng = random.Random(seed ^ 0xC1)
    clock = VirtualClock()
    time.time = clock.redis_now
    return Cluster(
        clock=clock,
        seed=seed,
        eager=rng.random() < 0.3,
        watcher_writes=rng.random() < 0.5,
        slice_seconds=rng.choice((20.0, 20.0, 1.0)),
        copies_every=1.0,
    )


def explore(seed: int) -> tuple[Cluster, str | None, list[Step]]:
    """What went wrong, if anything did: an assertion's words, or what the product raised; and the steps taken."""
    cluster, taken = made(seed), list[Step]()
    return cluster, outcome(cluster, draws(seed, cluster, taken)), taken


def relive(seed: int, steps: Sequence[Step]) -> tuple[Cluster, str | None]:
    """The life of these steps, in the cluster that the seed makes."""
    cluster = made(seed)
    return cluster, outcome(cluster, steps)


def outcome(cluster: Cluster, steps: Iterable[Step]) -> str | None:
    try:
        live(cluster, steps)
    except AssertionError as error:
        return str(error) or "an assertion in the product"
    except Exception as error:  # noqa: BLE001 - whatever the product raises is a finding
        return f"raised {error!r}"
    return None


def shortened(seed: int, steps: Sequence[Step], wrong: str) -> list[Step]:
    def fails(shorter: Sequence[Step]) -> bool:
        _, again = relive(seed, shorter)
        return again is not None and sort_of(again) == sort_of(wrong)

    return shrink(steps, fails)


def tell(cluster: Cluster, wrong: str) -> None:
    """The timeline of what it is about, or, for want of one, the last things that happened."""
    first = next(iter(cluster.judge.violations), None)
    about = cluster.judge.timeline.story(first.about, START, first.time) if first else None
    lines = about or [f"{one.time - START:9.2f}  {one.text}" for one in cluster.judge.timeline.entries]
    print("\n".join(lines[-TOLD_LINES:]))
    print(wrong.splitlines()[0])


@dataclass(slots=True)
class Lived:
    """What is known of some lives."""

    wrong: list[str] = field(default_factory=list)
    seconds: float = 0.0
    """Simulated ones."""
    happened: Counter[str] = field(default_factory=Counter)
    met: Met = field(default_factory=Counter)

    def add(self, other: "Lived") -> None:
        self.wrong += other.wrong
        self.seconds += other.seconds
        self.happened += other.happened
        self.met += other.met


def lived(seed: int) -> Lived:
    """The seed's life, in this process."""
    met.clear()
    cluster, wrong, _ = explore(seed)
    happened = Counter(
        entry.text.removeprefix("** ").partition("(")[0]
        for entry in cluster.judge.timeline.entries
        if entry.text.startswith("** ")
    )
    return Lived([wrong.splitlines()[0]] if wrong else [], cluster.clock.monotonic(), happened, Counter(met))


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.simulation.explore", description=__doc__)
    parser.add_argument("--seeds", type=int, default=100, help="how many lives")
    parser.add_argument("--first", type=int, default=0, help="the first seed")
    parser.add_argument("--seed", type=int, help="replay this one, with its timeline")
    parser.add_argument("--shrink", action="store_true", help="with --seed: the shortest life that fails, as a test")
    parser.add_argument("--processes", type=int, default=os.cpu_count(), help="how many live them side by side")
    given = parser.parse_args(arguments)
    quiet()
    if given.seed is not None:
        cluster, wrong, steps = explore(given.seed)
        if wrong and given.shrink:
            steps = shortened(given.seed, steps, wrong)
            cluster, wrong = relive(given.seed, steps)
            print(as_test(given.seed, steps))
        tell(cluster, wrong or "nothing went wrong")
        return int(wrong is not None)
    began, total = time.perf_counter(), Lived()
    seeds = range(given.first, given.first + given.seeds)
    with ProcessPoolExecutor(given.processes, mp_context=get_context("spawn"), initializer=quiet) as processes:
        for seed, one in zip(seeds, processes.map(lived, seeds), strict=True):
            total.add(one)
            for wrong in one.wrong:
                print(f"seed {seed}: {wrong}", flush=True)
    took = time.perf_counter() - began
    print(
        f"{len(total.wrong)} of {given.seeds} lives went wrong; {given.seeds / took * 60:.0f} lives a minute, ", end=""
    )
    print(f"{total.seconds / took:.0f} simulated seconds a second")
    print(", ".join(f"{name} {count}" for name, count in total.happened.most_common()))
    print(table(total.met, {name for _, name in total.met}))
    return int(bool(total.wrong))


def quiet() -> None:
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.CRITICAL))


if __name__ == "__main__":
    sys.exit(main())
