"""Processes whose machine's clock is ten minutes off, from the start or from one moment on: they say so and stop, and
nothing is released early or late."""

import json
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from sandbox.ports import free_port
from tests.integration.rig import Process, Rig, running
from tests.integration.standing import branches
from tests.integration.test_late_tokens import probe

HERE = Path(__file__).parent
ERRORS = [-600.0, 600.0]
COOLDOWN_SECONDS = 30.0
"""The rig's."""
LATE_SECONDS = 5.0
LOOK_SECONDS = 7.0
"""A watcher asks for the time each 5 s, a worker each 2 s."""


class Clocked:
    """A process with a clock of its own."""

    def __init__(self, rig: Rig, role: str, name: str, error: float = 0.0) -> None:
        self._error = rig.folder / f"{name}.clock"
        self.set(error)
        self.url = f"http://127.0.0.1:{(port := free_port())}"
        start = rig.start_watcher if role == "watcher" else rig.start_worker
        self._rig, self._name = rig, name
        start(
            name, PYTHONPATH=str(HERE / "clocks"), CLOCK_ERROR=str(self._error), VPC_RC_HEALTH_PORT=str(port)
        ).supervised = True

    def set(self, error: float) -> None:
        new = self._error.with_suffix(".new")
        new.write_text(str(error))
        new.rename(self._error)

    @property
    def process(self) -> Process:
        return next(process for process in self._rig.processes if process.name == self._name)

    def ready(self) -> bool:
        return probe(f"{self.url}/readyz")[0] == 200

    def says_it_is_off(self) -> bool:
        status, text = probe(f"{self.url}/readyz")
        lines = self.process.log.read_text().splitlines()
        logged = any(json.loads(line)["event"] == "clock_wrong" for line in lines if line.startswith("{"))
        return status == 503 and "s off redis' clock" in text and logged

    def healthy(self) -> bool:
        return probe(f"{self.url}/healthz")[0] == 200


@pytest.fixture
def rig(tmp_path: Path) -> Iterator[Rig]:
    with running(tmp_path, watchers=0, workers=0) as (found, _):
        yield found
        assert found.faults_logged() == []


def leads(rig: Rig, one: Clocked) -> bool:
    return rig.metric(one.process, "vpc_rc_leader") == 1


@pytest.mark.slow
@pytest.mark.parametrize("error", ERRORS)
def test_a_watcher_whose_clock_goes_wrong_leads_no_more(rig: Rig, error: float) -> None:
    first = Clocked(rig, "watcher", "first")
    rig.wait("the first leads", lambda: leads(rig, first))
    second = Clocked(rig, "watcher", "second")
    rig.wait("the second knows the cluster", second.ready)
    first.set(error)
    seconds = rig.wait("the second leads", lambda: leads(rig, second), LOOK_SECONDS + 5)
    print(f"another leads after {seconds:.1f} s")
    rig.wait("the first ends, and is started again", lambda: rig.restarts == ["first: 75"], 15)
    rig.wait("it says so", first.says_it_is_off, 15)
    assert first.healthy(), "a restart would not set its clock"
    second.process.supervised = False
    assert second.process.stop() == 0
    rig.holds("nobody leads with a wrong clock", lambda: not leads(rig, first) and first.healthy(), 5)
    first.set(0.0)
    rig.wait("it leads when its clock is right", lambda: leads(rig, first), LOOK_SECONDS + 10)
    assert first.ready()


@pytest.mark.slow
@pytest.mark.parametrize("error", ERRORS)
@pytest.mark.parametrize("at_start", [True, False], ids=["from the start", "while branches cool"])
def test_a_worker_whose_clock_is_wrong_releases_neither_early_nor_late(rig: Rig, error: float, at_start: bool) -> None:
    """Another one, whose clock is right, does the work."""
    wrong = Clocked(rig, "worker", "wrong", error if at_start else 0.0)
    right = Clocked(rig, "worker", "right")
    rig.start_watcher()
    rig.add_node("n1", "m5.4xlarge")
    rig.wait("the node", lambda: rig.capacity("n1") is not None)
    names = [f"pod-{number}" for number in range(10)]
    for name in names:
        rig.add_pod(name, "n1")
    rig.wait_for_none("pods", rig.unserved)
    for name in names:
        rig.remove_pod(name)
    ended = time.monotonic()
    if not at_start:
        wrong.set(error)
    rig.wait("it says so", wrong.says_it_is_off, 15)
    early = ended + COOLDOWN_SECONDS - 1 - time.monotonic()
    rig.holds("no branch is released early", lambda: len(branches(rig)) == len(names), early)
    late = ended + COOLDOWN_SECONDS + LATE_SECONDS - time.monotonic()
    rig.wait("all are released", lambda: not branches(rig), late)
    print(f"all released {time.monotonic() - ended:.1f} s after their pods' end")
    assert right.ready()
    assert wrong.healthy()
    assert rig.restarts == []
    wrong.set(0.0)
    rig.wait("it works when its clock is right", wrong.ready, 10)


def test_a_worker_whose_clock_is_wrong_takes_no_messages_until_it_is_right(rig: Rig) -> None:
    worker = Clocked(rig, "worker", "worker")
    rig.start_watcher()
    rig.add_node("n1", "m5.4xlarge")
    rig.add_pod("before", "n1")
    rig.wait_for_none("pods", rig.unserved)
    worker.set(600.0)
    rig.wait("it says so", worker.says_it_is_off, 15)
    rig.add_pod("meanwhile", "n1")
    rig.holds("it works no more", lambda: rig.unserved() == ["meanwhile"], 6)
    worker.set(0.0)
    rig.wait_for_none("pods", rig.unserved, 10)
    assert rig.restarts == []


@pytest.mark.slow
@pytest.mark.parametrize("error", ERRORS)
def test_a_worker_alone_whose_clock_is_wrong_releases_nothing(rig: Rig, error: float) -> None:
    """It goes on when its clock is right, and lets the branch rest from when it learns of the pod's end."""
    wrong = Clocked(rig, "worker", "wrong")
    rig.start_watcher()
    rig.add_node("n1", "m5.4xlarge")
    rig.add_pod("pod", "n1")
    rig.wait_for_none("pods", rig.unserved)
    wrong.set(error)
    rig.wait("it says so", wrong.says_it_is_off, 15)
    rig.remove_pod("pod")
    rig.holds("nothing is released", lambda: len(branches(rig)) == 1, COOLDOWN_SECONDS + LATE_SECONDS)
    wrong.set(0.0)
    seconds = rig.wait("it is released", lambda: not branches(rig), COOLDOWN_SECONDS + LOOK_SECONDS + LATE_SECONDS)
    print(f"released {seconds:.1f} s after the clock was right")
