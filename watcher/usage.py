"""Branch interfaces of the whole cluster by state, from the nodes' ledgers. The leader counts them in a thread of its
own: with 1,000 nodes it reads megabytes."""

import threading
from collections import Counter
from collections.abc import Callable, Iterable

from common import metrics
from common.model.errors import StoreUnavailable
from common.model.ledger import BranchState, Ledger
from common.store.ledger import Ledgers

INTERVAL_SECONDS = 15.0
"""Prometheus asks every 15 to 60 s."""


def by_state(ledgers: Iterable[Ledger]) -> dict[BranchState, int]:
    """How many branch interfaces are in each state; every state is named."""
    found = Counter(branch.state for ledger in ledgers for branch in ledger.branches.values())
    return {state: found[state] for state in BranchState}


def show(ledgers: Ledgers) -> None:
    """Set the gauge. Ledgers that cannot be read are reported by the runs on their nodes. Raises StoreUnavailable."""
    for state, number in by_state(ledgers.all(lambda *_: None).values()).items():
        metrics.BRANCHES.labels(str(state)).set(number)


def keep(ledgers: Ledgers, leading: Callable[[], bool], stop: threading.Event) -> None:
    """Set it again and again while this process leads, until `stop`. Without Redis it stays as it was."""
    while not stop.wait(INTERVAL_SECONDS):
        if leading():
            try:
                show(ledgers)
            except StoreUnavailable:
                continue
        else:
            metrics.BRANCHES.clear()
