"""How urgently actions ask the rate limiter."""

import pytest

from common.model import actions as act
from common.model.ids import BranchKey, EniId
from common.model.reservation import Urgency
from common.node.tokens import key_ahead
from tests.unit.node.builders import INSTANCE, NOW
from tests.unit.node.steps import KEY, create
from workers.callers import urgency

AHEAD = key_ahead(INSTANCE, create().vlan, NOW)
ENI = EniId("eni-1")


@pytest.mark.parametrize(
    ("action", "how"),
    [
        (create(), Urgency.POD),
        (create(key=AHEAD), Urgency.RELEASE),
        (act.PermitBranch(subject="s", key=AHEAD, eni_id=ENI), Urgency.RELEASE),
        (act.SetBranchGroups(subject="s", key=KEY, eni_id=ENI, groups=()), Urgency.POD),
        (act.UntagBranch(subject="s", key=BranchKey(ENI), eni_id=ENI), Urgency.RELEASE),
        (act.PermitInterface(subject="s", eni_id=ENI), Urgency.NODE),
    ],
)
def test_nobody_waits_for_what_is_made_ahead_or_untagged(action: act.Action, how: Urgency) -> None:
    assert urgency(action) is how
