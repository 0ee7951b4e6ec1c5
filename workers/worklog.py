"""The log of the work: a line for each action that changed something, and one for each that Kubernetes refused.

What EC2 refuses is logged where EC2 is called (`common.ec2.client`), with the context that `context_of` gives.
"""

from typing import Any

import structlog

from common.model import actions as act
from common.model.ec2 import Interface
from common.model.errors import Conflict, NotFound
from common.model.ids import NodeName
from common.model.ledger import Ledger
from common.model.outcome import Done, Failed, Outcome
from common.model.terms import KUBERNETES

NOT_SHOWN = frozenset(
    {"subject", "reserved", "again", "token", "facts", "spec", "node", "namespace", "name", "pod_uid"}
)
"""Fields of actions that are no ids, or are in the context already."""

_log = structlog.get_logger(__name__)


def context_of(node: NodeName, ledger: Ledger, action: act.Action) -> dict[str, str]:
    """Fields of every line that is logged while the action is carried out."""
    found = {"node": str(node), "action": type(action).__name__}
    if isinstance(action, act.Annotate | act.ConfirmGone):
        found["pod"] = f"{action.namespace}/{action.name}"
    elif isinstance(action, act.ResolvePod):
        found["pod"] = f"{action.pod.namespace}/{action.pod.name}"
    elif isinstance(action, act.BranchAction) and (branch := ledger.branches.get(action.key)) and branch.pod_name:
        found["pod"] = f"{branch.pod_namespace}/{branch.pod_name}"
    return found


def report(action: act.Action, outcome: Outcome, seconds: float) -> None:
    """One line, where there is something to say."""
    match outcome:
        case Done() if action.terms.changes:
            _log.info("action_done", **{**_ids(action), **_result(action, outcome.value)}, seconds=round(seconds, 3))
        case Failed(error=error) if action.terms.about == KUBERNETES or isinstance(action, act.ResolvePod):
            # The object is gone or was changed meanwhile: that happens, and the next look sees it.
            write = _log.info if isinstance(error, NotFound | Conflict) else _log.warning
            write("action_failed", **_ids(action), code=error.code, error=error.message, seconds=round(seconds, 3))


def _ids(action: act.Action) -> dict[str, Any]:
    fields = {name: getattr(action, name) for name in action.__struct_fields__ if name not in NOT_SHOWN}
    return {"action": type(action).__name__} | {
        name: value for name, value in fields.items() if value not in (None, "")
    }


def _result(action: act.Action, value: object) -> dict[str, Any]:
    if isinstance(value, Interface):
        return {"eni_id": value.eni_id}
    name = action.terms.yields
    return {name: value} if name else {}
