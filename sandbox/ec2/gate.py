"""What stands before and behind every call: request limits, denials, injected faults and latencies."""

from __future__ import annotations

from sandbox.ec2.behaviour import TRUNK_ACTIONS, Ec2Behaviour, FaultRule, Range
from sandbox.ec2.errors import Ec2ConnectionReset, Ec2Fault
from sandbox.ec2.state import Ec2State, Params
from sandbox.ec2.throttle import Throttle, action_class

OWN_IDENTITY = "own"
_NO_TIME: Range = (0.0, 0.0)
#: Answers that EC2 gives without doing any work.
_REFUSALS = frozenset({"RequestLimitExceeded", "UnauthorizedOperation", "OperationNotPermitted", "InvalidAction"})


class Gate:
    """The request limits of an account and the counts of its fault rules, under the state's present behaviour."""

    def __init__(self, state: Ec2State) -> None:
        self._state = state
        self._throttle = Throttle()
        self._fired: dict[int, int] = {}

    def reset_faults(self) -> None:
        """Count the firings of fault rules anew."""
        self._fired = {}

    def admit(self, action: str, params: Params) -> None:
        """Take a token of the action's bucket; refuse what the identity may not do.

        Raises RequestLimitExceeded, the code of a denial, and DryRunOperation.
        """
        state = self._state
        if not self._throttle.admits(action, params, state.behaviour, state.now):
            raise Ec2Fault("RequestLimitExceeded", "Request limit exceeded.")
        self._check_allowed(action, params, state.behaviour, state.identity)
        if params.get("DryRun"):
            raise Ec2Fault("DryRunOperation", "Request would have succeeded, but DryRun flag is set.")

    def _check_allowed(self, action: str, params: Params, behaviour: Ec2Behaviour, identity: str) -> None:
        trunking = action in TRUNK_ACTIONS or params.get("InterfaceType") == "trunk"
        for denial in behaviour.denials:
            if denial.applies(action, identity, trunking=trunking):
                raise Ec2Fault(denial.code, "You are not authorized to perform this operation.")
        is_role = identity != OWN_IDENTITY
        if action == "DescribeTrunkInterfaceAssociations" and is_role and not behaviour.associations_visible_to_roles:
            raise Ec2Fault("UnauthorizedOperation", "You are not authorized to perform this operation.")

    def fault(self, action: str, params: Params) -> FaultRule | None:
        """The first fault rule that fires on this call, counted as fired."""
        state = self._state
        for at, rule in enumerate(state.behaviour.faults):
            fired = self._fired.get(at, 0)
            if rule.count is not None and fired >= rule.count:
                continue
            if rule.applies(action, state.identity, params) and (rule.rate >= 1 or state.rng.random() < rule.rate):
                self._fired[at] = fired + 1
                return rule
        return None

    def latency(self, action: str, params: Params, failure: Exception | None) -> float:
        """How long this call takes, in seconds."""
        latencies = self._state.behaviour.latencies
        if isinstance(failure, Ec2Fault) and failure.code in _REFUSALS:
            return self._state.pick(latencies.get("rejected", _NO_TIME))
        kind = action_class(action, params)
        fallback = latencies.get("mutate" if kind == "mutate" else "describe", _NO_TIME)
        return self._state.pick(latencies.get(action) or latencies.get(kind) or fallback)


def fail(rule: FaultRule) -> None:
    """Raise what the rule says; nothing for a rule that only delays."""
    if rule.code == "reset":
        raise Ec2ConnectionReset("Connection reset by peer")
    if rule.code != "none":
        raise Ec2Fault(rule.code, rule.message, rule.status)
