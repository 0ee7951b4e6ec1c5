"""Which security groups a pod's branch interfaces get."""

import re
from collections.abc import Iterable, Mapping, Sequence

import msgspec

from common.model.ids import GroupId
from common.model.policy import LabelSelector, Policy
from common.rules.selectors import InvalidSelector, selected, validate

MOST_GROUPS = 16
"""Of one interface, whatever quota an account asks for:
https://docs.aws.amazon.com/vpc/latest/userguide/amazon-vpc-limits.html#vpc-limits-security-groups"""
_ID = re.compile(r"[0-9A-Za-z-]{1,64}")


class GroupMatch(msgspec.Struct, frozen=True, kw_only=True):
    """What the policies of a namespace say about one pod."""

    groups: tuple[GroupId, ...] = ()
    """The groups of all matching policies, these taken by name; order within a policy kept; each group once."""
    matched: tuple[str, ...] = ()
    """Names of the matching policies, sorted."""
    skipped: tuple[tuple[str, str], ...] = ()
    """Names of invalid policies, each with a reason for the log."""


class PolicySet:
    """The policies of one namespace, made ready to be asked for many pods: validity is looked at once, and of a policy
    whose pod selector names a label only pods with that label are looked at."""

    def __init__(self, policies: Iterable[Policy]) -> None:
        self._valid: list[Policy] = []
        self._by_label: dict[tuple[str, str], list[int]] = {}
        """Positions in `_valid`, by one label that a pod must have."""
        self._by_all: list[int] = []
        skipped: list[tuple[str, str]] = []
        for policy in sorted(policies, key=lambda policy: policy.name):
            try:
                _validate(policy)
            except InvalidSelector as error:
                skipped.append((policy.name, str(error)))
                continue
            wanted = policy.pod_selector.match_labels if policy.pod_selector else {}
            places = self._by_label.setdefault(next(iter(wanted.items())), []) if wanted else self._by_all
            places.append(len(self._valid))
            self._valid.append(policy)
        self.skipped = tuple(skipped)
        self.changed_at = {policy.name: policy.changed_at for policy in self._valid}
        """The valid policies by name; epoch seconds."""

    def match(self, labels: Mapping[str, str], account_labels: Mapping[str, str] | None) -> GroupMatch:
        """As `groups_for`."""
        candidates = list(self._by_all)
        for label in labels.items():
            candidates += self._by_label.get(label, ())
        chosen = [self._valid[place] for place in sorted(candidates)]
        matched = [policy for policy in chosen if _matches(policy, labels, account_labels)]
        groups = dict.fromkeys(group for policy in matched for group in policy.groups)
        return GroupMatch(groups=tuple(groups), matched=tuple(p.name for p in matched), skipped=self.skipped)


def groups_for(
    policies: Iterable[Policy], namespace: str, labels: Mapping[str, str], account_labels: Mapping[str, str] | None
) -> GroupMatch:
    """Join the groups of all policies of the namespace that match. A policy matches when every selector that it has
    matches: the pod's labels, and those of its service account. `account_labels` None: the account does not exist;
    then only an empty account selector matches."""
    return PolicySet(policy for policy in policies if policy.namespace == namespace).match(labels, account_labels)


def unusable(groups: Sequence[GroupId]) -> str:
    """Why no interface can have these groups, "" where one may. Who writes policies writes any text, and as much of it
    as an object holds: it would lie in the ledger of a node that others share, and name what fails for others."""
    strange = next((group for group in groups if not _ID.fullmatch(group)), None)
    if strange is not None:
        return f"{strange[:64]!r} is no id of a security group"
    if len(groups) > MOST_GROUPS:
        return f"{len(groups)} security groups are too many for one interface, which takes {MOST_GROUPS} at most"
    return ""


def _validate(policy: Policy) -> None:
    """Raises InvalidSelector."""
    if policy.pod_selector is None and policy.account_selector is None:
        raise InvalidSelector("it has neither podSelector nor serviceAccountSelector")
    if not policy.groups:
        raise InvalidSelector("it has no security groups")
    for selector in (policy.pod_selector, policy.account_selector):
        if selector is not None:
            validate(selector)


def _matches(policy: Policy, labels: Mapping[str, str], account_labels: Mapping[str, str] | None) -> bool:
    by_pod, by_account = policy.pod_selector, policy.account_selector
    if by_pod is not None and not selected(by_pod, labels):
        return False
    if by_account is None:
        return True
    if account_labels is None:
        return by_account == LabelSelector()
    return selected(by_account, account_labels)
