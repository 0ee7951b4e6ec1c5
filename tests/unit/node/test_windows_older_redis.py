"""A Windows node's pool after Redis was started anew, perhaps from an old copy."""

from typing import Any

import msgspec
import pytest

from common.model import actions as act
from common.model.config import ClusterConfig
from common.model.ids import Ipv4, PodUid, Prefix
from common.model.ledger import Address, AddressState, LastUse, Pool
from common.model.names import PRIVATE_IPV4
from common.model.pod import PodRequest
from common.node.windows.contents import LOOK_AGAIN_SECONDS, compared, known_in
from common.node.windows.pool import REST_SECONDS, addresses_of
from tests.unit.node.builders import NOW, cninode, desired, ledger, left, limits, node, options, planned, pod, primary

A, B, C = (Ipv4(f"10.0.3.{n}") for n in (11, 12, 13))
P = Prefix("10.0.4.0/28")
BEFORE, SINCE = "run-1", "run-2"


def old_pool(**fields: Any) -> Pool:
    """One address of each kind, as a copy lists them."""
    addresses = [
        Address(ip=A, since=1.0),
        Address(ip=B, state=AddressState.COOLING, since=1.0),
        Address(ip=C, state=AddressState.ASSIGNED, pod_uid=PodUid("uid-c"), pod_name="c", annotated=True, since=1.0),
    ]
    return Pool(**{"addresses": {a.ip: a for a in addresses}, "suspect": False, "epoch": BEFORE, **fields})


def kept(contents: Pool, *pods: PodRequest, epoch: str | None) -> Any:
    about = node(os="windows", capacity={PRIVATE_IPV4: "9"})
    goal = desired(*pods, of=about, cni=cninode(os_label="windows"), config=ClusterConfig(windows_ipam=True))
    goal = msgspec.structs.replace(goal, epoch=epoch)
    return planned(ledger(pool=contents), goal, opts=options(limits()))


def test_what_was_free_rests_and_is_nobodys_until_a_look_shows_it() -> None:
    after = known_in(old_pool(), SINCE, NOW)
    resting = {ip for ip, a in after.addresses.items() if a.state is AddressState.COOLING and a.unasked}
    assert (resting, set(after.missing), after.epoch) == ({A, B}, {A, B}, SINCE)
    assert after.addresses[C] == old_pool().addresses[C]
    assert NOW < after.look_at < NOW + REST_SECONDS
    began = NOW + LOOK_AGAIN_SECONDS
    shown = compared(after, primary(secondary_ips=(A, C)), began, began).pool
    assert set(shown.missing) == {B}


def test_every_address_of_a_prefix_that_is_no_pods_rests() -> None:
    own = Address(ip=addresses_of(P)[3], prefix=P, state=AddressState.ASSIGNED, pod_uid=PodUid("uid-a"), since=1.0)
    after = known_in(old_pool(addresses={own.ip: own}, prefixes={P: 1.0}), SINCE, NOW)
    assert after.addresses.pop(own.ip) == own
    assert set(after.addresses) == set(addresses_of(P)) - {own.ip}
    assert all(a.state is AddressState.COOLING and a.unasked for a in after.addresses.values())
    assert set(after.missing) == {P}


def test_what_may_be_on_its_way_back_to_ec2_stays_so_for_as_long_as_a_call_lasts() -> None:
    leaving = Address(ip=A, state=AddressState.RELEASING, since=1.0)
    after = known_in(old_pool(addresses={A: leaving}, released_at=1.0), SINCE, NOW)
    assert (after.addresses[A], after.released_at) == (leaving, NOW)


@pytest.mark.parametrize(
    ("recorded", "epoch"), [(BEFORE, BEFORE), (BEFORE, ""), ("", "")], ids=["same run", "not known", "never known"]
)
def test_in_the_same_run_of_redis_or_one_not_known_the_pool_stays(recorded: str, epoch: str) -> None:
    assert known_in(old_pool(epoch=recorded), epoch, NOW) == old_pool(epoch=recorded)


def test_a_pool_of_the_release_before_takes_the_run_on_and_rests_nothing() -> None:
    assert known_in(old_pool(epoch=""), SINCE, NOW) == old_pool(epoch=SINCE)


def test_a_pod_gets_no_address_that_an_older_record_calls_free() -> None:
    waiting = pod("a", 0, addresses=1)
    same, later = (kept(old_pool(), waiting, epoch=epoch) for epoch in (BEFORE, SINCE))
    assert [a.value for a in same.actions if isinstance(a, act.Annotate)] == [f"{A}/19"]
    assert [a for a in later.actions if isinstance(a, act.Annotate)] == []
    assert [a for a in later.actions if isinstance(a, act.AssignAddresses)], "it is served by another"


def test_before_everything_is_compared_nothing_is_given_to_pods_or_to_ec2() -> None:
    warm = {ip: Address(ip=ip, since=1.0) for ip in (Ipv4(f"10.0.3.{n}") for n in range(20, 28))}
    nobodys = {ip: LastUse(at=1.0) for ip in warm}
    given_back = kept(old_pool(addresses=warm, uses=nobodys), epoch=BEFORE).actions
    assert [a for a in given_back if isinstance(a, act.UnassignAddresses)]
    done = kept(old_pool(addresses=warm), pod("a", 0, addresses=1), epoch=None)
    assert done.actions == ()
    assert left(done).pool == old_pool(addresses=warm)
    assert NOW < done.look_again <= NOW + 1.0
