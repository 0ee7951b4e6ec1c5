"""What fails for all, a sentence each: pure, from outages and ledgers."""

from collections.abc import Iterable, Mapping

from common.model.ids import NodeName
from common.model.ledger import Ledger
from common.model.outage import Outage, Scope

OF_PODS = ("claim/", "branch/", "annotate/", "pod/")
"""Subjects of steps that are about one pod, or an interface of it."""


def sentences(outages: Iterable[Outage], ledgers: Mapping[NodeName, Ledger], now: float) -> tuple[str, ...]:
    """Confirmed ones, with who waits. `now`: epoch seconds."""
    return tuple(_sentence(outage, ledgers, now) for outage in outages if outage.confirmed)


def _sentence(outage: Outage, ledgers: Mapping[NodeName, Ledger], now: float) -> str:
    pods, nodes = waiting(outage.scope, ledgers)
    who = " and ".join(_counted(number, kind) for number, kind in ((pods, "pod"), (nodes, "node")) if number)
    wait = f"{who} wait" if pods + nodes > 1 else f"{who or 'nobody'} waits"
    again = "is being asked again" if outage.asking else f"asked again in {max(0.0, outage.ask_at - now):.0f} s"
    return f"{outage.scope} fails for all since {now - outage.since:.0f} s ({outage.code}): {wait}; {again}."


def waiting(scope: Scope, ledgers: Mapping[NodeName, Ledger]) -> tuple[int, int]:
    """Pods, and nodes with steps of their own, that wait for the scope."""
    pods, nodes = set(), 0
    for ledger in ledgers.values():
        subjects = [subject for subject, backoff in ledger.backoffs.items() if backoff.scope == scope]
        pods |= {subject.partition("/")[2].partition(".")[0] for subject in subjects if subject.startswith(OF_PODS)}
        nodes += any(not subject.startswith(OF_PODS) for subject in subjects)
    return len(pods), nodes


def _counted(number: int, kind: str) -> str:
    return f"{number} {kind}{'' if number == 1 else 's'}"
