"""Client tokens: the same token with the same parameters gives the same answer again (EC2, "Ensuring idempotency")."""

from __future__ import annotations

from typing import Any

from sandbox.ec2.errors import Ec2Fault

IDEMPOTENT_ACTIONS = frozenset(
    {"AssociateTrunkInterface", "CreateNetworkInterface", "DisassociateTrunkInterface", "RunInstances"}
)
_NOT_COMPARED = frozenset({"ClientToken", "DryRun"})


class ClientTokens:
    """Answers by action and token. Failed calls leave no trace, so that a token can be tried again."""

    def __init__(self) -> None:
        self._answers: dict[tuple[str, str], tuple[dict[str, Any], dict[str, Any]]] = {}

    def answer(self, action: str, params: dict[str, Any]) -> dict[str, Any] | None:
        """The answer that this token was given before, if any. Raises IdempotentParameterMismatch."""
        known = self._answers.get((action, params.get("ClientToken") or ""))
        if known is None:
            return None
        if known[0] != _compared(params):
            raise Ec2Fault(
                "IdempotentParameterMismatch", "The client token was used before with other request parameters."
            )
        return known[1]

    def remember(self, action: str, params: dict[str, Any], result: dict[str, Any]) -> None:
        """Keep the answer for the next call with this token; without a token there is nothing to keep."""
        token = params.get("ClientToken")
        if token and action in IDEMPOTENT_ACTIONS:
            self._answers[(action, token)] = (_compared(params), result)


def _compared(params: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in params.items() if name not in _NOT_COMPARED}
