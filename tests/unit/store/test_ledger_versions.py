"""Ledgers as the last release wrote them, and as the next one may write them."""

from pathlib import Path

import msgspec
import pytest

from common.model.errors import LedgerNewer, LedgerUnreadable
from common.model.ids import NodeName
from common.model.ledger import LEDGER_VERSION, Ledger
from common.store import Store, keys
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
    written = msgspec.json.decode((DATA / f"ledger-{os}.json").read_bytes())
    assert within(written, msgspec.json.decode(msgspec.json.encode(ledger)))


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
