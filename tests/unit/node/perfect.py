"""A little world in memory that carries out what is planned, and refuses to see a promise broken.

Without faults it is perfect: every action ends at once and tells the truth. With `Faults` actions fail by every class
of error, take effect and say they do not know, wait for their turn, or lose their outcome together with the run, which
then begins again from the ledger as it was saved last.
"""

from collections.abc import Callable
from dataclasses import dataclass, field
from random import Random
from typing import Any

import msgspec

from common.model import actions as act
from common.model import errors
from common.model.desired import Desired
from common.model.ec2 import InstanceSnapshot
from common.model.errors import OutsideError
from common.model.ids import PodUid
from common.model.ledger import Ledger
from common.model.outcome import Done, Failed, Outcome, Waits
from common.model.pod import PodRequest
from common.node.planner import Plan, apply, plan
from common.node.state import Options
from common.rules.pod_eni import interfaces_named

RELEASES = (
    act.DisassociateBranch,
    act.DeleteBranch,
    act.UndoTrunk,
    act.CleanDeparted,
    act.DeleteCniNode,
    act.UnassignAddresses,
    act.UnassignPrefixes,
)
LOOKS = (act.RequestSnapshot, act.InspectPool)
"""All that a settled node still does: its audits."""
NOT_FOUND_IS_SUCCESS = (act.DisassociateBranch, act.DeleteBranch, act.UndoTrunk, *RELEASES[3:])
EFFECTLESS: tuple[type[OutsideError], ...] = (
    errors.Throttled,
    errors.Unsure,
    errors.NotFound,
    errors.Denied,
    errors.SubnetExhausted,
    errors.LimitExceeded,
    errors.InUse,
    errors.TokenMismatch,
    errors.Conflict,
    errors.Invalid,
)
WITH_TOKEN = (act.CreateTrunk, act.CreateBranch, act.AssociateBranch)
EFFECTLESS_AGAIN = (errors.Throttled, errors.Unsure, errors.Denied)
"""What a repeated call can meet although the first took effect: else EC2 gives the same answer to the same token."""


class World:
    """What is outside of the planner: the pods, the node, EC2. Subclasses carry actions out."""

    def __init__(self, now: float) -> None:
        self.now = now
        self.pods: dict[PodUid, PodRequest] = {}
        self.complete = True
        self.shown: InstanceSnapshot | None = None

    def desired(self) -> Desired:
        raise NotImplementedError

    def perform(self, action: act.Action) -> Any:
        """Carry out; raises OutsideError. Asserts what must never be asked of it."""
        raise NotImplementedError

    def carry_out(self, action: act.Action) -> Outcome:
        assert self.complete or not isinstance(action, RELEASES), f"released without knowing the pods: {action}"
        try:
            return Done(value=self.perform(action))
        except OutsideError as error:
            return Failed(error=error)

    def live(self) -> list[PodRequest]:
        return [pod for pod in self.pods.values() if not pod.finished]

    def named(self) -> dict[str, PodRequest]:
        """Interfaces that living pods' annotations name."""
        return {entry.eni_id: pod for pod in self.live() for entry in interfaces_named(pod)[0]}

    def gone(self, action: act.ConfirmGone) -> bool:
        pod = self.pods.get(action.pod_uid)
        return pod is None or pod.finished

    def change_pod(self, uid: PodUid, **fields: object) -> None:
        self.pods[uid] = msgspec.structs.replace(self.pods[uid], **fields)


@dataclass(slots=True)
class Faults:
    """Seeded trouble. `chance` of each action to meet some; 0: none."""

    rng: Random
    chance: float = 0.0

    def meet(self, world: World, action: act.Action) -> Outcome | None:
        """How the action ends; None: its outcome is lost with the run."""
        if self.rng.random() >= self.chance:
            return world.carry_out(action)
        match self.rng.randrange(6):
            case 0:
                return Waits(until=world.now + self.rng.choice((0.5, 4.0, 60.0)))
            case 1:
                world.carry_out(action)
                return Failed(error=errors.Unsure("ConnectionReset"))
            case 2:
                world.carry_out(action)
                return None
            case 3:
                return None
            case _:
                kind = self.rng.choice(EFFECTLESS)
                if kind is errors.NotFound and isinstance(action, NOT_FOUND_IS_SUCCESS):
                    kind = errors.Unsure  # EC2 does not say so of what is there.
                if isinstance(action, WITH_TOKEN) and getattr(action, "again", False):
                    kind = self.rng.choice(EFFECTLESS_AGAIN)
                return Failed(error=kind(kind.__name__))


@dataclass(slots=True)
class Life:
    """Plans, carries out and applies, again and again, in any order in which calls can end."""

    world: World
    ledger: Ledger
    options: Options
    faults: Faults = field(default_factory=lambda: Faults(Random(0)))
    under_way: list[act.Action] = field(default_factory=list)
    done: list[tuple[float, act.Action]] = field(default_factory=list)
    check: Callable[[Ledger], None] = lambda ledger: None
    """What must hold of every ledger that is saved."""

    def run(self, until: float, most: int = 4000) -> None:
        """Let virtual time go to `until`. Asserts that it takes no more than `most` steps: no spinning."""
        for _ in range(most):
            planned = self._plan()
            self.under_way += planned.actions
            if self.under_way:
                self._end_one()
                continue
            due = max(planned.look_again, self.world.now)
            if due > until:
                self.world.now = max(self.world.now, until)
                return
            self.world.now = due + 0.001
        raise AssertionError(f"still busy after {most} steps: {[a for _, a in self.done[-5:]]}")

    def finish(self) -> None:
        """No more faults: what is under way ends well."""
        self.faults.chance = 0.0

    def _plan(self) -> Plan:
        planned = plan(
            self.ledger,
            self.world.desired(),
            snapshot=self.world.shown,
            now=self.world.now,
            jitter=self.faults.rng.random(),
            busy=frozenset(action.subject for action in self.under_way),
            options=self.options,
        )
        subjects = [action.subject for action in (*self.under_way, *planned.actions)]
        assert len(subjects) == len(set(subjects)), "two actions about one subject at a time"
        self.ledger = planned.ledger or Ledger(node=self.ledger.node)
        self.check(self.ledger)
        return planned

    def _end_one(self) -> None:
        saved = self.ledger  # With all intents, as the loop saves it before it starts anything.
        action = self.under_way.pop(self.faults.rng.randrange(len(self.under_way)))
        self.world.now += 0.05
        self.done.append((self.world.now, action))
        outcome = self.faults.meet(self.world, action)
        if outcome is None:
            self._begin_again(saved)
            return
        self.ledger = apply(self.ledger, action, outcome, now=self.world.now, jitter=self.faults.rng.random()).ledger

    def _begin_again(self, saved: Ledger) -> None:
        """The worker is killed: calls under way may take effect yet, nobody hears of them."""
        for action in self.under_way:
            if self.faults.rng.random() < 0.5:
                self.world.carry_out(action)
        self.under_way.clear()
        self.world.now += 30.0
        self.ledger = saved

    def since(self, moment: float) -> list[act.Action]:
        return [action for at, action in self.done if at > moment]
