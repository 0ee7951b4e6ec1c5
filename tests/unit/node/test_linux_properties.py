"""From any state, with and without faults on the way, a Linux node comes to what is desired and stays there."""

from random import Random

import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from common.model.ledger import Ledger
from common.model.names import POD_ENI
from common.node.branch.serving import counts
from common.rules.pod_eni import interfaces_named
from tests.unit.node import builders as make
from tests.unit.node.perfect import LOOKS, Faults, Life
from tests.unit.node.perfect_linux import LinuxWorld
from tests.unit.node.situations import situations

SETTLED = 2400.0
"""Seconds by which audits, back-offs at their longest and cool-downs are over."""
few = settings(
    phases=(Phase.generate,),
    max_examples=40,
    derandomize=True,
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large],
)


def life(world: LinuxWorld, ledger: Ledger, seed: int, chance: float = 0.0) -> Life:
    def check(saved: Ledger) -> None:
        # What was found in EC2 has the VLANs and places that it has.
        ours = [b for b in saved.branches.values() if counts(b) and b.token and b.eni_id not in world.strays]
        for trunk in {b.trunk_id for b in ours}:
            vlans = [b.vlan for b in ours if b.trunk_id == trunk]
            assert len(vlans) == len(set(vlans)), f"VLANs are shared: {sorted(vlans)}"
            assert trunk != make.TRUNK or len(vlans) <= world.limit

    return Life(
        world=world,
        ledger=ledger,
        options=make.options(make.limits(branches=world.limit)),
        faults=Faults(Random(seed), chance),
        check=check,
    )


def settles(one: Life) -> None:
    """Faults have stopped: everything is as desired, and nothing more is done than to look."""
    world = one.world
    assert isinstance(world, LinuxWorld)
    one.run(world.now + SETTLED)
    quiet = world.now
    one.run(quiet + 3600.0)
    assert [a for a in one.since(quiet) if not isinstance(a, LOOKS)] == []
    assert_as_wished(world, one.ledger)


def assert_as_wished(world: LinuxWorld, ledger: Ledger) -> None:
    assert world.node is not None
    assert world.node.capacity == {POD_ENI: str(world.limit)}
    trunk = world.trunk()
    assert trunk is not None
    waiting = sorted(
        (p for p in world.live() if p.eni_annotation is None and p.branches), key=lambda p: (p.scheduled_at, p.uid)
    )
    fitting = [p for p in waiting if p.branches <= world.limit]
    used = {b.vlan for b in ledger.branches.values() if b.trunk_id == ledger.trunk.eni_id}
    if fitting:
        assert len(used) + fitting[0].branches > world.limit, f"{fitting[0].name} fits and waits"
    assert set(world.branches()) <= set(world.named()), "interfaces that nobody has are left"
    assert set(ledger.claims) <= {p.uid for p in world.live()}
    for branch in ledger.branches.values():
        assert branch.eni_id in world.named(), f"the ledger keeps {branch.key} in state {branch.state}"


def perturb(world: LinuxWorld, rng: Random) -> None:
    """Pods end and come while the node is busy."""
    for uid in list(world.pods):
        if rng.random() < 0.4:
            world.end(uid, finish=rng.random() < 0.5)
    for number in range(rng.randrange(3)):
        new = make.pod(f"late{world.now:.0f}-{number}", rng.randrange(1, 3), scheduled_at=world.now, seen_at=world.now)
        world.pods[new.uid] = new


@few
@given(situations(), st.integers(0, 2**16))
def test_from_any_state_a_node_comes_to_what_is_desired(situation: tuple[LinuxWorld, Ledger], seed: int) -> None:
    world, ledger = situation
    one = life(world, ledger, seed)
    settles(one)
    perturb(world, Random(seed))
    settles(one)
    for uid in list(world.pods):
        world.end(uid, finish=False)
    settles(one)
    assert world.branches() == {}
    assert one.ledger.branches == {}


@few
@given(situations(), st.integers(0, 2**16), st.sampled_from([0.1, 0.5, 0.9]))
def test_the_same_once_faults_have_stopped(situation: tuple[LinuxWorld, Ledger], seed: int, chance: float) -> None:
    world, ledger = situation
    one = life(world, ledger, seed, chance)
    for _ in range(3):
        one.run(world.now + 100.0)
        perturb(world, one.faults.rng)
    one.finish()
    settles(one)


@few
@given(situations(), st.integers(0, 2**16), st.sampled_from([0.0, 0.5]))
def test_nothing_is_released_while_the_pods_are_not_known(
    situation: tuple[LinuxWorld, Ledger], seed: int, chance: float
) -> None:
    """The world asserts it of every action."""
    world, ledger = situation
    world.complete = False
    pods, world.pods = world.pods, {}
    one = life(world, ledger, seed, chance)
    one.run(world.now + 600.0)
    world.pods, world.complete = pods, True
    one.finish()
    settles(one)


@few
@given(situations(), st.integers(0, 2**16), st.sampled_from([0.0, 0.3]))
def test_a_node_that_is_gone_leaves_nothing(situation: tuple[LinuxWorld, Ledger], seed: int, chance: float) -> None:
    world, ledger = situation
    one = life(world, ledger, seed, chance)
    one.run(world.now + 30.0)
    for uid in list(world.pods):
        world.end(uid, finish=False)
    world.node = None
    one.run(world.now + 300.0)
    one.finish()
    one.run(world.now + SETTLED)
    known = {b.eni_id for b in one.ledger.branches.values()}
    assert known == set()
    assert world.cninode is None


@pytest.mark.parametrize("chance", [0.0, 0.5])
def test_a_node_that_comes_back_within_a_minute_keeps_everything(chance: float) -> None:
    pods = [make.pod(name) for name in "abc"]
    world = LinuxWorld(9)
    world.pods = {p.uid: p for p in pods}
    one = life(world, Ledger(node=make.NODE), 1)
    one.run(world.now + 60)
    before, node = world.named().keys(), world.node
    assert len(before) == 3
    one.faults.chance = chance
    world.node = None
    one.run(world.now + 50)
    world.node = node
    one.finish()
    settles(one)
    assert world.named().keys() == before == world.branches().keys()
    assert all(interfaces_named(pod)[1] == "" for pod in world.live())
