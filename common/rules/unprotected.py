"""Pods that run without the security groups that policies give them.

The webhook has pods that match a policy ask for a branch interface. Where it was away (failurePolicy Ignore), or had
not heard of the policy yet, a pod asks for nothing and runs with its node's groups.
"""

from collections.abc import Mapping

from common.model.names import FARGATE_PROFILE
from common.model.node import NodeFacts
from common.model.policy import LabelSelector, Policy
from common.rules.managed import LINUX
from common.rules.security_groups import PolicySet


def concerns(node: NodeFacts, labels: Mapping[str, str]) -> bool:
    """Whether a pod with these labels on this node should have had a branch interface. On unmanaged Linux nodes, too:
    had it been asked for, the pod would wait for another node, and there it runs without its groups just the same.
    Windows pods get none, and nodes of auto mode are somebody else's. The label of Fargate's pods counts only where the
    node is no EC2 instance: anybody can write it, and name Fargate's scheduler, which the webhook goes by."""
    if claims_fargate(labels) and node.instance_id is None:
        return False
    return node.os == LINUX and not node.auto


def claims_fargate(labels: Mapping[str, str]) -> bool:
    return FARGATE_PROFILE in labels


def reads_accounts(policy: Policy) -> bool:
    """Whether it takes labels of service accounts to tell what the policy matches."""
    return policy.account_selector not in (None, LabelSelector())


def uncovered_by(
    policies: PolicySet, labels: Mapping[str, str], account_labels: Mapping[str, str], created_at: float
) -> tuple[str, ...]:
    """Names of the policies that match a pod made at `created_at` (epoch seconds) and that were there already: policies
    are for pods made after them, so that one made or changed later is not reported. The same second counts as
    there: a policy and a pod that are applied together belong together."""
    matched = policies.match(labels, account_labels).matched
    return tuple(name for name in matched if policies.changed_at[name] <= created_at)
