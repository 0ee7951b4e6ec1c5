"""What `vpc-rc status` says of failures that are the same for all."""

from collections.abc import Mapping
from typing import Any

import fakeredis
import pytest

from cli.status.outages import sentences
from cli.status.read import read_cluster
from common.model.errors import Denied
from common.model.ids import NodeName
from common.model.ledger import Backoff, Ledger
from common.model.outage import Outage, Scope
from common.store import Store, keys

SCOPE = Scope("CreateNetworkInterface")
NOW = 1_000.0


def outage(**fields: Any) -> Outage:
    values = {"scope": SCOPE, "code": "UnauthorizedOperation", "since": 880.0, "confirmed": True, "ask_at": NOW + 4}
    return Outage(**(values | fields))  # type: ignore[arg-type]


def ledgers(*subjects: str, scope: str = SCOPE) -> Mapping[NodeName, Ledger]:
    """Each on a node of its own."""
    found = {}
    for number, subject in enumerate(subjects):
        name = NodeName(f"n{number}")
        found[name] = Ledger(
            node=name, backoffs={subject: Backoff(scope=scope, code="C"), "cninode": Backoff(code="D")}
        )
    return found


@pytest.mark.parametrize(
    ("subjects", "said"),
    [
        (("claim/a", "branch/b.0.1", "annotate/c"), "3 pods wait; asked again in 4 s."),
        (("claim/a", "branch/a.0.1"), "1 pod waits; asked again in 4 s."),
        (("claim/a", "trunk", "trunk"), "1 pod and 2 nodes wait; asked again in 4 s."),
        ((), "nobody waits; asked again in 4 s."),
    ],
)
def test_who_waits_and_when_it_is_asked_again(subjects: tuple[str, ...], said: str) -> None:
    (found,) = sentences([outage()], ledgers(*subjects), NOW)
    assert found == f"CreateNetworkInterface fails for all since 120 s (UnauthorizedOperation): {said}"


def test_those_who_wait_for_something_else_are_not_counted() -> None:
    (found,) = sentences([outage()], ledgers("claim/a", scope="AttachNetworkInterface"), NOW)
    assert "nobody waits" in found


def test_what_one_asker_met_is_no_outage() -> None:
    assert sentences([outage(confirmed=False)], ledgers("claim/a"), NOW) == ()


def test_while_the_answer_is_awaited() -> None:
    (found,) = sentences([outage(asking=True)], {}, NOW)
    assert found.endswith("is being asked again.")


def test_status_reads_it() -> None:
    store = Store.on(fakeredis.FakeRedis(), keys.prefix("c"))
    for node in ("n1", "n2"):
        store.outages.failed(SCOPE, NodeName(node), node, Denied("UnauthorizedOperation"), store.server.time())
    assert any("CreateNetworkInterface fails for all" in alarm for alarm in read_cluster(store, {}).alarms)
