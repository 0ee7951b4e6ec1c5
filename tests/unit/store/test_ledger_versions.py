"""Ledgers as the last release wrote them, and as the next one may write them."""

from pathlib import Path

import msgspec
import pytest

from common.model.errors import LedgerNewer, LedgerUnreadable
from common.model.ids import BranchKey, NodeName
from common.model.ledger import LEDGER_VERSION, BranchState, Ledger
from common.store import Store, keys
from common.store.older_ledgers import as_now
from tests.kit.fake_redis import FakeRedis

DATA = Path(__file__).parents[2] / "data"
SPOT = keys.ledger(keys.KeyPrefix(keys.prefix("c")), NodeName("n"))


@pytest.fixture
def client() -> FakeRedis:
    return FakeRedis()


@pytest.fixture
def store(client: FakeRedis) -> Store:
    return Store.on(client, keys.prefix("c"))


def within(part: object, whole: object) -> bool:
    """Whether every field of `part` is in `whole`, the same."""
    if isinstance(part, dict) and isinstance(whole, dict):
        return all(key in whole and within(value, whole[key]) for key, value in part.items())
    if isinstance(part, list) and isinstance(whole, list):
        return len(part) == len(whole) and all(map(within, part, whole))
    return part == whole


@pytest.mark.parametrize("os", ["linux", "windows"])
def test_a_ledger_of_the_release_before_is_read_whole(client: FakeRedis, store: Store, os: str) -> None:
    node = NodeName(os)
    client.set(keys.ledger(keys.prefix("c"), node), (DATA / f"ledger-{os}.msgpack").read_bytes())
    ledger = store.ledgers.load(node)
    assert ledger is not None
    written = as_now(msgspec.json.decode((DATA / f"ledger-{os}.json").read_bytes()), 1)
    for branch in written["branches"].values():
        del branch["tried"], branch["associating"]
    assert within(written, msgspec.json.decode(msgspec.json.encode(ledger)))


@pytest.mark.parametrize(
    ("before", "now"),
    [
        ({"state": "planned", "tried": False}, BranchState.PLANNED),
        ({"state": "planned", "tried": True}, BranchState.CREATING),
        ({"state": "created", "tried": True}, BranchState.CREATED),
        ({"state": "permitted", "tried": True, "associating": False}, BranchState.PERMITTED),
        ({"state": "permitted", "tried": True, "associating": True}, BranchState.ASSOCIATING),
        ({"state": "assigned", "tried": True, "associating": True}, BranchState.ASSIGNED),
    ],
)
@pytest.mark.parametrize("version", [{}, {"version": 1}], ids=["without a version", "version 1"])
def test_a_call_that_may_have_taken_effect_was_a_flag_and_is_a_state(
    client: FakeRedis, store: Store, before: dict[str, object], now: BranchState, version: dict[str, int]
) -> None:
    about = {"key": "k", "instance_id": "i-1", "trunk_id": "eni-1", "pod_uid": "u", "vlan": 1, "subnet_id": "subnet-1"}
    client.set(SPOT, msgspec.msgpack.encode({"node": "n", **version, "branches": {"k": {**about, **before}}}))
    ledger = store.ledgers.load(NodeName("n"))
    assert ledger is not None
    assert ledger.branches[BranchKey("k")].state is now


def test_a_ledger_of_version_2_is_read_as_it_is(client: FakeRedis, store: Store) -> None:
    about = {"key": "k", "instance_id": "i-1", "trunk_id": "eni-1", "pod_uid": "u", "vlan": 1, "subnet_id": "subnet-1"}
    branches = {"k": {**about, "state": "cooling", "eni_id": "eni-2", "unwanted": True}}
    client.set(SPOT, msgspec.msgpack.encode({"node": "n", "version": 2, "branches": branches}))
    ledger = store.ledgers.load(NodeName("n"))
    assert ledger is not None
    one = ledger.branches[BranchKey("k")]
    assert (one.state, one.unwanted, one.untagged, one.releasing) == (BranchState.COOLING, True, False, False)
    assert ledger.epoch == "", "nothing is kept idle before it was made anew"


@pytest.mark.parametrize("branches", [7, {"k": 7}, {"k": {"state": ["planned"]}}], ids=str)
def test_an_older_ledger_of_another_shape_is_unreadable(client: FakeRedis, store: Store, branches: object) -> None:
    client.set(SPOT, msgspec.msgpack.encode({"node": "n", "branches": branches}))
    with pytest.raises(LedgerUnreadable):
        store.ledgers.load(NodeName("n"))


def test_what_is_written_has_our_version(store: Store) -> None:
    token = store.lock.acquire(NodeName("n"), "o", 5.0)
    assert token is not None
    store.ledgers.save(NodeName("n"), Ledger(node=NodeName("n")), "o", token)
    found = store.ledgers.load(NodeName("n"))
    assert found is not None
    assert found.version == LEDGER_VERSION


@pytest.mark.parametrize(
    "more",
    [
        pytest.param({}, id="that could be decoded"),
        pytest.param({"trunk": "of another shape"}, id="that could not"),
    ],
)
def test_a_newer_ledger_is_said_to_be_newer(client: FakeRedis, store: Store, more: dict[str, str]) -> None:
    client.set(SPOT, msgspec.msgpack.encode({"node": "n", "version": LEDGER_VERSION + 1, **more}))
    with pytest.raises(LedgerNewer):
        store.ledgers.load(NodeName("n"))


@pytest.mark.parametrize("body", [b"", b"\xc1", b"\x01", b'{"node": "n"}'])
def test_other_bytes_are_unreadable_and_not_newer(client: FakeRedis, store: Store, body: bytes) -> None:
    client.set(SPOT, body)
    with pytest.raises(LedgerUnreadable) as unreadable:
        store.ledgers.load(NodeName("n"))
    assert not isinstance(unreadable.value, LedgerNewer)
