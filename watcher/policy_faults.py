"""SecurityGroupPolicies that count for nothing: with a selector that is none, without selectors or groups."""

from common.kube.decode import Identity
from common.model.notice import EventReason, PolicyNotice, Severity
from common.model.policy import Policy
from common.rules.security_groups import PolicySet

REASON = EventReason.INVALID_POLICY
LONGEST_REASON = 300
"""Characters: it may quote what people wrote."""

Name = tuple[str, str]


class PolicyFaults:
    """Each fault is said once by each leader, and again when it comes back. Not thread-safe."""

    def __init__(self) -> None:
        self._faults: dict[Name, tuple[str, str]] = {}
        """Uid and reason."""
        self._unsaid: dict[Name, None] = {}

    def put(self, found: Identity, policy: Policy | None, problem: str) -> None:
        """`policy` None: it cannot be read, for the reason `problem`."""
        name = (found.namespace, found.name)
        skipped = PolicySet([policy]).skipped if policy is not None else ((found.name, problem),)
        if not skipped:
            self.drop(found)
        elif self._faults.get(name) != (fault := (found.uid, skipped[0][1][:LONGEST_REASON])):
            self._faults[name] = fault
            self._unsaid[name] = None

    def drop(self, found: Identity) -> None:
        """It is gone, or well again."""
        name = (found.namespace, found.name)
        self._faults.pop(name, None)
        self._unsaid.pop(name, None)

    def look(self) -> list[PolicyNotice]:
        """What to say of those that nothing was said of yet."""
        notices = [
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
        return notices
