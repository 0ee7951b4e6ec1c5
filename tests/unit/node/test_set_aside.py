"""What is begun with where a ledger cannot be understood."""

import pytest

from common.model.ids import NodeName
from common.model.ledger import Trunk
from common.node.set_aside import set_aside
from tests.unit.node.builders import NODE, NOW, POD_GROUPS_SPEC, branch, desired, kinds, ledger, planned


def test_the_node_is_adopted_anew_and_its_events_are_not_repeated() -> None:
    of = ledger(branch("a"), gone_since=NOW - 5)
    fresh, notice = set_aside(of, NODE, "KeyError('x')", NOW)
    assert (fresh.instance, fresh.branches, fresh.claims, fresh.pool) == (None, {}, {}, None)
    assert (fresh.cninode_spec, fresh.emitted, fresh.gone_since) == (POD_GROUPS_SPEC, of.emitted, NOW - 5)
    assert fresh.trunk == Trunk(generation=1)
    assert "KeyError('x')" in notice.message
    assert kinds(planned(fresh, desired()).actions) == ["RequestSnapshot"]


def test_nothing_is_known_of_one_that_could_not_be_read() -> None:
    fresh, _ = set_aside(None, NodeName("n9"), "malformed", NOW)
    assert (fresh.node, fresh.cninode_spec, fresh.snapshot_after) == ("n9", None, NOW)


def test_one_that_comes_back_is_adopted_later_and_later() -> None:
    of, waits, now = ledger(), [], NOW
    for _ in range(10):
        of, _notice = set_aside(of, NODE, "", now)
        assert of.snapshot_after is not None
        waits.append(of.snapshot_after - now)
        now = of.snapshot_after + 1
    assert waits == [0, 5, 10, 20, 40, 80, 160, 300, 300, 300]
    again, _notice = set_aside(of, NODE, "", now + 7200)
    assert again.snapshot_after == now + 7200


@pytest.mark.parametrize("later", [0.0, 4.0])
def test_until_then_ec2_is_not_asked(later: float) -> None:
    of, _notice = set_aside(set_aside(ledger(), NODE, "", NOW)[0], NODE, "", NOW)
    assert planned(of, desired(), now=NOW + later).actions == ()
    assert kinds(planned(of, desired(), now=NOW + 5).actions) == ["RequestSnapshot"]
