"""Releases whose association is not known: one list of the account's associations serves them all."""

from typing import Any, cast

import pytest

from common.ec2.gate import Deferred
from common.model.actions import DisassociateBranch, FindAssociations
from common.model.errors import Unsure
from common.model.ids import BranchKey, ClientToken, EniId
from common.model.outcome import Done, Failed, Waits
from tests.kit.clock import VirtualClock
from tests.unit.ec2.scripted import Script, fault
from tests.unit.node.builders import leave
from workers.lookups import LookupCache
from workers.steps import Ports, carry_out

PAGE = 255
COUNT = 400


class Account:
    """Associations `trunk-assoc-<n>` of branches `eni-<n>`, in pages."""

    def __init__(self, *, listing: Any = None) -> None:
        self.clock = VirtualClock()
        self.shown = COUNT
        self.script = Script(
            DescribeTrunkInterfaceAssociations=listing or self._list, DisassociateTrunkInterface={"Return": True}
        )
        none: Any = cast(Any, None)
        self.ports = Ports(
            ec2=self.script.ec2(),
            kube=none,
            store=none,
            publisher=none,
            lookups=LookupCache(none, self.clock),
            clock=self.clock,
            cluster="c",
            account="1",
        )

    def _list(self, params: dict[str, Any]) -> dict[str, Any]:
        start = int(params.get("NextToken", 0))
        some = [
            {
                "BranchInterfaceId": f"eni-{n}",
                "TrunkInterfaceId": "eni-t",
                "VlanId": 1,
                "AssociationId": f"trunk-assoc-{n}",
            }
            for n in range(start, min(start + PAGE, self.shown))
        ]
        more = {"NextToken": str(start + PAGE)} if start + PAGE < self.shown else {}
        return {"InterfaceAssociations": some, **more}

    def release(self, number: int) -> Any:
        key, eni = BranchKey(f"eni-{number}"), EniId(f"eni-{number}")
        action = DisassociateBranch(
            subject="s", key=key, eni_id=eni, association=None, token=ClientToken("t"), warrant=leave(eni)
        )
        return carry_out(action, self.ports)

    def ended(self) -> list[str]:
        return [params["AssociationId"] for action, params in self.script.calls if action.startswith("Dis")]

    def lists(self) -> int:
        return self.script.count().get("DescribeTrunkInterfaceAssociations", 0)


def test_hundreds_of_releases_cost_one_list() -> None:
    account = Account()
    for number in range(COUNT):
        account.release(number)
        account.clock.sleep(0.1)
    assert account.ended() == [f"trunk-assoc-{number}" for number in range(COUNT)]
    assert account.lists() == 2


def test_what_a_list_did_not_have_yet_is_looked_for_again_after_some_seconds() -> None:
    account = Account()
    account.shown = 5
    assert (account.release(7), account.ended()) == (Done(), [])
    account.shown = 10
    account.clock.sleep(1.0)
    account.release(8)
    assert account.lists() == 1
    account.clock.sleep(5.0)
    account.release(8)
    assert (account.ended(), account.lists()) == (["trunk-assoc-8"], 2)


def test_where_the_list_is_denied_the_deletion_ends_the_association() -> None:
    account = Account(listing=fault("UnauthorizedOperation", 403))
    assert [account.release(n) for n in range(9)] == [Done()] * 9
    assert (account.ended(), account.lists()) == ([], 1)


def test_nodes_that_compare_annotations_share_the_list() -> None:
    """The second half is not shown yet, and costs one more list for all of a node's."""
    account = Account()
    account.shown = 50
    for node in range(10):
        account.clock.sleep(1.0)
        eni_ids = tuple(EniId(f"eni-{n}") for n in range(node * 5, node * 5 + 5))
        wanted = {eni_id: f"trunk-assoc-{eni_id[4:]}" for eni_id in eni_ids}
        assert carry_out(FindAssociations(subject="s", eni_ids=eni_ids), account.ports) == Done(value=wanted)
    assert account.lists() == 1
    late = tuple(EniId(f"eni-{n}") for n in range(45, 55))
    found = carry_out(FindAssociations(subject="s", eni_ids=late), account.ports)
    assert isinstance(found, Done)
    assert (len(found.value), account.lists()) == (5, 2)


def test_a_denied_list_is_asked_for_once_a_minute() -> None:
    account = Account(listing=fault("UnauthorizedOperation", 403))
    for _ in range(30):
        assert carry_out(FindAssociations(subject="s", eni_ids=(EniId("eni-1"),)), account.ports) == Done(value={})
        account.clock.sleep(4.0)
    assert account.lists() == 2


@pytest.mark.parametrize(
    ("trouble", "outcome"), [(fault("InternalError", 500), Failed), (Deferred(9.0), Waits)], ids=["fails", "waits"]
)
def test_a_list_that_could_not_be_read_is_read_by_the_next_who_needs_it(trouble: Exception, outcome: type) -> None:
    account = Account()
    account.script._answers["DescribeTrunkInterfaceAssociations"].insert(0, trouble)
    first = account.release(1)
    assert isinstance(first, outcome)
    assert not isinstance(first, Failed) or isinstance(first.error, Unsure)
    account.release(1)
    assert account.ended() == ["trunk-assoc-1"]
