"""What happens to the product in benchmarks of failures, and how long pods wait for it."""

import random
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from statistics import median

from benchmarks.figures import Figures
from benchmarks.stand import LINUX, Stand, named
from cli.demo.ideal import percentile
from tests.integration.rig import Process, Rig
from tests.integration.standing import leaked, shared

TYPE, CAPACITY = "m5.4xlarge", 54
LIFE_SECONDS = 20.0
"""How long a pod lives that was served: then it goes, and its branch rests."""
AFTER_SECONDS = 2.0
"""A pod that comes so soon after a fault counts as one that the fault met."""
LAST_SECONDS = 300.0
"""For the last pods to be served, and for what pods had to be released: cool-down, two passes of the sweep, EC2's
limits."""


def busy_share(since: tuple[float, float] | None = None) -> tuple[tuple[float, float], float]:
    """The machine's CPU counters, and the share of its time since `since` that was not idle."""
    numbers = [float(each) for each in Path("/proc/stat").read_text().splitlines()[0].split()[1:9]]
    now = (sum(numbers), sum(numbers) - numbers[3] - numbers[4])
    whole = now[0] - since[0] if since else 0.0
    return now, (now[1] - since[1]) / whole if since and whole else 0.0


@dataclass(slots=True)
class Load:
    """Pods that come at a steady rate, each on the next node, and go again some time after they were served."""

    stand: Stand
    nodes: list[str]
    rate: float
    asked: dict[str, float] = field(default_factory=dict)
    """When each pod came (monotonic)."""
    prefix: str = "p"
    _gone: set[str] = field(default_factory=set)
    _broke: str = ""

    @contextmanager
    def running(self) -> Iterator[None]:
        """Pods come while the context is open."""
        ended = threading.Event()
        thread = threading.Thread(target=self._run, args=(ended,), name="load", daemon=True)
        thread.start()
        try:
            yield
        finally:
            ended.set()
            thread.join(30)
            assert not self._broke, self._broke

    def _run(self, ended: threading.Event) -> None:
        began, number = time.monotonic(), 0
        try:
            while not ended.is_set():
                name = f"{self.prefix}{number:05}"
                self.asked |= self.stand.add_pods([(name, self.nodes[number % len(self.nodes)])])
                self._remove_old()
                number += 1
                ended.wait(max(0.0, began + number / self.rate - time.monotonic()))
        except Exception as error:  # noqa: BLE001  # the thread's only way to tell: `running` raises it
            self._broke = repr(error)

    def _remove_old(self) -> None:
        now, served = time.monotonic(), self.stand.watch.served
        for name in [n for n in self.asked if n not in self._gone and now - served.get(n, now) > LIFE_SECONDS]:
            self.stand.rig.remove_pod(name)
            self._gone.add(name)

    def remove_all(self) -> None:
        for name in self.asked.keys() - self._gone:
            self.stand.rig.remove_pod(name)
            self._gone.add(name)


@dataclass(slots=True)
class Faults:
    """What was done, and when (monotonic)."""

    done: list[tuple[float, str]] = field(default_factory=list)

    def note(self, kind: str) -> None:
        self.done.append((time.monotonic(), kind))

    def kind_of(self, asked: float, served: float) -> str:
        """The fault that a pod met first while it waited, or just before it came; "none"."""
        return next((kind for at, kind in self.done if asked - AFTER_SECONDS <= at <= served), "none")


def begin_again(rig: Rig, process: Process) -> Process:
    """As its Deployment does."""
    rig.processes.remove(process)
    return rig.run(process.name, *process.command, **process.environment)


def kill(stand: Stand, process: Process, signal: str = "kill") -> None:
    """End it, and start it again at once."""
    if signal == "kill":
        process.kill()
    else:
        process.stop()
    stand.own[stand.own.index(process)] = begin_again(stand.rig, process)


def restarted(stand: Stand) -> None:
    """Processes that ended by themselves, as a leader does that lost its lease, are started again."""
    for process in [p for p in stand.own if not p.running]:
        stand.own[stand.own.index(process)] = begin_again(stand.rig, process)


def ready_nodes(stand: Stand, number: int) -> list[str]:
    names = named("n", number)
    stand.add_instances(names, TYPE)
    stand.add_nodes(names, LINUX)
    stand.wait_capacity(CAPACITY, number, LAST_SECONDS)
    return names


def pace(seconds: float, times: int, act: Callable[[int], None], rng: random.Random) -> None:
    """`act` so often, at random moments of equal parts of the time."""
    began = time.monotonic()
    for number in range(times):
        moment = began + (number + rng.random()) * seconds / times
        time.sleep(max(0.0, moment - time.monotonic()))
        act(number)
    time.sleep(max(0.0, began + seconds - time.monotonic()))


def report(stand: Stand, figures: Figures, load: Load, faults: Faults) -> None:
    """Waits of all pods, and by kind of fault; then what the judge found."""
    missing = stand.watch.wait(load.asked, LAST_SECONDS)
    if missing:
        figures.wrong.append(f"{len(missing)} of {len(load.asked)} pods not served: {missing[:5]}")
    served = stand.watch.served
    waits = {name: served[name] - asked for name, asked in load.asked.items() if name in served}
    figures.add(pods=len(load.asked), faults=len(faults.done))
    figures.waits("wait", list(waits.values()))
    after(figures, {name: (load.asked[name], served[name]) for name in waits}, faults)
    judge(stand, figures, load)


def after(figures: Figures, pods: Mapping[str, tuple[float, float]], faults: Faults) -> None:
    """Waits by the fault that each pod met first. `pods`: when each came and was served (monotonic)."""
    by_kind: dict[str, list[float]] = {}
    for asked, served in pods.values():
        by_kind.setdefault(faults.kind_of(asked, served), []).append(served - asked)
    for kind, some in sorted(by_kind.items()):
        text = f"{len(some)} pods, median {median(some):.2f}, p99 {percentile(some, 0.99):.2f}, longest {max(some):.2f}"
        figures.add(**{f"after_{kind.replace(' ', '_')}_s": text})


def judge(stand: Stand, figures: Figures, load: Load) -> None:
    """Nothing was shared, released from the living or lost; when all pods are gone, nothing is left."""
    broken(stand, figures)
    load.remove_all()
    nothing_left(stand, figures)
    broken(stand, figures)


def broken(stand: Stand, figures: Figures) -> None:
    """What was wrong so far: by the history, where the judge followed; else what is wrong now."""
    found = [*(stand.rig.judgement().wrong if stand.judged else shared(stand.rig)), *stand.rig.faults_logged()]
    figures.wrong += [one for one in found if one not in figures.wrong]


def nothing_left(stand: Stand, figures: Figures) -> None:
    """All pods are gone: wait until nothing in EC2 is left to nobody."""
    began = time.monotonic()
    while left := stand.rig.judgement().leftovers if stand.judged else leaked(stand.rig):
        if time.monotonic() - began > LAST_SECONDS:
            figures.wrong.append(f"{len(left)} left after {LAST_SECONDS:.0f} s: {left[:5]}")
            return
        restarted(stand)
        time.sleep(1.0)
    figures.add(all_released_s=time.monotonic() - began)
