"""A plan in the making: what may start, and which events come once."""

import msgspec
import pytest

from common.model.actions import ConfirmNodeGone
from common.model.ledger import Backoff, Ledger
from common.model.notice import EventReason
from common.node.state import NEVER, Planning
from tests.unit.node.builders import NODE, NOW, desired, ledger, options, planning, pod, reasons

FULL, BROKEN = EventReason.BRANCH_CAPACITY_REACHED, EventReason.BRANCH_ALLOCATION_FAILED
STEP = ConfirmNodeGone(subject="node", node=NODE)


@pytest.fixture
def one() -> Planning:
    return planning(ledger(), desired())


def test_a_step_starts_once_at_a_time(one: Planning) -> None:
    assert one.may("node")
    one.start(STEP)
    assert not one.may("node")
    assert one.may("cninode")
    assert one.actions == [STEP]


def test_a_step_waits_for_its_pace() -> None:
    early = planning(ledger(backoffs={"node": Backoff(not_before=NOW + 3)}), desired())
    assert not early.may("node")
    assert early.look_again == NOW + 3
    assert planning(ledger(backoffs={"node": Backoff(not_before=NOW)}), desired()).may("node")


def test_there_is_an_end_to_what_is_under_way() -> None:
    full = planning(ledger(), desired(), busy=frozenset({"a", "b"}), options=options(in_flight=2))
    assert not full.may("node")


def test_a_kept_turn_is_used_once() -> None:
    turn = planning(ledger(backoffs={"node": Backoff(reserved=True, attempts=2)}), desired())
    turn.start(STEP)
    assert [a.reserved for a in turn.actions] == [True]
    assert turn.ledger.backoffs["node"] == Backoff(attempts=2)


def test_the_earliest_moment_counts(one: Planning) -> None:
    assert one.look_again == NEVER
    for moment in (30.0, 10.0, 20.0):
        one.look_at(moment)
    assert one.look_again == 10.0


def test_a_nodes_event_is_emitted_again_only_when_it_changed(one: Planning) -> None:
    for message in ("x", "x", "y", "x"):
        one.emit_node_once("key", EventReason.UNSUPPORTED, message)
    assert [n.message for n in one.notices] == ["x", "y", "x"]
    one.forget_emitted("key")
    one.emit_node_once("key", EventReason.UNSUPPORTED, "x")
    assert len(one.notices) == 4


def test_a_pods_event_says_why_it_waits_once_for_each_reason(one: Planning) -> None:
    for reason in (FULL, FULL, BROKEN):
        one.emit_pod_once(pod("a"), reason, f"at {len(one.notices)}")
    one.emit_pod_once(pod("b"), FULL, "")
    assert reasons(one.notices) == [FULL, BROKEN, FULL]


def test_a_ledger_keeps_the_names_that_earlier_versions_wrote() -> None:
    """A release that renames a field in Python must still read, and be read by, the one before it."""
    earlier = b'{"node":"n1","paces":{"trunk":{"not_before":5.0,"turn":true}},"told":{"version/u":"x"}}'
    now = msgspec.json.decode(earlier, type=Ledger)
    assert now.backoffs == {"trunk": Backoff(not_before=5.0, reserved=True)}
    assert now.emitted == {"version/u": "x"}
    written = msgspec.json.decode(msgspec.json.encode(now))
    assert (written["paces"]["trunk"]["turn"], written["told"]) == (True, {"version/u": "x"})
