"""The sandbox's EC2 as a library: rules, request limits, latencies, lag and injected faults, on a given clock."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from copy import deepcopy
from dataclasses import dataclass

import msgspec.structs

from sandbox.ec2.actions import ACTIONS
from sandbox.ec2.arrangement import Arrangement
from sandbox.ec2.behaviour import Ec2Behaviour, FaultRule
from sandbox.ec2.errors import Ec2ConnectionReset, Ec2Fault
from sandbox.ec2.gate import OWN_IDENTITY, Gate, fail
from sandbox.ec2.identifiers import Identifiers
from sandbox.ec2.journal import Call, Journal
from sandbox.ec2.limits import InstanceLimits, load_limits
from sandbox.ec2.records import Association, Instance, Interface, Subnet
from sandbox.ec2.state import Ec2State, Params, Result
from sandbox.ec2.tokens import ClientTokens


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """How a call ended: a result or a failure, which the caller gets after `latency` seconds."""

    latency: float
    result: Result | None = None
    failure: Ec2Fault | Ec2ConnectionReset | None = None

    def unwrap(self) -> Result:
        """The result. Raises the failure."""
        if self.failure is not None:
            raise self.failure
        return self.result or {}


@dataclass(slots=True)
class _Progress:
    """How far a call came: the fault rule that met it, and whether it changed or read anything."""

    rule: FaultRule | None = None
    effect: bool = False


class Ec2World(Arrangement):
    """One account's EC2 in one region. Thread safe; the same calls at the same times have the same outcomes.

    `clock` gives seconds since the epoch. Latencies are not slept here: `call` returns them, `invoke` hands them to
    `on_latency` (action, seconds) before it returns or raises.
    """

    def __init__(
        self,
        *,
        clock: Callable[[], float],
        settings: Ec2Behaviour,
        region: str = "us-west-2",
        account: str = "123456789012",
        limits: Mapping[str, InstanceLimits] | None = None,
        seed: int = 0,
        on_latency: Callable[[str, float], None] | None = None,
    ) -> None:
        state = Ec2State(
            region=region, account=account, seed=seed, limits=limits or load_limits(), behaviour=settings, now=clock()
        )
        super().__init__(state, clock)
        self._gate = Gate(state)
        self._tokens = ClientTokens()
        self._on_latency = on_latency

    def invoke(self, action: str, params: Params, *, identity: str = OWN_IDENTITY) -> Result:
        """Carry out a call as an SDK client's method would. Raises Ec2Fault or Ec2ConnectionReset."""
        outcome = self.call(action, params, identity=identity)
        if self._on_latency is not None:
            self._on_latency(action, outcome.latency)
        return outcome.unwrap()

    def call(
        self, action: str, params: Params, *, identity: str = OWN_IDENTITY, headers: Mapping[str, str] | None = None
    ) -> Outcome:
        """Carry out a call and say how it ended and how long it took; the effect is there at once."""
        with self._lock:
            state, progress = self._state, _Progress()
            state.settle(self._clock())
            state.identity = identity
            result: Result | None = None
            failure: Ec2Fault | Ec2ConnectionReset | None = None
            try:
                result = self._carry_out(action, params, progress)
            except (Ec2Fault, Ec2ConnectionReset) as error:
                failure = error
            latency = self._gate.latency(action, params, failure) + (progress.rule.delay if progress.rule else 0.0)
            self.record(
                Call(
                    time=state.now,
                    action=action,
                    identity=identity,
                    params=params,
                    outcome="ok" if failure is None else failure.code,
                    effect=progress.effect,
                    latency=latency,
                    headers=headers or {},
                )
            )
            return Outcome(latency=latency, result=result, failure=failure)

    def _carry_out(self, action: str, params: Params, progress: _Progress) -> Result:
        carry_out = ACTIONS.get(action)
        if carry_out is None:
            raise Ec2Fault("InvalidAction", f"The action {action} is not valid for this web service.")
        self._gate.admit(action, params)
        rule = progress.rule = self._gate.fault(action, params)
        if rule is not None and rule.when == "before":
            fail(rule)
        result = self._tokens.answer(action, params)
        if result is not None and action == "AssociateTrunkInterface":
            self._check_association(result)
        if result is None:
            result = carry_out(self._state, params)
            progress.effect = True
            self._tokens.remember(action, params, result)
        if rule is not None and rule.when == "after":
            fail(rule)
        return deepcopy(result) if params.get("ClientToken") else result

    def _check_association(self, answer: Result) -> None:
        """The token of an association that has ended makes no other one."""
        if self._state.associations.get(answer["InterfaceAssociation"]["AssociationId"]) is None:
            raise Ec2Fault("IdempotentParameterMismatch", "The association of the client token has ended.")

    # -- behaviour --------------------------------------------------------------------------------------------------

    @property
    def behaviour(self) -> Ec2Behaviour:
        """The behaviour in force."""
        return self._state.behaviour

    def behave(self, behaviour: Ec2Behaviour) -> None:
        """Change the behaviour; counts of fault rules start anew if the rules differ."""
        with self._lock:
            if behaviour.faults != self._state.behaviour.faults:
                self._gate.reset_faults()
            self._state.behaviour = behaviour

    def inject(self, *rules: FaultRule) -> None:
        """Add fault rules; the counts of those already there go on."""
        with self._lock:
            present = self._state.behaviour
            self._state.behaviour = msgspec.structs.replace(present, faults=present.faults + rules)

    def clear_faults(self) -> None:
        """Drop all fault rules."""
        with self._lock:
            self._gate.reset_faults()
            self._state.behaviour = msgspec.structs.replace(self._state.behaviour, faults=())

    # -- observation ------------------------------------------------------------------------------------------------

    @property
    def region(self) -> str:
        """The region."""
        return self._state.region

    @property
    def account(self) -> str:
        """The account's id."""
        return self._state.account

    @property
    def journal(self) -> Journal:
        """What happened so far."""
        return self._state.journal

    @property
    def identifiers(self) -> Identifiers:
        """Where ids come from, for whatever is served beside EC2."""
        return self._state.ids

    def now(self) -> float:
        """The moment on the world's clock, in seconds since the epoch."""
        return self._clock()

    def record(self, call: Call) -> None:
        """Add a call to the journal; for services beside EC2, whose calls belong into the same journal."""
        with self._lock:
            self._state.journal.calls.append(call)

    def next_due(self) -> float | None:
        """When the world next changes by itself (an attachment completes), in seconds of the clock."""
        with self._lock:
            return self._state.next_due()

    def interfaces(self) -> list[Interface]:
        """Every interface as it is now."""
        with self._lock:
            self._state.settle(self._clock())
            return list(self._state.interfaces)

    @property
    def identity(self) -> str:
        """Who makes the call being carried out; `arranged` where nobody calls."""
        return self._state.identity

    def interface(self, identifier: str) -> Interface | None:
        """One interface as it is now."""
        return self._state.interfaces.get(identifier)

    def interfaces_of(self, instance_id: str) -> list[Interface]:
        """The interfaces on an instance, oldest first."""
        return self._state.interfaces_of(instance_id)

    def association_of(self, branch_id: str) -> Association | None:
        """A branch's place on its trunk."""
        return next(iter(self._state.associations.indexed(("branch", branch_id))), None)

    def instance(self, identifier: str) -> Instance | None:
        """One instance as it is now."""
        return self._state.instances.get(identifier)

    def instances(self) -> list[Instance]:
        """Every instance as it is now, terminated ones included while EC2 would show them."""
        with self._lock:
            self._state.settle(self._clock())
            return list(self._state.instances)

    def subnets(self) -> list[tuple[Subnet, int]]:
        """Every subnet with the number of its free addresses."""
        with self._lock:
            return [(subnet, self._state.books[subnet.id].free) for subnet in self._state.subnets]

    def associations(self) -> list[Association]:
        """Every association of a branch with a trunk."""
        with self._lock:
            return list(self._state.associations)
