"""A run's actions, but for those that are known to fail for everybody: these are not started, and end at once."""

from collections.abc import Callable, Iterable

from common.clock import Clock
from common.metrics import ACTIONS
from common.model import actions as act
from common.model.errors import OutsideError, Unavailable
from common.model.ids import NodeName
from common.model.notice import EventReason, NodeNotice, Notice, Severity
from common.model.outage import Outage, Scope
from common.model.outcome import Done, Failed, Outcome, Waits
from common.rules.scopes import disproved, scope_of, scopes_of
from common.spans import CODE, span
from common.store.outages import LONGEST_SECONDS
from workers.executor import ActionExecutor, Ended
from workers.outages import KnownOutages

NOT_ASKED_SECONDS = 1.0
"""Until another asks, where an answer said nothing about the outage."""


class GuardedExecutor:
    """Another executor's actions, watched for failures that are the same for all."""

    def __init__(
        self,
        executor: ActionExecutor,
        known: KnownOutages,
        node: NodeName,
        emit: Callable[[Notice], None],
        clock: Clock,
    ) -> None:
        self._executor = executor
        self._known = known
        self._node = node
        self._emit = emit
        self._clock = clock
        self._held: list[Ended] = []
        self._began: dict[str, float] = {}
        """Epoch seconds, by subject."""

    def admit(self, action: act.Action) -> bool:
        return self._executor.admit(action)

    def dismiss(self, admitted: Iterable[act.Action]) -> None:
        self._executor.dismiss(admitted)

    def interrupt(self) -> None:
        self._executor.interrupt()

    def has_place(self, action: act.Action) -> bool:
        return self._executor.has_place(action)

    def wake(self, node: NodeName, turned_away: Iterable[act.Action]) -> None:
        self._executor.wake(node, turned_away)

    def start(self, action: act.Action) -> None:
        scopes = scopes_of(action)
        outage = self._known.held_by(scopes, self._node, who(action, self._node)) if scopes else None
        if outage is None:
            self._began[action.subject] = self._clock.now()
            self._executor.start(action)
            return
        self._executor.dismiss([action])
        ACTIONS.labels(type(action).__name__, "held").inc()
        error = Unavailable(outage.code, outage.message)
        with span(type(action).__name__) as traced:
            traced.note({"vpc_rc.outcome": "held", CODE: outage.code})
            traced.failed(outage.code)
        self._held.append((action, Failed(error=error, scope=outage.scope)))

    def wait(self, seconds: float) -> list[Ended]:
        held, self._held = self._held, []
        ended = self._executor.wait(0.0 if held else seconds)
        return held + [(action, self._learned(action, outcome)) for action, outcome in ended]

    def _learned(self, action: act.Action, outcome: Outcome) -> Outcome:
        """What the outcome says about others, recorded for them; and the outcome, with its scope where it is theirs."""
        began = self._began.pop(action.subject, 0.0)
        scopes = scopes_of(action)
        match outcome:
            case Done():
                self._over(scopes, began)
            case Waits(until=until):
                self._known.not_asked(scopes, self._node, until)
            case Failed(error=error):
                scope = scope_of(action, error)
                works = disproved(action, error)
                if works is not None:
                    self._over((works,), began)
                if len(scopes) > 1 or scope is None:
                    others = tuple(one for one in scopes if one not in (scope, works))
                    self._known.not_asked(others, self._node, self._clock.now() + NOT_ASKED_SECONDS)
                if scope is not None and self._is_shared(action, scope, error):
                    return Failed(error=error, scope=scope)
        return outcome

    def _is_shared(self, action: act.Action, scope: Scope, error: OutsideError) -> bool:
        verdict = self._known.failed(scope, self._node, who(action, self._node), error)
        if verdict.began:
            what = (
                f"{scope} fails for all: {error.code}. What needs it waits; asked again every {LONGEST_SECONDS:.0f} s"
            )
            self._emit(_notice(self._node, EventReason.UNAVAILABLE, what, Severity.WARNING))
        return verdict.shared

    def _over(self, scopes: tuple[Scope, ...], began: float) -> None:
        for outage in self._known.worked(scopes, began):
            self._emit(_over_notice(self._node, outage, self._clock.now()))


def who(action: act.Action, node: NodeName) -> str:
    """For whom the action is: different ones that fail make an outage."""
    match action:
        case act.CreateBranch(pod_uid=uid) | act.Annotate(pod_uid=uid) | act.ConfirmGone(pod_uid=uid):
            return uid
        case act.PermitBranch(key=key) | act.AssociateBranch(key=key) | act.SetBranchGroups(key=key):
            return key.rsplit(".", 2)[0]
        case act.DisassociateBranch(eni_id=eni) | act.DeleteBranch(eni_id=eni) | act.UntagBranch(eni_id=eni):
            return eni
        case _:
            return node


def _notice(node: NodeName, reason: EventReason, message: str, severity: Severity) -> NodeNotice:
    return NodeNotice(node=node, reason=reason, message=message, severity=severity)


def _over_notice(node: NodeName, outage: Outage, now: float) -> NodeNotice:
    message = f"{outage.scope} works again after {now - outage.since:.0f} s"
    return _notice(node, EventReason.AVAILABLE_AGAIN, message, Severity.NORMAL)
