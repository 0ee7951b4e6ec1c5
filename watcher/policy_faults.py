"""Events at SecurityGroupPolicies: that one counts for nothing (with a selector that is none, without selectors
or groups), and that pods which run keep their groups when its groups change."""

from common.kube.decode import Identity
from common.model.ids import GroupId
from common.model.notice import EventReason, PolicyNotice, Severity
from common.model.policy import Policy
from common.rules.security_groups import PolicySet

REASON = EventReason.INVALID_POLICY
CHANGED = EventReason.GROUPS_CHANGED
LONGEST_REASON = 300
"""Characters: it may quote what people wrote."""

Name = tuple[str, str]


class PolicyFaults:
    """Each leader reports each fault once, and again when it comes back. Not thread-safe."""

    def __init__(self) -> None:
        self._faults: dict[Name, tuple[str, str]] = {}
        """Uid and reason."""
        self._unsaid: dict[Name, None] = {}
        self._groups: dict[Name, tuple[str, tuple[GroupId, ...]]] = {}
        """Uid and groups of those that can be read."""
        self._changes: list[PolicyNotice] = []

    def put(self, found: Identity, policy: Policy | None, problem: str, *, leads: bool) -> None:
        """`policy` None: it cannot be read, for the reason `problem`. `leads`: a change is this watcher's to say."""
        name = (found.namespace, found.name)
        if policy is not None:
            before = self._groups.get(name)
            self._groups[name] = (found.uid, policy.groups)
            if leads and before is not None and before[0] == found.uid and set(before[1]) != set(policy.groups):
                self._changes.append(_changed(found, before[1], policy.groups))
        skipped = PolicySet([policy]).skipped if policy is not None else ((found.name, problem),)
        if not skipped:
            self._well(name)
        elif self._faults.get(name) != (fault := (found.uid, skipped[0][1][:LONGEST_REASON])):
            self._faults[name] = fault
            self._unsaid[name] = None

    def drop(self, found: Identity) -> None:
        """It is gone."""
        name = (found.namespace, found.name)
        self._groups.pop(name, None)
        self._well(name)

    def _well(self, name: Name) -> None:
        self._faults.pop(name, None)
        self._unsaid.pop(name, None)

    def look(self) -> list[PolicyNotice]:
        """What to say of those that nothing was said of yet."""
        notices = self._changes + [
            PolicyNotice(
                namespace=name[0],
                name=name[1],
                uid=self._faults[name][0],
                reason=REASON,
                message=f"the policy is skipped: {self._faults[name][1]}",
                severity=Severity.WARNING,
            )
            for name in self._unsaid
        ]
        self._unsaid.clear()
        self._changes = []
        return notices


def _changed(found: Identity, before: tuple[GroupId, ...], now: tuple[GroupId, ...]) -> PolicyNotice:
    return PolicyNotice(
        namespace=found.namespace,
        name=found.name,
        uid=found.uid,
        reason=CHANGED,
        message=f"groups were {_named(before)} and are {_named(now)}: new pods get these, pods that run keep theirs "
        "until they are made anew",
        severity=Severity.NORMAL,
    )


def _named(groups: tuple[GroupId, ...]) -> str:
    return ", ".join(groups) or "none"
