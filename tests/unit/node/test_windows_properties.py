"""From any state, with and without faults on the way, and through changes of mode, a Windows node's pool comes to its
targets and its pods to their addresses."""

from collections.abc import Callable
from random import Random
from typing import Any

import msgspec
import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from common.model.config import ClusterConfig
from common.model.ids import PodUid
from common.model.ledger import Address, AddressState, Ledger, Pool
from common.model.pod import PodRequest
from common.node.windows.contents import reserved
from common.node.windows.mode import deviation, mode_for, releasable
from common.node.windows.pool import addresses_of, slots_of
from tests.unit.node import builders as make
from tests.unit.node.perfect import LOOKS, Faults, Life
from tests.unit.node.perfect_windows import PREFIXES, SECONDARY, WindowsWorld

SETTLED = 1500.0
Draw = Callable[[st.SearchStrategy[Any]], Any]
few = settings(
    phases=(Phase.generate,),
    max_examples=60,
    derandomize=True,
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large],
)
targets = st.none() | st.integers(-1, 6)
configs = st.builds(
    ClusterConfig,
    windows_ipam=st.just(True),
    prefix_delegation=st.booleans(),
    warm_ip=targets,
    minimum_ip=targets,
    warm_prefix=st.none() | st.integers(0, 2),
)


def windows_pod(name: str, **fields: Any) -> PodRequest:
    return make.pod(name, 0, addresses=1, **fields)


@st.composite
def situations(draw: Draw) -> tuple[WindowsWorld, Ledger]:
    """Addresses and prefixes in EC2, each in any state in the ledger or unknown to it; annotations of living pods that
    name some; a ledger behind EC2, ahead of it, or lost."""
    world = WindowsWorld(draw(st.integers(3, 9)), draw(configs))
    addresses: list[Address] = []
    pods = [windows_pod(f"p{n}", finished=draw(st.integers(0, 5)) == 0) for n in range(draw(st.integers(0, 6)))]
    unserved = list(pods)
    since = make.NOW - draw(st.sampled_from([0.0, 20.0, 1000.0]))

    def about(address: Address, *, whole_prefix: bool = False) -> None:
        kind = draw(st.sampled_from(["unknown", "warm", "cooling", "releasing", "ghost's", "assigned", "annotated"]))
        if kind in ("assigned", "annotated") and unserved:
            pod = unserved.pop()
            if kind == "annotated":
                length = "32" if address.prefix else "19"
                pods[pods.index(pod)] = msgspec.structs.replace(pod, ip_annotation=f"{address.ip}/{length}")
                known = draw(st.sampled_from(["unknown", "known", "ghost's", "cooling"]))
                kind = "assigned" if known == "known" else known
            if kind == "assigned":
                addresses.append(_owned(address, pod, since))
                return
        if kind == "ghost's":
            addresses.append(_owned(address, windows_pod("ghost"), since))
        elif kind == "cooling":
            addresses.append(msgspec.structs.replace(address, state=AddressState.COOLING, since=since))
        elif kind in ("warm", "releasing") and not whole_prefix:
            state = AddressState.WARM if kind == "warm" else AddressState.RELEASING
            addresses.append(msgspec.structs.replace(address, state=state, since=since))

    for ip in SECONDARY[: draw(st.integers(0, world.slots))]:
        world.ips.append(ip)
        about(Address(ip=ip))
    prefixes: dict[Any, float] = {}
    releasing = []
    for prefix in PREFIXES[: draw(st.integers(0, min(3, world.slots - len(world.ips))))]:
        world.prefixes.append(prefix)
        match draw(st.sampled_from(["held", "held", "releasing", "unknown"])):
            case "held":
                prefixes[prefix] = since
                for ip in draw(st.lists(st.sampled_from(addresses_of(prefix)), unique=True, max_size=3)):
                    about(Address(ip=ip, prefix=prefix), whole_prefix=True)
            case "releasing":
                releasing.append(prefix)
            case _:
                pass
    if draw(st.booleans()):
        addresses.append(Address(ip=SECONDARY[-1], state=AddressState.RELEASING, since=since))  # Gone meanwhile.
    stolen = draw(st.sampled_from([(), SECONDARY[-2:-1]]))  # By somebody else: a look did not show it.
    addresses += [Address(ip=ip, state=AddressState.WARM, since=since) for ip in stolen]
    pool = Pool(
        addresses={a.ip: a for a in addresses},
        prefixes=prefixes,
        releasing_prefixes=tuple(releasing),
        assigning=draw(st.sampled_from([0, 0, 2])),
        suspect=True,
        missing=dict.fromkeys(map(str, stolen), since),
        released_at=since,
    )
    world.pods = {p.uid: p for p in pods}
    if draw(st.integers(0, 3)) == 0:
        return world, Ledger(node=make.NODE)
    return world, make.ledger(pool=pool, trunk=make.trunk(eni_id=None), audit_at=0.0)


def _owned(address: Address, pod: PodRequest, since: float) -> Address:
    return msgspec.structs.replace(
        address,
        state=AddressState.ASSIGNED,
        pod_uid=pod.uid,
        pod_namespace=pod.namespace,
        pod_name=pod.name,
        annotated=pod.ip_annotation is not None,
        since=since,
    )


def life(world: WindowsWorld, ledger: Ledger, seed: int, chance: float = 0.0) -> Life:
    def check(saved: Ledger) -> None:
        pool = saved.pool or Pool()
        owners = [a.pod_uid for a in pool.addresses.values() if a.state is AddressState.ASSIGNED]
        known = [uid for uid in owners if uid != PodUid("uid-ghost")]
        assert len(known) == len(set(known)), "a pod has two addresses"

    opts = make.options(make.limits(ipv4=world.slots + 1), audit_longest=300.0)
    return Life(world=world, ledger=ledger, options=opts, faults=Faults(Random(seed), chance), check=check)


def settles(one: Life) -> None:
    world = one.world
    assert isinstance(world, WindowsWorld)
    one.run(world.now + SETTLED)
    quiet = world.now
    one.run(quiet + 1000.0)
    assert [a for a in one.since(quiet) if not isinstance(a, LOOKS)] == []
    assert_as_wished(world, one.ledger)


def assert_as_wished(world: WindowsWorld, ledger: Ledger) -> None:
    pool, mode = ledger.pool, mode_for(world.config, nitro=True)
    assert pool is not None
    assert (pool.assigning, pool.suspect) == (0, False)
    slots = slots_of(world.slots + 1)
    waiting = [p for p in world.live() if p.ip_annotation is None]
    room = world.room_for_pods(prefixes=world.config.prefix_delegation)
    assert not waiting or len(world.taken()) >= room, f"{waiting[0].name} waits although there is room for {room}"
    names = frozenset(reserved(world.pods, pool.addresses.keys(), pool.prefixes))
    assert deviation(pool, mode, slots, len(waiting), names) <= 0
    assert releasable(pool, mode, slots, len(waiting), names) == ()
    assert set(pool.prefixes) == set(world.prefixes)
    assert {ip for ip, a in pool.addresses.items() if a.prefix is None} - set(world.taken()) == set(world.ips) - set(
        world.taken()
    )
    assert {a.pod_uid for a in pool.addresses.values() if a.state is AddressState.ASSIGNED} <= {
        p.uid for p in world.live()
    }


def perturb(world: WindowsWorld, rng: Random) -> None:
    """Pods end and come while the node is busy."""
    for pod in list(world.pods.values()):
        if rng.random() < 0.4:
            world.end(pod, finish=rng.random() < 0.5)
    for number in range(rng.randrange(4)):
        new = windows_pod(f"late{world.now:.0f}-{number}", scheduled_at=world.now)
        world.pods[new.uid] = new


def switch(world: WindowsWorld) -> None:
    world.config = msgspec.structs.replace(world.config, prefix_delegation=not world.config.prefix_delegation)


@few
@given(situations(), st.integers(0, 2**16))
def test_from_any_state_a_pool_comes_to_its_targets(situation: tuple[WindowsWorld, Ledger], seed: int) -> None:
    world, ledger = situation
    one = life(world, ledger, seed)
    settles(one)
    perturb(world, Random(seed))
    settles(one)


@few
@given(situations(), st.integers(0, 2**16))
def test_through_changes_of_mode_and_back(situation: tuple[WindowsWorld, Ledger], seed: int) -> None:
    world, ledger = situation
    one = life(world, ledger, seed)
    for _ in range(2):
        one.run(world.now + 10.0)
        switch(world)
        perturb(world, Random(seed))
        settles(one)


@few
@given(situations(), st.integers(0, 2**16), st.sampled_from([0.1, 0.5, 0.9]), st.booleans())
def test_the_same_once_faults_have_stopped(
    situation: tuple[WindowsWorld, Ledger], seed: int, chance: float, switched: bool
) -> None:
    world, ledger = situation
    one = life(world, ledger, seed, chance)
    for _ in range(3):
        one.run(world.now + 100.0)
        perturb(world, one.faults.rng)
        if switched:
            switch(world)
    one.finish()
    settles(one)


@pytest.mark.parametrize("prefixes", [False, True])
def test_a_node_that_was_not_managed_for_a_while_keeps_everything(prefixes: bool) -> None:
    """Windows IPAM off and on again: nothing is assigned or released in between, ended pods' addresses are free
    afterwards, and pods that came meanwhile are served."""
    world = WindowsWorld(9, ClusterConfig(windows_ipam=True, prefix_delegation=prefixes))
    world.pods = {p.uid: p for p in (windows_pod(name) for name in "abc")}
    one = life(world, Ledger(node=make.NODE), 1)
    settles(one)
    config, kept = world.config, world.held()
    world.config = ClusterConfig()
    off = world.now
    world.end(world.pods[PodUid("uid-a")], finish=False)
    late = windows_pod("late", scheduled_at=world.now)
    world.pods[late.uid] = late
    one.run(world.now + 600.0)
    assert one.since(off) == []
    assert world.held() == kept
    world.config = config
    settles(one)
    assert world.pods[late.uid].ip_annotation is not None
