"""Which security groups a pod's branch interfaces get."""

from collections.abc import Iterable, Mapping

import msgspec

from common.decide.selectors import InvalidSelector, matches
from common.model.ids import GroupId
from common.model.policy import LabelSelector, Policy


class GroupMatch(msgspec.Struct, frozen=True, kw_only=True):
    """What the policies of a namespace say about one pod."""

    groups: tuple[GroupId, ...] = ()
    """Of all matching policies, these taken by name; order within a policy kept; each group once."""
    matched: tuple[str, ...] = ()
    """Names of the matching policies, sorted."""
    skipped: tuple[tuple[str, str], ...] = ()
    """Names of invalid policies, each with a reason for the log."""


def groups_for(
    policies: Iterable[Policy], namespace: str, labels: Mapping[str, str], account_labels: Mapping[str, str] | None
) -> GroupMatch:
    """Join the groups of all policies of the namespace that match. A policy matches when every selector that it has
    matches: the pod's labels, and those of its service account. `account_labels` None: the account does not exist;
    then only an empty account selector matches."""
    groups: dict[GroupId, None] = {}
    matched: list[str] = []
    skipped: list[tuple[str, str]] = []
    for policy in sorted((p for p in policies if p.namespace == namespace), key=lambda p: p.name):
        try:
            if not _matches(policy, labels, account_labels):
                continue
        except InvalidSelector as error:
            skipped.append((policy.name, str(error)))
            continue
        matched.append(policy.name)
        groups.update(dict.fromkeys(policy.groups))
    return GroupMatch(groups=tuple(groups), matched=tuple(matched), skipped=tuple(skipped))


def _matches(policy: Policy, labels: Mapping[str, str], account_labels: Mapping[str, str] | None) -> bool:
    if policy.pod_selector is None and policy.account_selector is None:
        raise InvalidSelector("it has neither podSelector nor serviceAccountSelector")
    if not policy.groups:
        raise InvalidSelector("it has no security groups")
    by_pod = policy.pod_selector is None or matches(policy.pod_selector, labels)
    by_account = policy.account_selector is None or _account_matches(policy.account_selector, account_labels)
    return by_pod and by_account


def _account_matches(selector: LabelSelector, labels: Mapping[str, str] | None) -> bool:
    selected = matches(selector, labels or {})
    return selected and (labels is not None or selector == LabelSelector())
