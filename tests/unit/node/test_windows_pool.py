"""Windows pools: the published tables, what was seen, and what must hold in any state."""

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from common.model.config import ClusterConfig
from common.model.ids import Ipv4, PodUid, Prefix
from common.model.ledger import Address, AddressState, Pool
from common.node.windows.mode import MODES, GiveBack, Mode, capacity, deviation, mode_for, releasable
from common.node.windows.pool import REST_SECONDS, addresses_of, next_rested_at, rested, slots_of, slots_taken
from common.node.windows.prefix import PrefixMode
from common.node.windows.secondary import SecondaryMode

NONE: frozenset[Ipv4] = frozenset()
WARM, ASSIGNED, COOLING = AddressState.WARM, AddressState.ASSIGNED, AddressState.COOLING
LARGE = 49
"""Slots of the largest common types."""


class Node:
    """Carries decisions out as EC2 would: addresses 10.0.0.x, prefixes 10.1.x.0/28."""

    def __init__(self, mode: Mode, slots: int = LARGE, pool: Pool | None = None) -> None:
        self.mode, self.slots, self.now = mode, slots, 1000.0
        self.pool = pool or Pool(suspect=False)
        self.calls: list[str] = []
        self.waiting: list[PodUid] = []
        self._made = 0

    def change(self, **fields: object) -> None:
        self.pool = msgspec.structs.replace(self.pool, **fields)

    def come(self, count: int, name: str = "pod") -> None:
        self.waiting += [PodUid(f"{name}-{number}") for number in range(count)]
        self.settle()

    def end(self, *uids: str) -> None:
        self.change(
            addresses={
                ip: msgspec.structs.replace(a, state=COOLING, since=self.now) if a.pod_uid in uids else a
                for ip, a in self.pool.addresses.items()
            }
        )
        self.settle()

    def wait(self, seconds: float) -> None:
        self.now += seconds
        self.settle()

    def step(self) -> bool:
        """One decision carried out; False: nothing is left to do."""
        before = self.pool, len(self.waiting)
        self.pool = rested(self.pool, self.now)
        self._serve()
        back = releasable(self.pool, self.mode, self.slots, len(self.waiting))
        count = deviation(self.pool, self.mode, self.slots, len(self.waiting))
        if back:
            self._give_back(back)
        if count > 0:
            self._assign(count)
        self._serve()
        return (self.pool, len(self.waiting)) != before

    def settle(self) -> None:
        for _ in range(20):
            if not self.step():
                return
        raise AssertionError("it does not come to rest")

    def _assign(self, count: int) -> None:
        self.calls.append(f"assign {count}")
        assert slots_taken(self.pool) + count <= self.slots, "past the capacity"
        for _ in range(count):
            self._made += 1
            if isinstance(self.mode, SecondaryMode):
                ip = Ipv4(f"10.0.{self._made // 250}.{self._made % 250 + 1}")
                self.change(addresses={**self.pool.addresses, ip: Address(ip=ip, since=self.now)})
            else:
                prefix = Prefix(f"10.1.{self._made}.0/28")
                self.change(prefixes={**self.pool.prefixes, prefix: self.now})

    def _give_back(self, back: tuple[GiveBack, ...]) -> None:
        keys = {key for one in back for key in one.keys}
        addresses, prefixes = keys & self.pool.addresses.keys(), keys & self.pool.prefixes.keys()
        assert len(addresses) + len(prefixes) == len(keys)
        self.calls.append(f"give back {len(addresses)}+{len(prefixes)}")
        for ip in addresses:
            assert self.pool.addresses[Ipv4(ip)].state is WARM
        for prefix in prefixes:
            assert not set(addresses_of(Prefix(prefix))) & set(self.pool.addresses), "a prefix in use"
        self.change(
            addresses={ip: a for ip, a in self.pool.addresses.items() if ip not in addresses},
            prefixes={p: since for p, since in self.pool.prefixes.items() if p not in prefixes},
        )

    def _serve(self) -> None:
        while self.waiting:
            address = self.mode.pick(self.pool, NONE)
            if address is None:
                return
            known = self.pool.addresses.get(address.ip)
            assert known is None or known.state is WARM, "an address in use or resting"
            taken = msgspec.structs.replace(address, state=ASSIGNED, pod_uid=self.waiting.pop(0))
            self.change(addresses={**self.pool.addresses, address.ip: taken})

    def count(self, state: AddressState) -> int:
        return sum(a.state is state for a in self.pool.addresses.values())

    def packing(self) -> list[int]:
        used = [sum(a.prefix == p for a in self.pool.addresses.values()) for p in self.pool.prefixes]
        return sorted(used, reverse=True)


def secondary(warm: int | None = None, minimum: int | None = None) -> SecondaryMode:
    return SecondaryMode.configured(ClusterConfig(warm_ip=warm, minimum_ip=minimum))


def prefix(warm_prefix: int | None = None, warm: int | None = None, minimum: int | None = None) -> PrefixMode:
    return PrefixMode.configured(ClusterConfig(warm_prefix=warm_prefix, warm_ip=warm, minimum_ip=minimum))


# --- the tables


@pytest.mark.parametrize("at_once", [True, False])
@pytest.mark.parametrize(
    ("warm", "minimum", "pods", "allocated", "free"),
    [
        (None, None, 0, 3, 3),
        (1, 0, 0, 1, 1),
        (1, 0, 5, 6, 1),
        (5, 0, 0, 5, 5),
        (1, 1, 0, 1, 1),
        (1, 1, 1, 2, 1),
        (1, 3, 3, 4, 1),
        (1, 3, 5, 6, 1),
        (5, 10, 0, 10, 10),
        (10, 10, 0, 10, 10),
        (10, 10, 10, 20, 10),
        (15, 10, 10, 25, 15),
    ],
)
def test_secondary_table(
    warm: int | None, minimum: int | None, pods: int, allocated: int, free: int, at_once: bool
) -> None:
    node = Node(secondary(warm, minimum))
    node.settle()
    for number in range(1 if at_once else pods):
        node.come(pods if at_once else 1, f"pod-{number}")
    assert (len(node.pool.addresses), node.count(WARM)) == (allocated, free)
    assert not node.waiting


PREFIX_TABLE = [
    (None, None, None, 0, [0], 1, 16),
    (None, None, None, 15, [15], 0, 1),
    (None, None, None, 16, [16, 0], 1, 16),
    (1, None, None, 0, [0], 1, 16),
    (3, None, None, 0, [0, 0, 0], 3, 48),
    (1, None, None, 5, [5, 0], 1, 27),
    (1, None, None, 17, [16, 1, 0], 1, 31),
    (None, None, 1, 0, [0], 1, 16),
    (None, None, 1, 5, [5], 0, 11),
    (None, None, 1, 15, [15], 0, 1),
    (None, None, 1, 16, [16, 0], 1, 16),
    (None, 5, None, 0, [0], 1, 16),
    (None, 5, None, 5, [5], 0, 11),
    (None, 5, None, 11, [11], 0, 5),
    (None, 5, None, 12, [12, 0], 1, 20),
    (None, 1, 1, 0, [0], 1, 16),
    (None, 1, 1, 5, [5], 0, 11),
    (None, 1, 1, 17, [16, 1], 0, 15),
    (None, 3, 1, 14, [14, 0], 1, 18),
    (None, 7, 20, 0, [0, 0], 2, 32),
    (None, 7, 20, 5, [5, 0], 1, 27),
    (None, 7, 20, 17, [16, 1], 0, 15),
    (None, 7, 20, 26, [16, 10, 0], 1, 22),
]


@pytest.mark.parametrize("at_once", [True, False])
@pytest.mark.parametrize(("warm_prefix", "warm", "minimum", "pods", "packing", "unused", "free"), PREFIX_TABLE)
def test_prefix_table(
    warm_prefix: int | None,
    warm: int | None,
    minimum: int | None,
    pods: int,
    packing: list[int],
    unused: int,
    free: int,
    at_once: bool,
) -> None:
    node = Node(prefix(warm_prefix, warm, minimum))
    node.settle()
    for number in range(1 if at_once else pods):
        node.come(pods if at_once else 1, f"pod-{number}")
    assert node.packing() == packing
    assert node.packing().count(0) == unused
    assert 16 * len(packing) - sum(packing) == free
    assert not node.waiting


@pytest.mark.parametrize(
    ("targets", "held"),
    [
        pytest.param(secondary(), [3, 8, 23], id="nothing set"),
        pytest.param(secondary(1, 0), [1, 6, 21], id="warm-ip 1, minimum-ip 0"),
        pytest.param(secondary(10, 10), [10, 15, 29], id="warm-ip 10, minimum-ip 10"),
        pytest.param(secondary(100), [29, 29, 29], id="warm-ip 100 is capped, not refused"),
        pytest.param(secondary(15, 10), [15, 20, 29], id="warm-ip 15, minimum-ip 10"),
        pytest.param(secondary(5, 10), [10, 10, 25], id="warm-ip 5, minimum-ip 10"),
    ],
)
def test_a_node_of_29_addresses_with_0_5_and_20_pods(targets: Mode, held: list[int]) -> None:
    figures = []
    for pods in (0, 5, 20):
        node = Node(targets, slots=29)
        node.come(pods)
        figures.append(len(node.pool.addresses))
        assert not node.waiting
    assert figures == held


@pytest.mark.parametrize(("pods", "packing"), [(1, [1]), (15, [15]), (16, [16, 0]), (17, [16, 1]), (33, [16, 16, 1])])
def test_packing_as_seen(pods: int, packing: list[int]) -> None:
    node = Node(prefix(), slots=9)
    for number in range(pods):
        node.come(1, f"pod-{number}")
    assert node.packing() == packing
    assert node.calls == ["assign 1"] * len(packing)


# --- targets


@pytest.mark.parametrize(
    ("warm", "minimum", "wanted"),
    [
        pytest.param(None, None, (3, 3), id="neither set"),
        pytest.param(0, 0, (1, 0), id="both zero: one is kept warm, and there is no minimum"),
        pytest.param(0, None, (1, 0), id="only warm set, to zero"),
        pytest.param(None, 0, (1, 0), id="only minimum set, to zero"),
        pytest.param(2, None, (2, 0), id="only warm set: minimum counts as 0"),
        pytest.param(None, 5, (1, 5), id="only minimum set: one is kept warm"),
        pytest.param(0, 5, (1, 5), id="warm 0 counts as 1"),
        pytest.param(-1, 5, (3, 5), id="negative warm counts as 3"),
        pytest.param(2, -1, (2, 3), id="negative minimum counts as 3"),
        pytest.param(-1, -1, (3, 3), id="both negative"),
        pytest.param(2, 0, (2, 0), id="minimum 0 stays"),
        pytest.param(2**31 - 1, None, (2**31 - 1, 0), id="a huge number is capped elsewhere"),
    ],
)
def test_secondary_targets(warm: int | None, minimum: int | None, wanted: tuple[int, int]) -> None:
    mode = secondary(warm, minimum)
    assert (mode.warm, mode.minimum) == wanted


def test_prefixes_to_keep_warm_are_ignored_in_secondary_mode() -> None:
    config = ClusterConfig(warm_prefix=4)
    assert SecondaryMode.configured(config) == SecondaryMode()


@pytest.mark.parametrize(
    ("config", "wanted"),
    [
        pytest.param(ClusterConfig(), (1, 3, None), id="none set"),
        pytest.param(ClusterConfig(warm_ip=0, minimum_ip=0, warm_prefix=0), (1, 3, None), id="zero is not set"),
        pytest.param(ClusterConfig(warm_ip=-1, minimum_ip=-1, warm_prefix=-1), (1, 3, None), id="negative is not set"),
        pytest.param(ClusterConfig(warm_ip=5), (5, 3, None), id="only warm: minimum 3"),
        pytest.param(ClusterConfig(minimum_ip=5), (1, 5, None), id="only minimum: warm 1"),
        pytest.param(ClusterConfig(warm_ip=5, warm_prefix=2), (5, 3, None), id="addresses go before prefixes"),
        pytest.param(ClusterConfig(warm_ip=-5, warm_prefix=2), (1, 3, 2), id="a negative one gives way to prefixes"),
        pytest.param(ClusterConfig(warm_prefix=2), (1, 3, 2), id="only prefixes"),
    ],
)
def test_prefix_targets(config: ClusterConfig, wanted: tuple[int, int, int | None]) -> None:
    mode = PrefixMode.configured(config)
    assert (mode.warm, mode.minimum, mode.warm_prefix) == wanted


def test_mode_and_capacity() -> None:
    assert mode_for(ClusterConfig(prefix_delegation=True), nitro=True) == PrefixMode()
    assert mode_for(ClusterConfig(prefix_delegation=True), nitro=False) == SecondaryMode()
    assert mode_for(ClusterConfig(), nitro=True) == SecondaryMode()
    assert (capacity(10, SecondaryMode()), capacity(10, PrefixMode()), slots_of(10), slots_of(0)) == (9, 144, 9, 0)


# --- life


def test_a_burst_is_one_call() -> None:
    node = Node(secondary(), slots=9)
    node.settle()
    node.come(9)
    assert node.calls == ["assign 3", "assign 6"]
    assert (len(node.pool.addresses), node.count(ASSIGNED)) == (9, 9)


def test_a_burst_of_prefixes() -> None:
    node = Node(prefix(), slots=9)
    node.settle()
    node.come(40)
    assert (node.packing(), node.calls) == ([16, 16, 8], ["assign 1", "assign 2"])


def test_what_is_above_the_targets_is_given_back_after_the_rest() -> None:
    node = Node(secondary(), slots=9)
    node.come(4)
    assert len(node.pool.addresses) == 7
    node.end("pod-0", "pod-1", "pod-2")
    node.come(2, "later")
    assert len(node.pool.addresses) == 9
    node.wait(REST_SECONDS - 0.1)
    assert len(node.pool.addresses) == 9
    node.wait(0.2)
    assert (len(node.pool.addresses), node.count(ASSIGNED)) == (6, 3)
    assert node.calls[-1] == "give back 3+0"


def test_pods_past_the_capacity_get_the_address_that_has_rested() -> None:
    node = Node(secondary(), slots=9)
    node.come(10)
    assert node.waiting == ["pod-9"]
    first = next(ip for ip, a in node.pool.addresses.items() if a.pod_uid == "pod-0")
    node.end("pod-0")
    assert next_rested_at(node.pool) == node.now + REST_SECONDS
    node.wait(REST_SECONDS - 0.1)
    assert node.waiting
    node.wait(0.1)
    assert node.pool.addresses[first].pod_uid == "pod-9"
    assert next_rested_at(node.pool) is None


def test_resting_addresses_are_no_warm_ones() -> None:
    node = Node(prefix(), slots=9)
    node.come(16)
    assert node.packing() == [16, 0]
    node.end(*(f"pod-{number}" for number in range(16)))
    node.come(17, "later")
    assert not node.waiting, "the second prefix is full and the first one rests: a third is needed"
    node.wait(REST_SECONDS)
    assert node.packing() == [16, 1]


def test_running_pods_are_not_moved_and_new_ones_fill_the_fullest_prefix() -> None:
    first, second = Prefix("10.1.1.0/28"), Prefix("10.1.2.0/28")
    used = {
        ip: Address(ip=ip, prefix=p, state=ASSIGNED, pod_uid=PodUid(ip))
        for p, count in ((first, 1), (second, 3))
        for ip in addresses_of(p)[:count]
    }
    node = Node(prefix(), pool=Pool(addresses=used, prefixes={first: 1.0, second: 2.0}, suspect=False))
    node.settle()
    assert node.packing() == [3, 1]
    node.come(1)
    assert node.packing() == [4, 1]


@pytest.mark.parametrize(("mode", "other"), [(secondary(1), prefix()), (prefix(warm=1), secondary())])
def test_reserved_addresses_are_neither_picked_nor_given_back(mode: Mode, other: Mode) -> None:
    alone = isinstance(mode, SecondaryMode)
    held = Prefix("10.1.1.0/28")
    warm = {Ipv4(ip): Address(ip=Ipv4(ip)) for ip in ("10.0.0.9", "10.0.0.10", "10.0.0.11")}
    pool = Pool(addresses=warm if alone else {}, prefixes={} if alone else {held: 1.0})
    pool = msgspec.structs.replace(pool, suspect=False)
    everything = frozenset(warm) | frozenset(addresses_of(held))
    assert mode.pick(pool, everything) is None
    assert releasable(pool, mode, 9, 0, everything) == ()
    all_but_one = everything - {Ipv4("10.0.0.10"), addresses_of(held)[7]}
    picked = mode.pick(pool, all_but_one)
    assert picked is not None
    assert picked.ip not in all_but_one
    assert releasable(pool, other, 9) != ()
    assert releasable(pool, other, 9, 0, everything) == ()


def test_addresses_being_assigned_count_as_free_and_against_the_slots() -> None:
    pool = Pool(assigning=3, suspect=False)
    assert deviation(pool, secondary(), 9) == 0
    assert deviation(pool, secondary(), 9, waiting=2) == 2
    assert deviation(pool, secondary(), 4, waiting=2) == 1
    assert deviation(Pool(assigning=1, suspect=False), prefix(), 9) == 0


def test_addresses_being_released_are_neither_free_nor_held() -> None:
    ip, held = Ipv4("10.0.0.9"), Prefix("10.1.1.0/28")
    pool = Pool(
        addresses={ip: Address(ip=ip, state=AddressState.RELEASING)},
        prefixes={held: 1.0},
        releasing_prefixes=(held,),
        suspect=False,
    )
    modes: tuple[Mode, ...] = (secondary(1), prefix())
    for mode in modes:
        assert mode.pick(pool, NONE) is None
        assert deviation(pool, mode, 9) == 1
        assert deviation(pool, mode, 2) == 0, "both are still there for EC2"
        assert releasable(pool, mode, 9) == ()


def test_nothing_is_asked_of_ec2_while_the_pool_is_suspect() -> None:
    warm = {Ipv4(ip): Address(ip=Ipv4(ip)) for ip in ("10.0.0.9", "10.0.0.10", "10.0.0.11")}
    pool = Pool(addresses=warm, suspect=True)
    assert deviation(pool, secondary(5), 9, waiting=4) == 0
    assert releasable(pool, secondary(1), 9) == ()
    assert releasable(pool, prefix(), 9) == ()


def test_switching_to_prefixes_and_back() -> None:
    node = Node(secondary(), slots=9)
    node.come(4)
    node.mode = prefix()
    node.settle()
    assert (len(node.pool.addresses), node.packing()) == (4, [0]), "free addresses went at once, used ones stay"
    node.come(1, "new")
    assert node.packing() == [1]
    node.end("pod-0", "pod-1", "pod-2", "pod-3")
    assert len(node.pool.addresses) == 5
    node.wait(REST_SECONDS)
    assert (len(node.pool.addresses), node.packing()) == (1, [1])
    node.mode = secondary()
    node.settle()
    assert (node.packing(), node.count(WARM)) == ([1], 3), "the prefix of a living pod stays"
    node.end("new-0")
    node.wait(REST_SECONDS)
    assert (node.packing(), len(node.pool.addresses)) == ([], 3)


def test_addresses_of_the_old_mode_count_against_the_slots() -> None:
    node = Node(secondary(), slots=9)
    node.come(9)
    node.mode = prefix()
    node.come(1, "new")
    assert node.waiting == ["new-0"]
    node.end("pod-0")
    node.wait(REST_SECONDS)
    assert node.packing() == [1]
    assert not node.waiting


# --- any state

STATES = st.sampled_from([WARM, ASSIGNED, COOLING])


@st.composite
def pools(draw: st.DrawFn, slots: int) -> Pool:
    alone = draw(st.integers(0, slots))
    addresses = {}
    for number in range(alone):
        ip = Ipv4(f"10.9.0.{number + 1}")
        addresses[ip] = Address(ip=ip, state=draw(STATES), since=draw(st.floats(900, 1000)))
    prefixes = {Prefix(f"10.8.{n}.0/28"): 900.0 + n for n in range(draw(st.integers(0, slots - alone)))}
    for held in prefixes:
        for ip in draw(st.sets(st.sampled_from(addresses_of(held)))):
            state = draw(st.sampled_from([ASSIGNED, COOLING]))
            addresses[ip] = Address(ip=ip, prefix=held, state=state, since=draw(st.floats(900, 1000)))
    named = {ip: msgspec.structs.replace(a, pod_uid=PodUid(f"old-{ip}")) for ip, a in addresses.items()}
    return Pool(addresses=named, prefixes=prefixes, suspect=False)


NUMBERS = st.none() | st.integers(-2, 40)
CONFIGS = st.builds(ClusterConfig, warm_ip=NUMBERS, minimum_ip=NUMBERS, warm_prefix=NUMBERS)


@settings(max_examples=150, deadline=None)
@given(data=st.data(), config=CONFIGS, mode=st.sampled_from(MODES), slots=st.integers(1, 9))
def test_any_pool_comes_to_rest_within_its_slots(
    data: st.DataObject, config: ClusterConfig, mode: Mode, slots: int
) -> None:
    """Node itself asserts that no call passes the capacity, and that no address is given twice or while it rests."""
    node = Node(mode.configured(config), slots, data.draw(pools(slots)))
    node.settle()
    for round_ in range(data.draw(st.integers(1, 4))):
        node.come(data.draw(st.integers(0, 20)), f"round-{round_}")
        living = sorted({a.pod_uid for a in node.pool.addresses.values() if a.state is ASSIGNED})
        node.end(*(data.draw(st.sets(st.sampled_from(living))) if living else ()))
        if data.draw(st.booleans()):
            node.mode = data.draw(st.sampled_from(MODES)).configured(data.draw(CONFIGS))
        node.wait(data.draw(st.sampled_from([0.0, 10.0, REST_SECONDS])))
    node.wait(REST_SECONDS)
    assert node.count(COOLING) == 0
    assert slots_taken(node.pool) <= slots
    assert deviation(node.pool, node.mode, slots, len(node.waiting)) <= 0
    uids = [a.pod_uid for a in node.pool.addresses.values() if a.state is ASSIGNED]
    assert len(uids) == len(set(uids))
    if node.waiting:
        assert slots_taken(node.pool) == slots, "a pod waits only where there is no room"
    before = node.pool
    node.wait(3600)
    assert node.pool == before


def test_an_address_that_a_look_has_shown_goes_first() -> None:
    old, new = Address(ip=Ipv4("10.0.0.9"), since=1.0), Address(ip=Ipv4("10.0.0.8"), since=9.0)
    pool = Pool(addresses={a.ip: a for a in (old, new)}, fresh={old.ip: 1.0}, suspect=False)
    assert SecondaryMode().pick(pool, NONE) == new
    both = msgspec.structs.replace(pool, fresh={old.ip: 1.0, new.ip: 9.0})
    assert SecondaryMode().pick(both, NONE) == old, "a pod does not wait for a look"


def test_out_of_a_prefix_that_a_look_has_shown_first() -> None:
    shown, fresh = Prefix("10.1.0.0/28"), Prefix("10.1.1.0/28")
    taken = Address(ip=Ipv4("10.1.1.0"), prefix=fresh, state=ASSIGNED)
    pool = Pool(addresses={taken.ip: taken}, prefixes={fresh: 1.0, shown: 2.0}, fresh={fresh: 1.0}, suspect=False)
    picked = PrefixMode().pick(pool, NONE)
    assert picked is not None
    assert picked.prefix == shown


def test_what_a_look_did_not_show_is_neither_given_nor_counted_nor_given_back() -> None:
    ip, prefix = Ipv4("10.0.0.9"), Prefix("10.1.0.0/28")
    pool = Pool(addresses={ip: Address(ip=ip)}, prefixes={prefix: 1.0}, missing={ip: 5.0, prefix: 5.0}, suspect=False)
    assert (SecondaryMode().pick(pool, NONE), PrefixMode().pick(pool, NONE)) == (None, None)
    modes: tuple[Mode, ...] = (SecondaryMode(warm=1, minimum=1), PrefixMode(warm_prefix=1))
    for mode in modes:
        assert deviation(pool, mode, LARGE) == 1
        assert releasable(pool, mode, LARGE) == ()
    assert slots_taken(pool) == 2, "EC2 may hold them yet"
