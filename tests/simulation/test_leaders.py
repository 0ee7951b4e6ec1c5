"""Every Redis command of a leader is a place where it is killed, or stands still while another leads and then goes on:
the life goes on to its end. (That writes of the earlier one are refused: `deposed leader` in test_the_thin_layer.py.)
"""

import contextlib
from collections.abc import Callable
from typing import Any

import pytest

from common.model.errors import StaleTerm
from common.store import Store, keys
from tests.simulation import lives
from tests.simulation.cluster import CLUSTER, Cluster, CountedRedis
from tests.simulation.crashes import Crash, CrashPoints
from tests.simulation.watcher import PumpedWatcher

Simulate = Callable[..., Cluster]
Disturb = Callable[["Led"], None]
MEANWHILE_SECONDS = 10.0
STRIDE = 41
"""Every so many commands; the longer run (`slow`) tries all."""
LIVES: dict[str, lives.Life] = {
    "linux": lives.linux_life,
    "node-replaced": lives.replaced_life,
    "unmanaged-and-back": lives.unmanaged_life,
    "windows-switch": lives.switch_life,
}


class Led(PumpedWatcher):
    """A leader whose commands are counted. A killed one is followed by another; one that was deposed ends."""

    def __init__(self, cluster: Cluster, points: CrashPoints) -> None:
        self.cluster, self.points = cluster, points
        client = CountedRedis(server=cluster.server)
        super().__init__(cluster.kube, Store.on(client, keys.prefix(CLUSTER)), cluster.queue, cluster.clock)
        client.points = points

    def follow(self) -> None:
        """Another process leads from now on; it has to learn everything."""
        self.cluster.watcher = Led(self.cluster, CrashPoints())

    def pump(self) -> None:
        self._led(super().pump)

    def tick(self) -> None:
        self._led(super().tick)

    def _led(self, step: Callable[[], None]) -> None:
        try:
            with contextlib.suppress(StaleTerm):
                step()
        except Crash:
            self.follow()


def killed(leader: Led, number: int) -> None:
    """After the command took effect: between two commands nothing happens that anybody could see."""
    leader.points.cut = frozenset({2 * number + 1})


def frozen(leader: Led, number: int) -> None:
    """Before the command is sent; it arrives when another has led for some time."""

    def meanwhile() -> None:
        cluster = leader.cluster
        leader.follow()
        pumping, cluster._pumping = cluster._pumping, False
        cluster.run(MEANWHILE_SECONDS)
        cluster._pumping = pumping

    leader.points.pause_before, leader.points.meanwhile = number, meanwhile


DISTURBANCES = {"killed": killed, "frozen": frozen}


def lived(life: str, simulate: Simulate, disturb: Callable[[Led], Any] = lambda _: None) -> Led:
    cluster = simulate()
    leader = Led(cluster, CrashPoints())
    cluster.watcher = leader
    disturb(leader)
    LIVES[life](cluster)
    return leader


def lived_with_each(life: str, how: str, stride: int, simulate: Simulate) -> None:
    calls = lived(life, simulate).points.calls
    for number in range(len(calls))[::stride]:
        try:
            lived(life, simulate, lambda leader, number=number: DISTURBANCES[how](leader, number))  # type: ignore[misc]
        except AssertionError as error:
            raise AssertionError(f"{how} at command {number} ({calls[number]}): {error}") from error


@pytest.mark.parametrize("how", DISTURBANCES)
@pytest.mark.parametrize("life", LIVES)
def test_a_life_goes_on_whatever_its_leader_was_about(life: str, how: str, simulate: Simulate) -> None:
    lived_with_each(life, how, STRIDE, simulate)


@pytest.mark.slow
@pytest.mark.timeout(3600)
@pytest.mark.parametrize("how", DISTURBANCES)
@pytest.mark.parametrize("life", LIVES)
def test_a_life_goes_on_from_every_command_of_its_leader(life: str, how: str, simulate: Simulate) -> None:
    lived_with_each(life, how, 1, simulate)
