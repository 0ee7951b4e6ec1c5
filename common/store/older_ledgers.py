"""What ledgers of earlier versions said otherwise, as this version says it."""

from typing import Any

BEGUN = {("planned", "tried"): "creating", ("permitted", "associating"): "associating"}
"""Until version 1 a flag beside the state said that its call may have taken effect."""
STATES_VERSION = 2
"""The first in which that is a state of its own."""


def as_now(ledger: dict[str, Any], version: int) -> dict[str, Any]:
    """`ledger` as decoded without a type. What is not understood is left as it is: the typed decoder refuses it."""
    branches = ledger.get("branches")
    if version >= STATES_VERSION or not isinstance(branches, dict):
        return ledger
    return {**ledger, "branches": {key: _branch(branch) for key, branch in branches.items()}}


def _branch(branch: Any) -> Any:
    if not isinstance(branch, dict):
        return branch
    begun = next((now for (state, flag), now in BEGUN.items() if branch.get("state") == state and branch.get(flag)), "")
    return {**branch, "state": begun} if begun else branch
